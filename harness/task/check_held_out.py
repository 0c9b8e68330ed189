"""Can what is held out be made again by somebody who has all that a trial and an agent can see, and the programs?

With the referee's secret it cannot: two secrets give two held-out sets, and the secret stands in no file.
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

Finding = tuple[bool | None, str]
"""(right, wrong or neither; a line about it)"""


def held_out(task: Task, profile: str, data: TaskData) -> Finding:
    """Whether the held-out data are the referee's alone. Draws them once more, with another secret."""
    if takes_secret(task):
        return _two_draws(data, golden_data(task, profile))
    if not (again := made_again(task, profile, data)):
        return (
            True,
            "held-out data again: the task's programs alone, without its other files, do not make them",
        )
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
                f"held-out data again: two secrets give the same {split.value}; prepare() must use `secret`",
            )
    share = shared_windows(data.private, other.private, different)
    text = f"held-out data again: two secrets give two sets, {share:.1%} of the one is in the other"
    return share <= MOST_SHARED, text


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
            return []  # it needs more than a candidate can have
        made = digests(out / "private")
    return sorted(name for name, digest in digests(data.private).items() if made.get(name) == digest)


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
