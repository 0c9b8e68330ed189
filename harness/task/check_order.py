"""Does a task's `reorder` give the same training data in another order, the same one for the same seed, and cheaply?"""

import tempfile
import time
from pathlib import Path

from harness.errors import InfrastructureError
from harness.task.check_held_out import Finding, digests
from harness.task.reorder import Reorderer
from harness.task.task import Profile, Task, TaskData

MOST_SHARE = 0.01  # of a trial's seconds


def reordering(task: Task, profile: Profile, data: TaskData) -> Finding:
    train = data.public / "train"
    reorderer = Reorderer(task)
    try:
        with tempfile.TemporaryDirectory() as place:
            return _compared(reorderer, train, Path(place), profile)
    except InfrastructureError as error:
        return False, f"order of the data: {error}"
    finally:
        reorderer.close()


def _compared(reorderer: Reorderer, train: Path, place: Path, profile: Profile) -> Finding:
    made, seconds = {}, profile.seconds
    for name, seed in (("warm", 0), ("one", 1), ("again", 1), ("other", 2)):
        (place / name).mkdir()
        start = time.monotonic()
        if not reorderer.reorder(train, place / name, seed):
            return (
                None,
                "order of the data: always the same, prepare.py has no reorder(train, out, seed)",
            )
        seconds = min(seconds, time.monotonic() - start)
        made[name] = digests(place / name)
    before = digests(train)
    if unknown := made["one"].keys() - before.keys():
        return False, f"order of the data: reorder() writes {', '.join(sorted(unknown))}, no file of train/"
    if made["one"] != made["again"]:
        return False, "order of the data: reorder() gives two orders for one seed"
    if made["one"] == made["other"] or not made["one"]:
        return False, "order of the data: reorder() gives the same for two seeds"
    sizes = [name for name in made["one"] if _size(place / "one" / name) != _size(train / name)]
    if sizes:
        return False, f"order of the data: {', '.join(sizes)} has another size after reorder()"
    share = seconds / profile.seconds
    text = f"order of the data: another one for each seed, {1000 * seconds:.0f} ms or {share:.2%} of a trial"
    return (True if share <= MOST_SHARE else None), text


def _size(file: Path) -> int:
    return file.stat().st_size
