"""Writes the trial's tree, and (without a mount namespace) its folders."""

import base64
import os
import shutil

from harness.sandbox_launcher.plan import Plan


def write_tree(plan: Plan, root: str) -> None:
    """The source tree under `root`, readable by everyone and writable by nobody but us."""
    for name, text in plan.tree.items():
        parts = name.split("/")
        if name.startswith("/") or any(part in {"", ".", ".."} for part in parts):
            raise ValueError(f"bad path in the tree: {name!r}")
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        with open(path, "wb") as file:
            file.write(base64.b64decode(text))
        os.chmod(path, 0o444)


def make_plain_folders(plan: Plan) -> None:
    """Levels 0 and 1: ordinary folders below `plan.folder`; public data are copied so that any user can read."""
    os.chmod(plan.folder, 0o711)
    os.mkdir(plan.place("tree"), 0o755)
    write_tree(plan, plan.place("tree"))
    os.mkdir(plan.place("data"), 0o755)
    if plan.public:
        for entry in os.scandir(plan.public):
            if entry.name != plan.hidden:
                _copy(entry.path, os.path.join(plan.place("data"), entry.name))
    for name in ("out", "tmp"):
        os.mkdir(plan.place(name), 0o700)
        if plan.uid is not None:
            os.chown(plan.place(name), plan.uid, plan.uid)


def _copy(source: str, target: str) -> None:
    if os.path.isdir(source):
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)
