"""Locks work on a program's own files, and on no file that other programs see."""

import pytest
from sandbox_levels import TrialBench

from harness.sandbox.launcher.requests import copies_descriptors

SHARED = """
import fcntl, struct
shared = [json.__file__, sys.argv[0], str(data / "meta.json"), "/dev/null"]
def ranged(command, kind):
    return struct.pack("hhqqi4x", kind, 0, 5, 7, 0), command
got = []
for path in shared:
    file = os.open(path, os.O_RDONLY)
    for how in (fcntl.LOCK_SH, fcntl.LOCK_EX, fcntl.LOCK_SH | fcntl.LOCK_NB, fcntl.LOCK_EX | fcntl.LOCK_NB):
        got.append(tried(lambda: fcntl.flock(file, how)))
    for command in (5, 6, 7, 36, 37, 38):
        for kind in (fcntl.F_RDLCK, fcntl.F_WRLCK, fcntl.F_UNLCK):
            got.append(tried(lambda: fcntl.fcntl(file, command, struct.pack("hhqqi4x", kind, 0, 5, 7, 0))))
memory = os.memfd_create("x")
got.append(tried(lambda: fcntl.flock(memory, fcntl.LOCK_EX)))
finish(got)
"""

SWAPPED = """
import fcntl, threading
own, there = os.open(out / "own", os.O_CREAT | os.O_RDWR), os.open(json.__file__, os.O_RDONLY)
moving, over = os.dup(own), []
def swap():
    while not over:
        os.dup2(there, moving); os.dup2(own, moving)
threading.Thread(target=swap, daemon=True).start()
for _ in range(200):
    tried(lambda: fcntl.flock(moving, fcntl.LOCK_EX | fcntl.LOCK_NB))
over.append(1)
locked = [line for line in open("/proc/self/fdinfo/%d" % there) if line.startswith("lock:")]
finish(locked)
"""

OWN = """
import fcntl, struct, threading
first, second = (os.open(Path(os.environ["TMPDIR"]) / "lock", os.O_CREAT | os.O_RDWR) for _ in range(2))
got = [tried(lambda: fcntl.flock(first, fcntl.LOCK_EX))]
got.append(tried(lambda: fcntl.flock(second, fcntl.LOCK_SH | fcntl.LOCK_NB)))
freed = []
def free():
    time.sleep(.1); freed.append(True); fcntl.flock(first, fcntl.LOCK_UN)
threading.Thread(target=free).start()
got.append(tried(lambda: fcntl.flock(second, fcntl.LOCK_EX)))
got.append(bool(freed))
fcntl.flock(second, fcntl.LOCK_UN)

got.append(tried(lambda: fcntl.lockf(first, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 3)))
if os.fork() == 0:
    own = os.open(Path(os.environ["TMPDIR"]) / "lock", os.O_RDWR)
    told = [tried(lambda: fcntl.lockf(own, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, start)) for start in (13, 5)]
    asked = fcntl.fcntl(own, fcntl.F_GETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 5, 1, 0))
    (out / "told").write_text(json.dumps([*told, struct.unpack("hhqqi4x", asked)[:4]]))
    os._exit(0)
os.wait()
got += json.loads((out / "told").read_text())
import sqlite3
base = sqlite3.connect(Path(os.environ["TMPDIR"]) / "base")
base.execute("create table t (x)"); base.execute("insert into t values (7)"); base.commit(); base.close()
got.append(sqlite3.connect(Path(os.environ["TMPDIR"]) / "base").execute("select x from t").fetchall())
finish(got)
"""


def test_no_lock_on_what_others_see(bench: TrialBench) -> None:
    """Libraries, data and source are there for every program: a lock would be a word to one that runs beside it."""
    assert set(bench.said(SHARED)) == {"PermissionError"}


def test_a_descriptor_that_leads_elsewhere_meanwhile_gains_nothing(bench: TrialBench) -> None:
    """What is looked at is what is locked."""
    if not copies_descriptors():
        pytest.skip("pidfd_getfd is refused here, as in a container with default rights")
    assert bench.said(SWAPPED) == []


def test_locks_on_ones_own_files_work(bench: TrialBench) -> None:
    """flock, lockf and sqlite: exclusive, waited for, by ranges, between processes."""
    expected = [None, "BlockingIOError", None, True, None, None, "BlockingIOError", [1, 0, 3, 10], [[7]]]
    assert bench.said(OWN) == expected
