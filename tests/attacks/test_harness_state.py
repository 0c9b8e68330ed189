"""Group F (and C12, A8): the referee's state, its other processes, the machine's memory, disk and sockets."""

# ruff: noqa: E501 -- lines of the candidates' source text

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sandbox_levels import TrialBench, processes_named

from harness.records import Level, Outcome
from harness.trial.gate_keeper import TrainingFiles


def test_other_processes_are_out_of_reach(bench: TrialBench) -> None:
    """C12, A8: no environment, memory or descriptor of the launcher or the referee, by /proc or by ptrace."""
    source = (
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "others = [p for p in {*tried(lambda: os.listdir('/proc')), '1', str(os.getppid()), REFEREE} if p.isdigit() and p != str(os.getpid())]\n"
        "seen = []\n"
        "for p in others:\n"
        "    for f in ('environ', 'mem', 'maps', 'cwd/.', 'root/etc/hostname', 'fd/0', 'task/' + p + '/environ'):\n"
        "        a = tried(lambda: open(f'/proc/{p}/{f}', 'rb').read(10))\n"
        "        if isinstance(a, bytes): seen.append([p, f])\n"
        "    if libc.ptrace(16, int(p), 0, 0) == 0: seen.append([p, 'ptrace'])\n"
        "finish(seen)"
    ).replace("REFEREE", repr(str(os.getpid())))
    assert bench.said(source) == []


def test_own_process_is_open_to_itself(bench: TrialBench) -> None:
    """The twin: what libraries read about their own process is there."""
    source = "finish([len(open('/proc/self/' + f, 'rb').read()) > 0 for f in ('status', 'maps', 'stat', 'cmdline')])"
    assert bench.said(source) == [True] * 4


def test_signals_do_not_leave_the_trial(bench: TrialBench) -> None:
    """F5: killing or stopping everything it can name, a trial harms only itself; it is ended in time as ever."""
    source = (
        "finish()\n"
        f"for p in ({os.getpid()}, os.getppid(), 1):\n"
        "    if p == os.getpid(): continue\n"
        "    for n in (signal.SIGSTOP, signal.SIGKILL, signal.SIGTERM, signal.SIGINT): tried(lambda: os.kill(p, n))\n"
        "tried(lambda: os.kill(-1, signal.SIGSTOP)); tried(lambda: os.kill(-1, signal.SIGKILL))\n"
        "time.sleep(30)"
    )
    result = bench.trial(source, seconds=0.7)
    assert result.outcome is Outcome.COMPLETED
    assert result.reason == "deadline"


def test_no_way_out_by_socket(bench: TrialBench) -> None:
    """F7, F8, B12: no family but AF_UNIX, no io_uring, no abstract socket of the machine, no loopback."""
    name = f"harness-test-{os.getpid()}-{bench.sandbox.level}"
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(f"\0{name}")
        abstract.listen()
        source = (
            "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
            "made = [f for f in range(50) if f != 1 and not isinstance(tried(lambda: socket.socket(f, socket.SOCK_DGRAM)), str)]\n"
            "made += [f for f in range(50) if f != 1 and not isinstance(tried(lambda: socket.socket(f, socket.SOCK_RAW)), str)]\n"
            f"s = socket.socket(socket.AF_UNIX); abstract = tried(lambda: s.connect(chr(0) + {name!r}))\n"
            "ring = libc.syscall(425, 1, ctypes.create_string_buffer(200))\n"
            f"tcp = tried(lambda: socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 1) and 'in')\n"
            "finish([made, abstract, ring, tcp])"
        )
        made, reached, ring, tcp = bench.said(source)
    assert made == []
    assert reached in {"ConnectionRefusedError", "PermissionError"}
    assert ring == -1
    assert tcp == "OSError"


def test_own_sockets_work(bench: TrialBench) -> None:
    """The twin: processes of one trial can talk to each other, by socket pair and by a named socket in tmp."""
    source = (
        "a, b = socket.socketpair(); a.send(b'x')\n"
        "s = socket.socket(socket.AF_UNIX); s.bind(os.environ['HOME'] + '/s'); s.listen()\n"
        "c = socket.socket(socket.AF_UNIX); c.connect(os.environ['HOME'] + '/s')\n"
        "finish(b.recv(1).decode())"
    )
    assert bench.said(source) == "x"


def test_memory_is_capped(bench: TrialBench) -> None:
    """F5: who takes more memory than the limit is ended for it, and it is the candidate's crash."""
    source = "keep = []\nfor _ in range(100): keep.append(bytearray(b'x') * (8 << 20)); time.sleep(0.005)\ntime.sleep(20)"
    result = bench.trial(source, memory_bytes=128 << 20)
    assert (result.outcome, result.reason) == (Outcome.CRASHED, "memory")


def test_memory_of_children_counts_together(bench: TrialBench) -> None:
    """F5: four children below the limit are above it together; pages shared after a fork count once."""
    take = "keep = bytearray(b'x') * (60 << 20)\n"
    attack = "for _ in range(4):\n    if os.fork() == 0: " + take.strip() + "; time.sleep(20)\ntime.sleep(20)"
    honest = (
        take
        + "for _ in range(4):\n    if os.fork() == 0: time.sleep(0.3); os._exit(0)\ntime.sleep(0.4)\nfinish()"
    )
    limit = 128 << 20
    assert bench.trial(attack, memory_bytes=limit).reason == "memory"
    assert bench.answer(bench.trial(honest, memory_bytes=limit)) == 0


FILL = "for n in range(200): {one}; time.sleep(0.003)\ntime.sleep(20)"
HIDDEN_MEMORY = {
    "memfd": "f = os.memfd_create('x')\n" + FILL.format(one="os.write(f, bytes(1 << 20))"),
    "memfd-of-a-child": "f = os.memfd_create('x')\nif os.fork(): os.close(f); time.sleep(20)\n"
    + FILL.format(one="os.write(f, bytes(1 << 20))"),
    "shared-mapping": "m = mmap.mmap(-1, 200 << 20)\n"
    + FILL.format(one="m[n << 20 : n + 1 << 20] = bytes(1 << 20)"),
    "mapped-and-closed": "f = os.memfd_create('x'); os.ftruncate(f, 200 << 20); m = mmap.mmap(f, 200 << 20); os.close(f)\n"
    + FILL.format(one="m[n << 20 : n + 1 << 20] = bytes(1 << 20)"),
    "mapped-and-let-go": "m = mmap.mmap(-1, 200 << 20)\n"
    + FILL.format(one="m[n << 20 : n + 1 << 20] = bytes(1 << 20); m.madvise(mmap.MADV_DONTNEED)"),
    "spread": "ms = [mmap.mmap(-1, 10 << 20) for _ in range(20)]\n"
    + FILL.format(one="ms[n // 10][(n % 10) << 20 : (n % 10 + 1) << 20] = bytes(1 << 20)"),
    "unlinked": "p = os.environ['SHM'] + '/x'; f = os.open(p, os.O_CREAT | os.O_RDWR); os.unlink(p)\n"
    + FILL.format(one="os.write(f, bytes(1 << 20))"),
    "sent-and-not-received": "import socket\nends = [socket.socketpair() for _ in range(20)]\n"
    "for one, _ in ends:\n"
    "    f = os.memfd_create('x'); os.write(f, bytes(10 << 20)); socket.send_fds(one, [b'x'], [f]); os.close(f)\n"
    "time.sleep(20)",
    "tables-of-pages": "import ctypes\nlibc = ctypes.CDLL(None); libc.mmap.restype = ctypes.c_void_p; size = 1 << 40\n"
    "libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]\n"
    "first = libc.mmap(None, size, 1, 0x4022, -1, 0)\n"  # nothing is ever written there
    "libc.madvise(ctypes.c_void_p(first), ctypes.c_size_t(size), 15)\n"
    "for place in range(first, first + (120 << 30), 2 << 20): ctypes.string_at(place, 1)\ntime.sleep(20)",
}


@pytest.mark.parametrize("kind", HIDDEN_MEMORY)
def test_memory_in_files_counts(bench: TrialBench, kind: str) -> None:
    """H4: memory files, shared mappings, what is unlinked: none is a way round the limit."""
    source = "import mmap\nos.environ['SHM'] = '/dev/shm' if tried(lambda: Path('/dev/shm/t').touch()) is None else ''\n"
    if kind == "unlinked":
        source += "if not os.environ['SHM']: sys.exit(77)\n"
    result = bench.trial(
        source + HIDDEN_MEMORY[kind], memory_bytes=128 << 20, seconds=30, temporary_bytes=256 << 20
    )
    if result.reason == "exit_77":
        pytest.skip("isolation level L1 has no /dev/shm where the interpreter lies in a closed folder")
    assert (result.outcome, result.reason) == (Outcome.CRASHED, "memory")
    assert "MiB of memory in use, 128 allowed" in result.log


def test_files_that_are_passed_on_are_nobodys_excess(bench: TrialBench) -> None:
    """The twin: files of memory sent from process to process, for longer than a look, within the limit; and a file that
    is on its way while nothing else is held."""
    source = (
        "for n in range(12):\n"
        "    one, other = socket.socketpair(); f = os.memfd_create('x'); os.write(f, bytes(8 << 20))\n"
        "    socket.send_fds(one, [b'x'], [f]); os.close(f); time.sleep(0.1)\n"
        "    (f,) = socket.recv_fds(other, 1, 1)[1]; os.close(f)\n"
        "socket.send_fds(one, [b'x'], [os.memfd_create('y')]); time.sleep(1.5)\nfinish(7)"
    )
    assert bench.said(source, memory_bytes=128 << 20, seconds=20) == 7


def test_training_data_in_memory_are_not_the_trials(bench: TrialBench, tmp_path: Path) -> None:
    """The twin: mapping training data larger than the limit costs nothing; nor do two processes that share a mapping."""
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "tokens.txt").write_bytes(bytes(200 << 20))
    training, bench.training = bench.training, TrainingFiles(tmp_path / "train")
    source = (
        "import mmap\nf = open(open_gate(options.data)['tokens.txt'], 'rb')\n"
        "m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ); total = sum(m[::4096])\n"
        "own = mmap.mmap(-1, 60 << 20); own[:] = bytes(b'x') * (60 << 20)\n"
        "for _ in range(3):\n    if os.fork() == 0: sum(own[::4096]); time.sleep(0.3); os._exit(0)\n"
        "time.sleep(0.4)\nfinish(total)"
    )
    try:
        assert bench.said(source, memory_bytes=128 << 20, gated=True, seconds=20) == 0
    finally:
        bench.training.close()
        bench.training = training


def test_unlinked_files_fill_the_disk_too(bench: TrialBench) -> None:
    """H5: what is open and in no folder counts as stored, however many files it is in."""
    source = (
        "for n in range(40):\n"
        "    p = os.environ['TMPDIR'] + f'/{n}'; f = os.open(p, os.O_CREAT | os.O_RDWR); os.unlink(p)\n"
        "    for _ in range(4): os.write(f, bytes(1 << 20)); time.sleep(0.004)\n"
        "time.sleep(20)"
    )
    result = bench.trial(source, out_bytes=32 << 20, seconds=30)
    assert result.outcome is Outcome.CRASHED
    assert result.reason in {"disk", "exit_1"}


def test_the_memory_killer_takes_the_trial_first(bench: TrialBench) -> None:
    """H4: what a trial writes about itself does not last: the machine's memory killer takes it before the referee."""
    source = (
        "tried(lambda: Path('/proc/self/oom_score_adj').write_text('0'))\n"
        "end = time.monotonic() + 5\n"
        "while (now := Path('/proc/self/oom_score_adj').read_text()) != '1000\\n' and time.monotonic() < end: time.sleep(0.02)\n"
        "finish(int(now))"
    )
    assert bench.said(source, seconds=20) == 1000


MARKS = """
import fcntl, ctypes
path = open_gate(options.data)['tokens.txt']
n = int(path.rsplit('/', 1)[1]); state = os.fstat(n)
seen = [os.lseek(n, 0, os.SEEK_CUR), fcntl.fcntl(n, fcntl.F_GETFL) & 0o7777777 & ~os.O_CLOEXEC, state.st_atime_ns, state.st_mtime_ns,
        state.st_mode, fcntl.fcntl(n, fcntl.F_GETOWN), fcntl.fcntl(n, fcntl.F_GETLEASE), list(fcntl.fcntl(n, 1035, bytes(8)))]
tried(lambda: fcntl.flock(n, fcntl.LOCK_EX))
for act in (lambda: os.lseek(n, 3, 0), lambda: fcntl.fcntl(n, fcntl.F_SETFL, os.O_NONBLOCK | os.O_APPEND), lambda: os.read(n, 2),
            lambda: os.utime(n, ns=(7, 7)), lambda: os.fchmod(n, 0o640), lambda: fcntl.fcntl(n, fcntl.F_SETOWN, os.getpid()),
            lambda: fcntl.fcntl(n, fcntl.F_SETLEASE, fcntl.F_RDLCK), lambda: fcntl.fcntl(n, 1036, (3).to_bytes(8, 'little')),
            lambda: open(path).read()): tried(act)
if os.fork() == 0: os.setsid(); time.sleep(60)
finish(seen)
"""


def test_one_trial_finds_nothing_of_another_at_the_gate(bench: TrialBench) -> None:
    """H2: offset, flags, times, mode, owner, lease, hint of the gate's files: each trial finds them as if new."""
    first, second = (bench.said(MARKS, gated=True) for _ in range(2))
    assert first == second
    assert first[0] == first[2] == first[3] == 0


def test_a_full_disk_is_the_trials_own(bench: TrialBench) -> None:
    """F5: out/ and tmp have a size; who writes more crashes (or is stopped), and the machine's disk stays free."""
    source = (
        "for n in range(400):\n"
        "    for folder in (options.out, os.environ['HOME']):\n"
        "        Path(folder, f'fill-{n}').write_bytes(bytes(1 << 20)); time.sleep(0.001)\n"
        "finish()"
    )
    result = bench.trial(source, out_bytes=32 << 20, seconds=20)
    assert result.outcome is Outcome.CRASHED
    assert result.reason in {"disk", "exit_1"}


def test_a_million_files_are_too_many(bench: TrialBench) -> None:
    """F5: inodes are limited as bytes are."""
    source = "for n in range(100_000): os.close(os.open(f'{out}/{n}', os.O_CREAT | os.O_WRONLY))\nfinish()"
    result = bench.trial(source, seconds=30)
    assert result.outcome is Outcome.CRASHED
    assert result.reason in {"disk", "exit_1"}


def test_a_fork_bomb_is_contained(bench: TrialBench) -> None:
    """F5: processes are limited; the bomb ends with its trial and the referee goes on."""
    source = "finish()\nwhile True:\n    try: os.fork()\n    except OSError: time.sleep(0.01)"
    result = bench.trial(source, seconds=1, processes=3)
    assert result.reason in {"deadline", "memory"}
    assert bench.said("finish(1)") == 1


def test_key_rings_and_queues_are_closed(bench: TrialBench) -> None:
    """B8: the kernel's own stores that outlive a process cannot be used."""
    source = (
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "add = 248 if os.uname().machine == 'x86_64' else 217\n"
        "made = [libc.syscall(add, b'user', b'k', b'v', 1, -4), libc.shmget(7, 4096, 0o1666), libc.msgget(7, 0o1666), libc.semget(7, 1, 0o1666)]\n"
        "made.append(tried(lambda: os.setxattr(out, 'user.k', b'v')))\n"
        "made.append(tried(lambda: os.setxattr(sys.executable, 'user.k', b'v')))\nfinish(made)"
    )
    assert bench.said(source) == [-1, -1, -1, -1, "PermissionError", "PermissionError"]


def test_claims_are_numbers_from_a_plain_file(bench: TrialBench) -> None:
    """G7, F5: claims that are a link, or not finite numbers, are ignored; honest ones are shown."""
    honest = bench.trial(
        '(out / \'claims.jsonl\').write_text(\'{"loss": 2, "x": NaN, "y": "s", "z": true}\'); finish()'
    )
    assert dict(honest.claims) == {"loss": 2}
    linked = bench.trial("os.symlink('/dev/zero', out / 'claims.jsonl'); finish()")
    assert dict(linked.claims) == {}
    fifo = bench.trial("os.mkfifo(out / 'claims.jsonl'); finish()")
    assert dict(fifo.claims) == {}


def test_log_moves_no_cursor(bench: TrialBench) -> None:
    """G6: control characters, overwriting and reordering marks are shown, not obeyed."""
    result = bench.trial("os.write(1, 'a\\rb\\x1b[2J\\u202e\\x07é\\n'.encode()); finish()")
    assert result.log == "a\nb\\x1b[2J\\u202e\\x07é\n"


@pytest.mark.parametrize(
    "abuse",
    [
        "s = socket.socket(fileno=os.dup(int(os.environ['HARNESS_GATE'])))\ns.setblocking(False)\n"
        "for _ in range(100_000): tried(lambda: s.send(b'open'))\nfinish()",
        "s = socket.socket(fileno=os.dup(int(os.environ['HARNESS_GATE'])))\n"
        "tried(lambda: [socket.send_fds(s, [b'x' * 100], [0, 1, 2]) for _ in range(50)])\nfinish()",
        "os.close(int(os.environ['HARNESS_GATE']))\nfinish()",
    ],
    ids=["flood", "passes-descriptors", "hangs-up"],
)
def test_gate_survives_abuse(bench: TrialBench, abuse: str) -> None:
    """The gate's socket: floods, open files sent along and hanging up cost us nothing, and open nothing twice."""
    before = set(os.listdir("/proc/self/fd"))
    result = bench.trial(abuse, gated=True)
    assert result.outcome is Outcome.COMPLETED
    assert len(set(os.listdir("/proc/self/fd")) - before) <= 1  # the listing's own


def test_training_data_cannot_be_changed(bench: TrialBench) -> None:
    """B8: the memory files of the gate are sealed; asking twice gives the same."""
    source = (
        "t = open_gate(options.data); assert open_gate(options.data) is t\nimport mmap\np = t['tokens.txt']\n"
        "n = int(p.rsplit('/', 1)[1])\n"
        "finish([tried(lambda: os.pwrite(n, b'x', 0)), tried(lambda: os.ftruncate(n, 0)), tried(lambda: Path(p).write_bytes(b'x')),"
        " tried(lambda: mmap.mmap(n, 4)), tried(lambda: os.fchmod(n, 0))])"
    )
    answers = bench.said(source, gated=True)
    assert all(isinstance(answer, str) for answer in answers[:4]), answers
    assert answers[4] in {"PermissionError", None}  # without a user of its own it only seems to succeed
    assert (
        bench.said("finish(open(open_gate(options.data)['tokens.txt']).read())", gated=True)
        == "training data"
    )


def test_a_tree_that_cannot_be_written_is_the_candidates_fault(bench: TrialBench) -> None:
    """E2: paths that lead outside, or clash, crash the candidate, never the harness."""
    for name in ("../x", "/x", "a/../../x", "train.py/x", "a\0b", "x" * 300):
        result = bench.trial("finish()", tree={name: b""})
        assert (result.outcome, result.reason) == (Outcome.CRASHED, "bad_tree")
    assert bench.said("finish(1)", tree={"a/b/c.txt": b""}) == 1


START_AND_WAIT = """
import sys, time
from harness.records import Level
from harness.sandbox.open import Command, Sandbox
process = Sandbox(Level[sys.argv[1]]).start(Command("a.py", (sys.argv[2],), {"a.py": b'''
import os, signal, time
[signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)]
if os.fork() == 0: os.setsid()
time.sleep(100)'''}))
print("started", flush=True)
time.sleep(100)
"""


@pytest.mark.parametrize("number", [9, 15], ids=["kill", "term"])
def test_a_dead_referee_leaves_no_trial_behind(bench: TrialBench, temporary: Path, number: int) -> None:
    """F5: when the referee is killed outright, its trial ends, daemons and folders included."""
    word = f"orphan-{os.getpid()}-{number}"
    arguments = [sys.executable, "-c", START_AND_WAIT, bench.sandbox.level.name, word]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as referee:
        assert referee.stdout
        assert referee.stdout.readline() == b"started\n"
        assert len(processes_named(word)) >= 2
        referee.send_signal(number)
    for _ in range(200):
        left = [processes_named(word), list(temporary.iterdir())]
        if not any(left):
            break
        time.sleep(0.05)
    assert not any(left), left


def with_name(word: str) -> list[int]:
    """Ids of processes that gave themselves this name."""
    found = []
    for path in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            found += [int(path.parent.name)] if path.read_text().strip() == word else []
    return found


def test_trials_run_side_by_side(bench: TrialBench) -> None:
    """F8: two trials at once do not see each other: neither processes, nor files, nor sockets."""
    word = f"met-{os.getpid()}"
    source = (
        "import ctypes; going = []; signal.signal(signal.SIGUSR1, lambda *_: going.append(1))\n"
        "s = socket.socket(socket.AF_UNIX); bound = tried(lambda: s.bind(chr(0) + 'rendezvous'))\n"
        "tried(lambda: s.listen())\n"
        f"ctypes.CDLL(None).prctl(15, b'{word}')  # the name by which it is told that both have come so far\n"
        "while not going: time.sleep(0.01)\n"
        "c = socket.socket(socket.AF_UNIX); met = tried(lambda: c.connect(chr(0) + 'rendezvous'))\n"
        "tried(lambda: Path('/dev/shm/rendezvous').write_text('x'))\n"
        "finish([bound, met, [p for p in tried(lambda: os.listdir('/proc')) if p.isdigit() and p != '1' and int(p) != os.getpid()]])"
    )
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(bench.trial(source, seconds=60))) for _ in range(2)
    ]
    [thread.start() for thread in threads]
    while len(waiting := with_name(word)) < 2 and any(thread.is_alive() for thread in threads):
        time.sleep(0.05)
    [
        os.kill(process, signal.SIGUSR1) for process in waiting
    ]  # once: an interpreter that ends heeds no handler
    [thread.join() for thread in threads]
    first, second = (bench.answer(result) for result in results)
    if bench.sandbox.level >= Level.L2:
        assert first == second == [None, None, []]
    else:  # one network namespace: the name is taken for the other, who cannot connect to it
        assert sorted([first[0] is None, second[0] is None]) == [False, True]
        assert [answer[1] for answer in (first, second) if answer[0] is not None] in (
            ["PermissionError"],
            ["ConnectionRefusedError"],  # it was over before we asked
        )


def test_a_trial_result_can_go_to_the_ledger(bench: TrialBench) -> None:
    """Whatever a candidate prints or claims, the result is plain JSON."""
    from harness.ledger.plain import to_json

    result = bench.trial(
        "os.write(1, bytes(range(256))); (out / 'claims.jsonl').write_bytes(bytes(range(256))); finish()"
    )
    assert json.loads(json.dumps(to_json(result)))["outcome"] == "completed"
