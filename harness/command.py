"""What every command of ours does with errors: one line and an exit code, never a traceback."""

import shlex
import sys
from collections.abc import Callable, Sequence

from harness.errors import HarnessError, UserError

EXIT_FAILED = 1
EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130


def run(body: Callable[[list[str]], int], name: str = "harness", argv: Sequence[str] | None = None) -> int:
    """Calls `body` with the arguments. Exit code: its own, 1 could not go on, 2 the user's mistake, 130 interrupted.

    name: the module after `python -m`, for the words of error.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return body(arguments)
    except UserError as error:
        return _complain(name, error, EXIT_USER_ERROR)
    except HarnessError as error:
        return _complain(name, error, EXIT_FAILED)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone: nobody is left to tell
        return EXIT_FAILED
    except KeyboardInterrupt:
        again = shlex.join(["python", "-m", name, *arguments])
        print(f"\nharness: interrupted, nothing is lost; go on with: {again}", file=sys.stderr)
        return EXIT_INTERRUPTED


def _complain(name: str, error: HarnessError, code: int) -> int:
    print(f"{name}: " + " ".join(str(error).split()), file=sys.stderr)
    return code
