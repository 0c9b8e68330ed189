"""Can what is held out be made again by somebody who has all that a trial and an agent can see, and the programs?

With the referee's secret it cannot: two secrets give two held-out sets, and the secret stands in no file. Nor can it
where prepare.py chooses among rows of a file that lies in the task's folder and in no trial: two such choices overlap.
"""

import base64
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from harness.errors import UserError
from harness.records import Split
from harness.task.check_leak import leak
from harness.task.golden import golden_data
from harness.task.prepare import held_out_secret, make_data, takes_secret
from harness.task.task import GIVE_A_REASON, Task, TaskData

MOST_SHARED = 0.5  # of one draw's windows that another draw may hold: two splits of one corpus overlap

_NOT_ALONE = (
    "the task's programs alone, without its other files, do not make them, and no trial can read those"
)
_CURES = (
    "the programs alone make them, so a candidate can, too: draw each split with `secret`, or choose rows of a file in"
    " the task's folder, which no trial can read"
)

Finding = tuple[bool | None, str]
"""(right, wrong or neither; a line about it)"""


def held_out(task: Task, profile: str, data: TaskData) -> Finding:
    """Whether the held-out data are the referee's alone. Draws them once more, with another secret."""
    if takes_secret(task):
        right, text = _two_draws(data, golden_data(task, profile))
        if right or programs_make(task, profile) is not None:
            return right, text if right else f"{text}; {_CURES}"
        return True, f"{text}; {_NOT_ALONE}"
    if not (again := made_again(task, profile, data)):
        return True, f"held-out data again: {_NOT_ALONE}"
    text = f"held-out data again: the task's programs alone make {', '.join(again)} anew"
    if task.fixed_held_out_because:
        return None, f"{text}; task.yaml says why: {task.fixed_held_out_because}"
    return (
        False,
        f"{text}, so a candidate can, too: let prepare() take `secret` and draw or choose them with it",
    )


def _two_draws(data: TaskData, other: TaskData) -> Finding:
    one, two = digests(data.private), digests(other.private)
    different = {name for name in one if one[name] != two.get(name)}
    for split in Split:
        named = {name for name in one if split.value in name}
        if not different or (named and not named & different):
            return (
                False,
                f"held-out data again: two secrets give the same {split.value}",
            )
    share = shared_windows(data.private, other.private, different)
    text = f"held-out data again: two secrets give two sets, {share:.1%} of the one is in the other"
    right = share <= MOST_SHARED
    return right, text if right else f"{text} (the limit is {MOST_SHARED:.0%})"


def shared_windows(one: Path, other: Path, names: Iterable[str]) -> float:
    """Share of windows of bytes of files in `one` that occur in the files of the same names in `other`."""
    with tempfile.TemporaryDirectory() as place:
        for folder in (one, other):
            for name in names:
                link = Path(place, "one" if folder is one else "other", name)
                link.parent.mkdir(parents=True, exist_ok=True)
                if (folder / name).exists():
                    link.symlink_to((folder / name).resolve())
        (Path(place) / "other").mkdir(exist_ok=True)
        return leak(Path(place, "other"), Path(place, "one"))[0]


def made_again(task: Task, profile: str, data: TaskData) -> list[str]:
    """Private files that prepare.py makes byte for byte from the task's programs and public downloads alone."""
    made = programs_make(task, profile) or {}
    return sorted(name for name, digest in digests(data.private).items() if made.get(name) == digest)


def programs_make(task: Task, profile: str) -> dict[str, str] | None:
    """Private files by their digests that prepare.py makes from the task's programs, public downloads and a secret of
    its own; None: it cannot, it needs other files of the task's folder, which no candidate has."""
    programs = {**task.source(), **task.fixed_files()}
    with tempfile.TemporaryDirectory() as place:
        folder, out = Path(place, task.name), Path(place, "made")
        out.mkdir()
        for name, content in programs.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        shutil.copyfile(task.path / "task.yaml", folder / "task.yaml")
        try:
            make_data(folder, profile, out, secrets.token_bytes(32))
        except UserError:
            return None
        return digests(out / "private")


def secret_shown(task: Task, profile: str, data: TaskData) -> Finding:
    """Whether the secret itself stands in something that was made with it, or that a trial or an agent can see."""
    secret = held_out_secret(task, profile)
    forms = [
        secret,
        secret.hex().encode(),
        base64.b64encode(secret).rstrip(b"="),
        str(int.from_bytes(secret)).encode(),
    ]
    trees = [("the tree", content) for content in task.source().values()]
    files = [path for folder in (data.public, data.private) for path in folder.rglob("*") if path.is_file()]
    places = [*trees, *((str(path), path.read_bytes()) for path in files)]
    found = sorted({place for place, content in places if any(form in content for form in forms)})
    return not found, "the secret: " + (f"it stands in {', '.join(found)}" if found else "in no file")


def tree_shown(task: Task) -> Finding:
    """What of the referee's own programs an agent and a trial may read."""
    shown = [name for name in ("prepare.py", "evaluate.py") if name in task.readable]
    if not shown:
        return True, "what a trial can read: neither prepare.py nor evaluate.py"
    if task.shown_without_reason:
        return False, f"what a trial can read: {task.shown_without_reason}; {GIVE_A_REASON}"
    return None, f"what a trial can read: {' and '.join(shown)}; task.yaml says why: {task.readable_because}"


def digests(folder: Path) -> dict[str, str]:
    """Relative name -> SHA-256 of every file."""
    files = (Path(place, name) for place, _, names in os.walk(folder) for name in names)
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
