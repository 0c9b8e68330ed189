"""Writes the trial's tree, and (without a mount namespace) its folders. Standard library only."""

import binascii
import json
import os

from harness.sandbox.launcher.plan import Plan

_COPY_BYTES = 1 << 24
CACHE_FOLDER = "cache"  # in the program's tmp


def write_tree(plan: Plan, root: str) -> None:
    """The source tree under `root`, readable by everyone and writable by nobody but us."""
    for name, text in plan.tree.items():
        assert not {"", ".", ".."} & set(name.split("/"))  # the referee has checked it
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        with open(path, "wb") as file:
            file.write(binascii.a2b_base64(text))
        os.chmod(path, 0o444)


def write_caches(plan: Plan, tmp: str) -> None:
    """What lies in the program's private folder of caches when it starts. tmp: where that folder is made.

    A packed file: one line of JSON, [[name, size], ...], then the contents. The descriptors are closed.
    """
    top = f"{tmp}/{CACHE_FOLDER}"
    made: set[str] = set()
    for number in plan.caches:
        with open(number, "rb") as file:
            for name, size in json.loads(file.readline()):
                assert not {"", ".", ".."} & set(name.split("/"))  # the referee has checked it
                _make_folders(plan, f"{top}/{name}".rpartition("/")[0], tmp, made)
                with open(f"{top}/{name}", "wb") as target:
                    target.write(file.read(size))
                _give(plan, f"{top}/{name}")


def _make_folders(plan: Plan, folder: str, top: str, made: set[str]) -> None:
    if folder == top or folder in made:
        return
    _make_folders(plan, folder.rpartition("/")[0], top, made)
    made.add(folder)
    if not os.path.isdir(folder):
        os.mkdir(folder, 0o700)
        _give(plan, folder)


def _give(plan: Plan, path: str) -> None:
    if plan.uid is not None:
        os.chown(path, plan.uid, plan.uid)


def make_plain_folders(plan: Plan) -> None:
    """Levels 0 and 1: ordinary folders below `plan.folder`; public data are copied so that any user can read."""
    os.chmod(plan.folder, 0o711)
    os.mkdir(plan.place("tree"), 0o755)
    write_tree(plan, plan.place("tree"))
    os.mkdir(plan.place("data"), 0o755)
    if plan.public:
        copy_open(plan.public, plan.place("data"), plan.hidden)
    for name, targets in plan.linked.items():
        os.makedirs(plan.place(name), 0o755)
        for target in targets:
            os.symlink(target, f"{plan.place(name)}/{os.path.basename(target)}")
    for name in ("out", "tmp"):
        os.mkdir(plan.place(name), 0o700)
        if plan.uid is not None:
            os.chown(plan.place(name), plan.uid, plan.uid)


def remove_plain_folders(plan: Plan) -> None:
    """The referee died: nobody else will do it. Does not return."""
    os.execve("/bin/rm", ["rm", "-rf", "--one-file-system", "--", plan.folder], {})


def open_to_all(folder: str) -> bool:
    """Whether every user may read everything in `folder`, given that it can get there."""
    for path, names, files in os.walk(folder):
        if os.stat(path).st_mode & 0o005 != 0o005:
            return False
        if any(not os.stat(f"{path}/{name}").st_mode & 0o004 for name in [*names, *files]):
            return False
    return True


def copy_open(source: str, target: str, hidden: str = "") -> None:
    """Copy what is in `source`, without its child `hidden`, into the folder `target`, readable by every user."""
    for name in os.listdir(source):
        if name == hidden:
            continue
        old, new = f"{source}/{name}", f"{target}/{name}"
        if os.path.isdir(old):
            os.mkdir(new, 0o755)
            copy_open(old, new)
            continue
        with open(old, "rb") as reading, open(new, "wb") as writing:
            while os.sendfile(writing.fileno(), reading.fileno(), None, _COPY_BYTES):
                pass
        os.chmod(new, 0o444)
