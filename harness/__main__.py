"""`harness` and `python -m harness`: a command by its name, or else a session from configuration."""

import sys

from harness.commands import named, run, run_named


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 done, 1 could not go on, 2 the user's mistake, 130 interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and named(arguments[0]):
        return run_named(arguments[0], arguments[1:])
    from harness.commands.start import main as session

    return run(session, argv=arguments)


if __name__ == "__main__":
    sys.exit(main())
