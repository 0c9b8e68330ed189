"""What many trials leave behind: nothing."""

import os
from collections import Counter
from pathlib import Path

import pytest
from sandbox_levels import TrialBench, processes_named

WORD = f"left-after-trial-{os.getpid()}"
MESSY = f"""
word = {WORD!r}
for folder in (options.out, os.environ['HOME'], '/tmp', '/dev/shm', '/var/tmp'):
    tried(lambda: Path(folder, word).write_text(word))
tried(lambda: os.makedirs(os.environ['HOME'] + '/deep' + '/d' * 40))
if os.fork() == 0:
    os.setsid()
    os.execv(sys.executable, [sys.executable, '-S', '-c', 'import time; time.sleep(300)', word])
time.sleep(0.02)
finish()
"""


def state_of_the_machine(temporary: Path) -> dict[str, object]:
    """Everything that a trial could leave behind outside its session's folder."""
    own = os.getpid()
    keys = (
        [line.split()[-1] for line in Path("/proc/keys").read_text().splitlines()]
        if Path("/proc/keys").exists()
        else []
    )
    return {
        "processes": processes_named(WORD),
        "children": Path(f"/proc/{own}/task/{own}/children").read_text().split(),
        "mounts": len(Path("/proc/self/mountinfo").read_text().splitlines()),
        "descriptors": Counter(map(_kind, os.listdir("/proc/self/fd"))),
        "threads": len(os.listdir("/proc/self/task")),
        "folders": sorted(temporary.iterdir()),
        "files": [str(path) for f in ("/tmp", "/var/tmp", "/dev/shm") for path in Path(f).glob(f"{WORD}*")],
        "shared memory": sum(map(_left_behind, Path("/proc/sysvipc/shm").read_text().splitlines()[1:])),
        "keys": sum(WORD in key for key in keys),
    }


def _left_behind(segment: str) -> bool:
    """Whether who made it has ended: tests beside this one make some, too."""
    return not Path("/proc", segment.split()[4]).exists()


def _kind(number: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{number}").split(":")[0]
    except FileNotFoundError:
        return "the listing"


def repeat_and_compare(bench: TrialBench, temporary: Path, times: int) -> None:
    bench.trial(MESSY)  # what is made once (caches of modules) is made now
    before = state_of_the_machine(temporary)
    for _ in range(times):
        assert bench.answer(bench.trial(MESSY, gated=True)) == 0
    assert state_of_the_machine(temporary) == before


def test_ten_trials_leave_nothing(bench: TrialBench, temporary: Path) -> None:
    """No process, mount, descriptor, thread, folder, file, segment or key of ten messy trials is left."""
    repeat_and_compare(bench, temporary, 10)


@pytest.mark.slow
def test_a_hundred_trials_leave_nothing(bench: TrialBench, temporary: Path) -> None:
    """The same of a hundred."""
    repeat_and_compare(bench, temporary, 100)
