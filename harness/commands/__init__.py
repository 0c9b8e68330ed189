"""Zone: what people type. A file here is a command; `harness NAME ...` and `python -m harness.NAME ...` run it.

A command module has `main(arguments) -> exit code` and a docstring that is its help. It may use everything below it
and is used by nothing. What every command does with errors stands here: one line and an exit code, no traceback.
There is a command called list: once it is imported, that name here is its module and no longer Python's.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 -- before anything is imported that an older one cannot read
    print(  # type: ignore[unreachable] # by whoever runs the right one
        "harness: needs Python 3.11 or newer, and %s is %s; use the one that harness was installed into "  # noqa: UP031
        "(in a checkout: .venv/bin/python, after make setup)" % (sys.executable, sys.version.split()[0]),
        file=sys.stderr,
    )
    raise SystemExit(2)

import errno
import importlib
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from harness.errors import FolderInUse, HarnessError, UserError, missing_package, refusal

if TYPE_CHECKING:
    import argparse
    from types import TracebackType

EXIT_FAILED = 1
EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130
_MOST_CHARACTERS = 4000  # of an error's line
_NOBODYS_MISTAKE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

if sys.platform != "linux":  # before anything is imported that only Linux has
    print(
        f"harness: needs Linux, and this is {sys.platform}: its sandbox is made of namespaces, Landlock and seccomp."
        " On macOS run it in a Linux virtual machine or container, on Windows in WSL 2",
        file=sys.stderr,
    )
    raise SystemExit(EXIT_USER_ERROR)


def run(
    body: Callable[[list[str]], int],
    name: str = "harness",
    argv: Sequence[str] | None = None,
    about: str | None = None,
) -> int:
    """Calls `body` with the arguments. Exit code: its own, 1 could not go on, 2 the user's mistake, 130 interrupted.

    name: the module after `python -m`, for the words of error. about: the help, where `body` has none of its own.
    """
    arguments = [*(sys.argv[1:] if argv is None else argv)]
    open_standard_streams()
    try:
        return _called(body, name, arguments, about)
    except KeyboardInterrupt as stopped:
        return _interrupted(stopped, name, arguments)


def open_standard_streams() -> None:
    """Where one is closed, as some starters of services leave them: a file of ours would get its number, the ledger
    for one, and with it whatever a library or a child prints there."""
    for number, (stream, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest number that is free
        if getattr(sys, stream) is None:
            setattr(sys, stream, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 -- to the end


def _called(body: Callable[[list[str]], int], name: str, arguments: list[str], about: str | None) -> int:
    try:
        if about and {"-h", "--help"} & {*arguments}:
            import inspect

            print(inspect.cleandoc(about), flush=True)
            return 0
        code = body(arguments)
        sys.stdout.flush()  # here, where what goes wrong is said in a line
        return code
    except SystemExit as left:  # argparse leaves when it has shown its help
        return left.code if isinstance(left.code, int) else 0
    except FolderInUse as error:
        from harness.sweep.child import EXIT_IN_USE, IN_SWEEP

        return _complain(name, error, EXIT_IN_USE if IN_SWEEP in os.environ else EXIT_USER_ERROR)
    except UserError as error:
        return _complain(name, error, EXIT_USER_ERROR)
    except HarnessError as error:
        return _complain(name, error, EXIT_FAILED)
    except BrokenPipeError:
        _drop_output()  # its reader has gone: nobody is left to tell
        return EXIT_FAILED
    except ImportError as error:
        return _lacking(name, error)
    except OSError as error:  # no part knew better
        refused = _refused(error)
        if error.filename is None:
            _drop_output()
        return _complain(name, refused, EXIT_USER_ERROR if isinstance(refused, UserError) else EXIT_FAILED)


def _refused(error: OSError) -> HarnessError:
    """What the system refused, in a line. Raises the error where it may be our own mistake: that is not hidden."""
    if error.filename is None and isinstance(error, FileNotFoundError) and not _stands_somewhere():
        return UserError("the current folder is gone: cd to one that is there, and repeat")
    if error.filename is None and error.errno not in _NOBODYS_MISTAKE:
        raise error
    return refusal(error, "where the output or a temporary file goes")


def _stands_somewhere() -> bool:
    try:
        return bool(os.getcwd())
    except FileNotFoundError:
        return False


def _drop_output() -> None:
    """What could not be written would be tried again, and complained of, when Python ends."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _interrupted(stopped: KeyboardInterrupt, name: str, arguments: Sequence[str]) -> int:
    """Says so, whoever presses Ctrl-C once more meanwhile; after that it ends the process without a word."""
    with suppress(ValueError):  # in another thread than the main one, which gets no signals
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        import shlex

        from harness.ledger.interruption import HOW_IS_SAID

        again = shlex.join(["python", "-m", name, *arguments])
        how = "" if HOW_IS_SAID in stopped.args else f"; go on with: {again}"
        with suppress(OSError):  # a terminal that went away
            print(f"\nharness: interrupted, nothing is lost{how}", file=sys.stderr)
    finally:
        with suppress(ValueError):
            signal.signal(signal.SIGINT, signal.SIG_DFL)
    return EXIT_INTERRUPTED


def parser(command: str, about: str | None) -> "argparse.ArgumentParser":
    """Of a command with options: its docstring is its help, and a mistake is one line."""
    import argparse

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> NoReturn:
            raise UserError(f"{' '.join(message.split())}; see {self.prog} --help")

    form = argparse.RawDescriptionHelpFormatter
    return Parser(f"harness {command}", description=about, formatter_class=form, allow_abbrev=False)


def commands() -> list[str]:
    """The names of all commands, as they are typed."""
    files = Path(__file__).parent.glob("[a-z]*.py")
    return sorted(file.stem.replace("_", "-") for file in files)


def about() -> dict[str, str]:
    """Each command with what it is for in a line, read from its docstring without importing it."""
    found = {}
    for name in commands():
        file = Path(__file__).parent / f"{name.replace('-', '_')}.py"
        first = file.read_text(encoding="utf-8").partition("\n")[0].strip('"')
        found[name] = first.partition("`: ")[2] or first
    return found


def named(word: str) -> bool:
    """Whether the first argument is a word, as a command's name is; a session's have `=` or begin with `-`."""
    return word.replace("-", "_").isidentifier() and not word.startswith("-")


def run_named(name: str, argv: Sequence[str] | None = None) -> int:
    """The command of that name, with its errors said. An unknown one is the user's mistake."""
    if name.replace("_", "-") not in commands():
        return _complain("harness", UserError(_unknown(name)), EXIT_USER_ERROR)
    own = name.replace("-", "_")
    try:
        module = importlib.import_module(f"harness.commands.{own}")
    except ImportError as error:
        return _lacking(f"harness.{own}", error)
    own_help = "parser" in vars(module) or name == "start"
    return run(module.main, f"harness.{own}", argv, None if own_help else module.__doc__)


def _unknown(name: str) -> str:
    """What was meant: a command, or a choice whose group was left out."""
    import difflib

    from harness.config.choices import groups

    meant = [f"{group}={name}" for group, found in groups().items() if name in found.choices]
    meant = meant or difflib.get_close_matches(name, commands(), n=1)
    guess = f"; did you mean {meant[0]}?" if meant else "."
    return f"there is no command {name!r}{guess} The commands: {', '.join(commands())}"


def _complain(name: str, error: HarnessError, code: int) -> int:
    """One line; what a file's text or name holds cannot steer the terminal."""
    from harness.report.escape import one_line

    with suppress(OSError):  # nobody can be told: the code says it
        print(f"{name}: {one_line(error, _MOST_CHARACTERS)}", file=sys.stderr)
    return code


def _lacking(name: str, error: ImportError) -> int:
    """Of a Python without one of our packages. Raises the error where it is another's."""
    missing = missing_package(error)
    if missing is None:
        raise error
    return _complain(name, missing, EXIT_USER_ERROR)


def _last_words(kind: type[BaseException], error: BaseException, trace: "TracebackType | None") -> None:
    """Of a `python -m harness.NAME` whose file could not be imported whole: `run` was never called."""
    if isinstance(error, KeyboardInterrupt):
        print("\nharness: interrupted before it began", file=sys.stderr)
        raise SystemExit(EXIT_INTERRUPTED)
    said = missing_package(error) if isinstance(error, ImportError) else None
    if said is None:
        sys.__excepthook__(kind, error, trace)
        return
    raise SystemExit(_complain(_typed(), said, EXIT_USER_ERROR))


def _typed() -> str:
    """The module after `python -m`; "" where another program runs."""
    return getattr(getattr(sys.modules.get("__main__"), "__spec__", None), "name", "")


if _typed().startswith("harness."):
    sys.excepthook = _last_words
