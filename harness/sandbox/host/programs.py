"""What of the machine a program needs in its sandbox: never its whole prefix, which may be somebody's home."""

import glob
import os


def needed_by(program: str) -> list[str]:
    """A binary comes with the shared libraries of its prefix, a script with what lies beside it.

    program: a real path. What lies beside a script is left out where that would be somebody's home.
    """
    folder = os.path.dirname(program)
    if _is_binary(program):
        libraries = glob.glob(os.path.join(glob.escape(os.path.dirname(folder)), "lib", "lib*.so*"))
        return [program, *sorted(libraries)]
    home = os.path.realpath(os.path.expanduser("~"))
    return [program] if os.path.commonpath([folder, home]) == folder else [folder]


def _is_binary(program: str) -> bool:
    try:
        with open(program, "rb") as file:
            return file.read(4) == b"\x7fELF"
    except OSError:  # it may be executed and not read
        return True
