"""`harness [start] [group=choice] [key=value] ...`: starts or resumes a session; with -m, a sweep of sessions."""

import sys

from harness.commands import run


def main(arguments: list[str]) -> int:
    """Imports as late as it can: the help and the version answer at once. Raises HarnessError."""
    if {"-h", "--help"} & set(arguments):
        from harness.config.help import help_text

        print(help_text())
        return 0
    if "--version" in arguments:
        from importlib.metadata import version

        print(version("harness"))
        return 0
    if {"-m", "--multirun"} & set(arguments):
        from harness.sweep.runner import main as sweep

        return sweep([argument for argument in arguments if argument not in ("-m", "--multirun")])
    return _session(arguments)


def _session(arguments: list[str]) -> int:
    from harness.config.setup import load

    setup = load([argument for argument in arguments if argument != "--cfg"])
    if "--cfg" in arguments:
        from harness.config.compose import as_yaml

        print(as_yaml(setup.config), end="")
        return 0
    from harness.session.folder import session_folder
    from harness.session.reopen import as_begun
    from harness.session.start import start

    return start(as_begun(setup, session_folder(setup)))


if __name__ == "__main__":
    sys.exit(run(main))
