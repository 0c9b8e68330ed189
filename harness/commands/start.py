"""`harness [start] [group=choice] [key=value] ...`: starts or resumes a session; with -m, a sweep of sessions."""

import sys
from pathlib import Path

from harness.commands import about, commands, run


def main(arguments: list[str]) -> int:
    """Imports as late as it can: the help and the version answer at once. Raises HarnessError."""
    if {"-h", "--help"} & set(arguments):
        from harness.config.help import help_text

        print(help_text(about(), _config_folders(arguments)))
        return 0
    if "--version" in arguments:
        from importlib.metadata import version

        print(version("harness"))
        return 0
    from harness.config.options import RESOLVED, options

    given = options(arguments)
    if given.multirun:
        from harness.sweep.runner import main as sweep

        return sweep([*given.where(), *given.overrides], dry=given.dry_run)
    if given.cfg == RESOLVED:
        from harness.config.compose import as_yaml
        from harness.config.setup import load

        print(as_yaml(load([*given.where(), *given.overrides]).config), end="")
        return 0
    if given.cfg or given.info or given.hydra_help or given.shell_completion:
        from harness.config.show import show

        return show(given, commands())
    return _session([*given.where(), *given.overrides])


def _session(arguments: list[str]) -> int:
    from harness.config.setup import load

    setup = load(arguments)
    from harness.session.folder import session_folder
    from harness.session.reopen import as_begun
    from harness.session.start import start

    return start(as_begun(setup, session_folder(setup)))


def _config_folders(arguments: list[str]) -> tuple[Path, ...]:
    """Of the help's arguments only those that add choices count."""
    others = [each for each in arguments if each not in ("-h", "--help", "--version")]
    if not others:
        return ()
    from harness.config.options import options

    return options(others).config_dirs


if __name__ == "__main__":
    sys.exit(run(main))
