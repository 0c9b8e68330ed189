"""Group B: more time or compute than the budget gives. Each attack stands beside an honest twin of its shape."""

# ruff: noqa: E501 -- lines of the candidates' source text

import pytest
from sandbox_levels import TrialBench, processes_named

from harness.records import Outcome

TRAIN = "t = open_gate(options.data); {work}\nfinish({{'tokens': Path(t['tokens.txt']).read_text()}})\n"


def test_an_honest_trial_completes(bench: TrialBench) -> None:
    """The plain twin of everything here: its artefact is taken, its time is billed from the gate."""
    result = bench.trial(TRAIN.format(work="time.sleep(0.2)"), gated=True)
    assert bench.answer(result) == {"tokens": "training data"}
    assert result.outcome is Outcome.COMPLETED
    assert result.reason == ""
    assert 0.2 <= result.billed_seconds <= result.wall_seconds
    assert result.startup_seconds > 0


def test_patched_clocks_do_not_stretch_the_deadline(bench: TrialBench) -> None:
    """B1: the referee's clock ends a trial whose own clocks stand still."""
    source = "t0 = time.time()\nfor n in ('time', 'monotonic', 'perf_counter', 'process_time'): setattr(time, n, lambda: t0)\n"
    result = bench.trial(source + "while time.time() - t0 < 1: pass\nfinish()", seconds=0.5)
    assert (result.outcome, result.reason) == (Outcome.TIMED_OUT, "deadline")
    assert result.billed_seconds >= 0.5


def test_an_artefact_before_the_deadline_counts_after_the_kill(bench: TrialBench) -> None:
    """The twin of the above: what was written in time is taken although the program had to be killed."""
    result = bench.trial("finish({'step': 1})\ntime.sleep(60)", seconds=0.5)
    assert bench.answer(result) == {"step": 1}
    assert result.reason == "deadline"


def test_training_data_cannot_be_reached_before_the_gate(bench: TrialBench) -> None:
    """B2: no training file is anywhere in sight before the gate opens; after it, the file is there."""
    source = (
        "train = tried(lambda: os.listdir(data / 'train'))\n"
        "seen = [str(p) for p in Path('/proc/self/fd').iterdir() if 'tokens' in tried(lambda: os.readlink(p))]\n"
        "t = open_gate(options.data)\nfinish([train, seen, open(t['tokens.txt']).read()])"
    )
    train, seen, tokens = bench.said(source, gated=True)
    assert train in ([], "FileNotFoundError")
    assert seen == []
    assert tokens == "training data"


def test_work_before_the_gate_is_capped(bench: TrialBench) -> None:
    """B2: who never opens the gate is ended by the cap on start-up, artefact or not."""
    result = bench.trial("finish()\ntime.sleep(60)", gated=True, startup=0.5)
    assert (result.outcome, result.reason) == (Outcome.TIMED_OUT, "startup")
    assert result.artefact == ""


def test_without_the_gate_everything_is_billed(bench: TrialBench) -> None:
    """B2: an artefact of unbilled work before a gate that was never opened comes too late."""
    result = bench.trial("time.sleep(1.6)\nfinish()", gated=True, seconds=1)
    assert (result.outcome, result.reason) == (Outcome.TIMED_OUT, "late")


def test_a_daemon_does_not_outlive_its_trial(bench: TrialBench) -> None:
    """B4, A13, B16: a grandchild that made itself a daemon is gone, and its late overwrite never happens."""
    source = (
        "sys.argv.append('x'); os.environ['WORD'] = 'daemon'\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 3, 15)]\n"
        "        os.execv(sys.executable, [sys.executable, '-S', '-c', '''\n"
        "import os, sys, time\n"
        "for _ in range(3000):\n"
        "    time.sleep(0.01); open(sys.argv[1] + 'x', 'w').write('\"late\"'); os.replace(sys.argv[1] + 'x', sys.argv[1])\n"
        "''', str(out / 'model.json'), 'left-behind'])\n"
        "    os._exit(0)\n"
        "os.wait(); finish('in time')\n"
    )
    result = bench.trial(source)
    assert bench.answer(result) in ("in time", "late")  # "late" only while the trial itself was alive
    before = (bench.folder / result.artefact).read_bytes()
    assert processes_named("left-behind") == []
    assert (bench.folder / result.artefact).read_bytes() == before


def test_a_child_that_is_waited_for_is_fine(bench: TrialBench) -> None:
    """The twin: child processes as such are allowed."""
    assert bench.said("if os.fork() == 0: finish('child'); os._exit(0)\nos.wait()") == "child"


@pytest.mark.parametrize(
    "stubborn",
    [
        "[signal.signal(n, signal.SIG_IGN) for n in range(1, 32) if n not in (9, 19)]\nwhile True: pass",
        "os.kill(os.getpid(), signal.SIGSTOP)",
        "while True:\n    os.fork() or time.sleep(0.3)\n    time.sleep(0.1)",
    ],
    ids=["ignores-signals", "stops-itself", "keeps-forking"],
)
def test_nothing_delays_the_kill(bench: TrialBench, stubborn: str) -> None:
    """B4: a program that ignores signals, stops itself or multiplies is gone at the deadline all the same."""
    result = bench.trial(stubborn, seconds=0.6, processes=4)
    assert result.outcome in {Outcome.TIMED_OUT, Outcome.CRASHED}
    assert result.reason in {"deadline", "exit_1"}
    assert result.wall_seconds < 30


def test_cpu_time_of_all_children_is_billed(bench: TrialBench) -> None:
    """CPU clock: children too short-lived to be seen, whose parent ignores their end, are billed to the last tick."""
    source = (
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "def burn(s):\n"
        "    end = time.process_time() + s\n"
        "    while time.process_time() < end: pass\n"
        "for _ in range({children}):\n"
        "    if os.fork() == 0: burn(0.02); os._exit(0)\n"
        "    tried(os.wait)\n"
        "burn({own})\n"
        "finish()\n"
    )
    attack = bench.trial(source.format(children=20, own=0), kind="cpu", seconds=5)
    honest = bench.trial(source.format(children=0, own=0.4), kind="cpu", seconds=5)
    assert bench.answer(attack) == bench.answer(honest) == 0
    assert attack.billed_seconds >= 0.4
    assert 0.4 <= honest.billed_seconds <= 1.0


def test_cpu_clock_ends_a_tree_of_children(bench: TrialBench) -> None:
    """CPU clock: two busy children use the budget up in about half the wall time, and are killed for it."""
    source = "finish()\n[os.fork() for _ in range(1)]\nwhile True: pass"
    result = bench.trial(source, kind="cpu", seconds=0.5)
    assert result.reason == "deadline"
    assert 0.5 <= result.billed_seconds < 1.0


def test_relaunching_oneself_starts_no_new_clock(bench: TrialBench) -> None:
    """B7: exec of the same program again and again goes on under the same deadline."""
    result = bench.trial(
        "time.sleep(0.05); os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])", seconds=0.6
    )
    assert (result.outcome, result.reason) == (Outcome.TIMED_OUT, "deadline")


def test_own_clock_cannot_be_moved(bench: TrialBench) -> None:
    """B6: neither a time namespace nor the machine's clock is to be had."""
    source = (
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "moved = [libc.unshare(0x80), libc.unshare(0x10000080), libc.settimeofday(bytes(16), None)]\n"
        "moved.append(tried(lambda: time.clock_settime(time.CLOCK_REALTIME, 0)))\nfinish(moved)"
    )
    assert bench.said(source) == [-1, -1, -1, "PermissionError"]


def test_nothing_is_left_for_the_next_trial(bench: TrialBench) -> None:
    """B8, B10: whatever a trial stores, caches of compilers included, the next one finds none of it."""
    places = (
        "places = ['/tmp', '/var/tmp', '/dev/shm', os.environ['HOME'], options.out, options.data, '.']\n"
        "places += [v for n, v in os.environ.items() if n.endswith(('_DIR', '_PATH', '_HOME'))]\n"
    )
    store = "for p in places: tried(lambda: (os.makedirs(p, exist_ok=True), Path(p, 'warm-start').write_text('w')))\n"
    found = "finish([p for p in places if os.path.exists(p + '/warm-start')])"
    stored = bench.said(places + store + found)
    assert stored
    assert bench.said(places + found) == []


def test_a_trial_cannot_buy_time_with_a_flood(bench: TrialBench) -> None:
    """Log flooding: our memory stays bounded, the deadline holds, the tail is kept."""
    result = bench.trial("finish()\nwhile True: os.write(1, b'x' * 65536)", seconds=0.7, log_bytes=4096)
    assert result.reason == "deadline"
    assert len(result.log) < 4096 + 100
    assert "bytes cut off" in result.log
