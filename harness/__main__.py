"""`python -m harness`: reads the arguments, starts or resumes a session, turns errors into one line."""

import shlex
import sys

from harness.errors import HarnessError, UserError

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 done, 1 the session could not go on, 2 the user's mistake, 130 interrupted."""
    arguments = sys.argv[1:] if argv is None else argv
    try:
        return _dispatch(arguments)
    except UserError as error:
        return _complain(error, EXIT_USER_ERROR)
    except HarnessError as error:
        return _complain(error, 1)
    except KeyboardInterrupt:
        again = shlex.join(["python", "-m", "harness", *arguments])
        print(f"\nharness: interrupted, nothing is lost; go on with: {again}", file=sys.stderr)
        return EXIT_INTERRUPTED


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
        raise UserError("sweeps (-m, --multirun) are not available in this version; start one session a call")
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


def _complain(error: HarnessError, code: int) -> int:
    print("harness: " + " ".join(str(error).split()), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
