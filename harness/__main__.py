"""`python -m harness`: reads the arguments, starts or resumes a session, turns errors into one line."""

import sys

from harness.command import run


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 done, 1 the session could not go on, 2 the user's mistake, 130 interrupted."""
    return run(_dispatch, argv=argv)


def _dispatch(arguments: list[str]) -> int:
    """Imports as late as it can: the help and the version answer at once."""
    if {"-h", "--help"} & set(arguments):
        from harness.config_help import help_text

        print(help_text())
        return 0
    if "--version" in arguments:
        from importlib.metadata import version

        print(version("harness"))
        return 0
    if {"-m", "--multirun"} & set(arguments):
        from harness.sweep import main as sweep

        return sweep([argument for argument in arguments if argument not in ("-m", "--multirun")])
    return _session(arguments)


def _session(arguments: list[str]) -> int:
    from harness.config import load

    setup = load([argument for argument in arguments if argument != "--cfg"])
    if "--cfg" in arguments:
        from harness.config_compose import as_yaml

        print(as_yaml(setup.config), end="")
        return 0
    from harness.start import start

    return start(setup)


if __name__ == "__main__":
    sys.exit(main())
