"""The Python that untrusted programs get: ours, read-only, with no way in.

Flags: `-s -P -S -B -u`: no user site, no current folder on the path, no site module (so no .pth file, no
sitecustomize, no editable install), no bytecode written, nothing lost in a buffer at the deadline. Not `-I`, which
would ignore PYTHONHASHSEED: a set of strings would be walked in another order in every trial. The environment is
ours from the first byte, so honouring PYTHON* is safe, and programs that a candidate starts inherit the settings.
"""

import os
import sys
from collections.abc import Sequence
from functools import cache

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/opt/rocm")
_PACKAGE_FOLDERS = {"site-packages", "dist-packages"}
# The library folders come behind the standard library and the candidate's tree last: a file named torch.py or
# random.py in the tree shadows nothing.
_SET_UP = """\
def _start():
    import site
    import sys
    sys.prefix = sys.exec_prefix = {prefix!r}
    sys.path += {packages!r}
    site.setquit()
    site.setcopyright()
    site.sethelper()
"""
_COLD = """\
    for name in {imports!r}:
        try:
            __import__(name)
        except Exception:
            pass
    sys.path.append({tree!r})
    del sys.argv[0]
    prelude = {prelude!r}
"""
# The launcher's modules (launcher/warm.py) are on the path while they are imported, and gone before the program begins.
_WARM = """\
    sys.path.append({ours!r})
    from harness.sandbox.launcher.warm import serve
    sys.path.remove({ours!r})
    prelude = serve({channel}, {imports!r}, {packages!r})
    del serve
"""
_PROGRAM = """\
    if prelude:
        with open(prelude, "rb") as file:
            exec(compile(file.read(), prelude, "exec"), {"__name__": "prelude"})
    main = sys.modules["__main__"].__dict__
    main["__file__"] = sys.argv[0]
    del main["_start"]
    with open(sys.argv[0], "rb") as file:
        code = compile(file.read(), sys.argv[0], "exec")
    exec(code, main)
_start()
"""
_ROOM_BYTES = 4096  # on its command line, for that of the program
_FLAGS = ("-s", "-P", "-S", "-B", "-u", "-c")


def package_folders() -> list[str]:
    """The folders of installed libraries on our own path; a checkout or an editable install is none."""
    return [path for path in sys.path if os.path.basename(path) in _PACKAGE_FOLDERS and os.path.isdir(path)]


def command_line(
    script: str,
    arguments: tuple[str, ...],
    tree: str,
    packages: Sequence[str] | None = None,
    prelude: str = "",
    imports: Sequence[str] = (),
) -> list[str]:
    """Run `script` as __main__ with the library folders (or `packages` in their place) and then `tree` on the path.

    prelude: a file that is run before it, "" for none. imports: modules of libraries to import before that.
    """
    begin = _COLD.format(imports=list(imports), tree=tree, prelude=prelude)
    return [sys.executable, *_FLAGS, _set_up(packages) + begin + _PROGRAM, script, *arguments]


def warm_command_line(imports: Sequence[str], channel: int, ours: str) -> list[str]:
    """The same Python, which imports and then waits at `channel` for what to be. ours: the folder of our package."""
    begin = _WARM.format(imports=list(imports), channel=channel, ours=ours, packages=package_folders())
    return [sys.executable, *_FLAGS, _set_up(None) + begin + _PROGRAM, " " * _ROOM_BYTES]


def _set_up(packages: Sequence[str] | None) -> str:
    folders = package_folders() if packages is None else packages
    return _SET_UP.format(prefix=sys.prefix, packages=[*folders])


@cache
def readable_folders() -> tuple[str, ...]:
    """Absolute paths that must be visible for the interpreter, its libraries and compilers to work."""
    named = [sys.base_prefix, sys.prefix, *package_folders(), *_SYSTEM]
    paths = dict.fromkeys(
        path for name in named for path in (name, os.path.realpath(name)) if os.path.exists(path)
    )
    folders = [path for path in paths if not _inside(path, [other for other in paths if other != path])]
    return (*folders, *(link for link in _chain(sys.executable) if not _inside(link, folders)))


def reachable_by_others() -> bool:
    """Whether any user could open the interpreter: False for one below a closed home folder such as /root."""
    return all(_open_to_others(path) for path in readable_folders())


def _chain(path: str) -> list[str]:
    """`path` and what it points to, link by link."""
    found = [path]
    while os.path.islink(path):
        path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
        found.append(path)
    return found


def _inside(path: str, folders: list[str]) -> bool:
    return any(path.startswith(f"{folder.rstrip('/')}/") for folder in folders if not os.path.islink(folder))


def _open_to_others(path: str) -> bool:
    if not os.stat(path).st_mode & 0o004:
        return False
    parent = os.path.realpath(path)
    while parent != "/":
        parent = os.path.dirname(parent)
        if not os.stat(parent).st_mode & 0o001:
            return False
    return True
