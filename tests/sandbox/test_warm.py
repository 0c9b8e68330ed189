"""A program that goes on in a warm interpreter is where, what and as confined as one that was started cold."""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness.records import Limits
from harness.sandbox.host.warm import ForkedLauncher, Key, NotWarm, WarmInterpreter
from harness.sandbox.launcher.plan import Plan
from harness.sandbox.open import Command, Sandbox
from harness.trial.local import gate_files

IMPORTS = ("numpy",)
LOOK = """
import gc, json, os, resource, signal, sys
from pathlib import Path
import numpy
with open("/proc/self/status") as file:
    status = dict(line.rstrip("\\n").split(":\\t", 1) for line in file if ":\\t" in line)
fields = ("Umask", "Groups", "NoNewPrivs", "Seccomp", "SigBlk", "SigIgn", "SigCgt", "CapInh", "CapPrm", "CapEff",
          "CapBnd", "CapAmb", "Threads", "Cpus_allowed", "Seccomp_filters")
frame, frames = sys._getframe(), []
while frame:
    frames.append(frame.f_code.co_name)
    frame = frame.f_back
numbers = [name for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")]
links = {name: os.readlink(f"/proc/self/fd/{name}") for name in ("0", "1", "2")}
print(json.dumps({
    "status": {name: status.get(name) for name in fields},
    "limits": [resource.getrlimit(number) for number in range(16)],
    "path": sys.path, "argv": sys.argv, "orig_argv": sys.orig_argv, "flags": repr(sys.flags),
    "command": Path("/proc/self/cmdline").read_bytes().rstrip(b"\\0").decode(),
    "folder": os.getcwd(), "environment": dict(os.environ), "globals": sorted(globals()), "frames": frames,
    "named": [__name__, __file__], "session": os.getsid(0) == os.getpid(), "nice": os.nice(0),
    "numbers": sorted(numbers),
    "standard": [links[name].partition(":")[0] for name in "012"],
    "handlers": [str(signal.getsignal(number)) for number in (2, 13, 15, 17, 25)],
    "ours": sorted(name for name in sys.modules if name.startswith("harness")),
    "memory_killer": Path("/proc/self/oom_score_adj").read_text(),
    "hash": hash("word"), "prefix": sys.prefix, "waited": resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime,
    "plans": sum(type(item).__name__ in ("Plan", "Became") for item in gc.get_objects()),
}))
"""


def command(source: str, *arguments: str, **more: Any) -> Command:
    return Command(
        "train.py",
        arguments,
        {"train.py": source.encode(), **gate_files()},
        imports=more.pop("imports", IMPORTS),
        limits=more.pop("limits", Limits(memory_bytes=1 << 30, out_bytes=32 << 20)),
        **more,
    )


def said(sandbox: Sandbox, source: str, *arguments: str, warm: bool = True, **more: Any) -> Any:
    """The JSON that it printed last. It must have been started as asked."""
    with sandbox.start(command(source, *arguments, warm=warm, **more)) as process:
        end = process.wait(60)
        assert end is not None, "it hangs"
        assert process.warm == warm, sandbox.interpreters.problems
        assert end.status == 0, process.log
        return json.loads(process.log.splitlines()[-1])


def without_folder(found: Mapping[str, Any]) -> Any:
    """At level 1 every program has a folder of its own."""
    text = json.dumps(found)
    folder = os.path.dirname(found["folder"])
    return json.loads(text.replace(folder, "FOLDER"))


def test_it_is_as_it_was_started_cold(sandbox: Sandbox) -> None:
    """Arguments, environment, path, limits, rights, signals, descriptors, hashes: alike, and nothing of ours in it."""
    number = os.memfd_create("kept")
    try:
        more = {
            "environment": {"WORD": "{tree}/x", "PYTHONPATH": "{tree}/first"},
            "kept": (number,),
        }
        cold, warm = (
            without_folder(said(sandbox, LOOK, "{data}", "--out", "{out}", warm=warm, **more))
            for warm in (False, True)
        )
    finally:
        os.close(number)
    assert {name: (warm[name], cold[name]) for name in cold if warm[name] != cold[name]} == {}
    assert warm["ours"] == []
    assert warm["plans"] == 0
    assert set(warm["numbers"]) == {"0", "1", "2", str(number)}


def test_the_interpreter_was_attacked_first(sandbox: Sandbox) -> None:
    """No program begins where one of the harness's own attacks gets through, nor where they could not be made."""
    found = sandbox.interpreters.find(command("", warm=True))
    assert found is not None, sandbox.interpreters.problems
    for findings in ({"read_outside": True, "connect_out": False}, "no probe today"):
        other = type(sandbox.interpreters)(sandbox.level, lambda _, told=findings: told)
        with closing(other):
            assert other.find(command("", warm=True)) is None
            assert next(iter(other.problems.values())) in ("not blocked: connect_out", "no probe today")


LEAVE = """
import builtins, json, os, sys, threading, time
import numpy
numpy.left = builtins.left = sys.left = "word"
os.environ["LEFT"] = "word"
sys.path.append("/left")
for place in ("/tmp", "/dev/shm", sys.argv[1]):
    try:
        open(f"{place}/left", "w").write("word")
    except OSError:
        pass
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
reached = []
for number in range(3, 512):
    try:
        os.write(number, b"go")
        reached.append(number)
    except OSError:
        pass
for target in {os.getppid(), 1}:
    try:
        os.kill(target, 9)
    except OSError:
        pass
print(json.dumps(reached))
"""
FIND = """
import builtins, json, os, sys, threading
import numpy
places = ["/tmp", "/dev/shm", sys.argv[1]]
print(json.dumps({
    "modules": [hasattr(module, "left") for module in (numpy, builtins, sys)],
    "environment": "LEFT" in os.environ, "path": "/left" in sys.path, "threads": threading.active_count(),
    "files": [place for place in places if os.path.exists(f"{place}/left")],
    "children": os.path.exists("/proc/self/task") and len(os.listdir("/proc/self/task")),
}))
"""


def test_nothing_of_one_program_is_found_by_the_next(sandbox: Sandbox) -> None:
    """Attack: marks in modules, environment, path, files and threads, words at every descriptor, signals upwards.

    The next program is started warm as well, and finds none of it.
    """
    assert said(sandbox, LEAVE, "{out}") == []
    found = said(sandbox, FIND, "{out}")
    nothing = {
        "modules": [False] * 3,
        "environment": False,
        "path": False,
        "threads": 1,
        "files": [],
        "children": 1,
    }
    assert found == nothing


def memory_of(process: int) -> bytes:
    """Everything that it could write or has written."""
    found = []
    with (
        Path(f"/proc/{process}/maps").open() as maps,
        Path(f"/proc/{process}/mem").open("rb", buffering=0) as memory,
    ):
        for line in maps:
            where, permissions = line.split()[:2]
            if permissions.startswith("rw"):
                start, end = (int(number, 16) for number in where.split("-"))
                memory.seek(start)
                found.append(memory.read(end - start))
    return b"".join(found)


def test_the_interpreter_knows_nothing_of_any_program(sandbox: Sandbox) -> None:
    """No source, argument, variable or file of a program, before, while and after it ran, is in the memory that the
    next one is copied from; nor an environment of ours. Twin: what it was told to import is.
    """
    words = [
        f"{kind}-{os.getpid()}-{time.monotonic_ns()}" for kind in ("source", "argument", "variable", "file")
    ]
    source, argument, variable, file = words
    program = f"import time\ntime.sleep(0.2)\nprint('\"{source}\"')"
    given = command(program, argument, warm=True, environment={"WORD": variable})
    given = Command(
        **{**{name: getattr(given, name) for name in given.__slots__}, "tree": {**given.tree, file: b""}}
    )
    interpreter = sandbox.interpreters.find(given)
    assert interpreter is not None
    with sandbox.start(given) as process:
        during = memory_of(interpreter.pid)
        process.wait(60)
        assert process.warm
        assert source in process.log
    after = memory_of(interpreter.pid)
    for memory in (during, after):
        assert b"harness.sandbox.launcher.warm" in memory
        for word in words:
            assert word.encode() not in memory, word
    own = Path(f"/proc/{interpreter.pid}/environ").read_bytes()
    assert own
    assert b"HARNESS" not in own
    assert os.listdir(f"/proc/{interpreter.pid}/task") == [str(interpreter.pid)]


HELD = {
    "threads": "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()",
    "file": "held = open('/etc/passwd')",
    "memory": "import mmap\nshared = mmap.mmap(-1, 4096)",
    "socket": "import socket\nheld = socket.socketpair()",
}


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("threads", "has started threads"),
        ("file", "holds /etc/passwd open"),
        ("memory", "to be shared"),
        ("socket", "holds socket:"),
    ],
)
def test_what_two_programs_could_share_is_refused(
    kind: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attack: a library that, once imported, holds something that forks have in common. Twin: one that does not."""
    packages = tmp_path / "site-packages"
    packages.mkdir()
    (packages / "holds.py").write_text(HELD[kind])
    (packages / "harmless.py").write_text("held = list(range(1000))")
    monkeypatch.syspath_prepend(str(packages))
    environment = (("LANG", "C.UTF-8"),)
    with closing(WarmInterpreter(Key(("harmless",), environment))) as interpreter:
        interpreter.await_ready()
    with (
        closing(WarmInterpreter(Key(("holds",), environment))) as interpreter,
        pytest.raises(NotWarm, match=words),
    ):
        interpreter.await_ready()


@pytest.fixture
def own(sandbox: Sandbox) -> Iterator[Sandbox]:
    """Of the same level, with interpreters of its own."""
    fresh = Sandbox(sandbox.mechanism)
    fresh.level, fresh.certified = sandbox.level, True
    with closing(fresh):
        yield fresh


def test_without_its_interpreter_a_program_is_started_cold(own: Sandbox) -> None:
    """Killed from outside: the next program begins all the same, not warm, and why is known."""
    interpreter = own.interpreters.find(command("", warm=True))
    assert interpreter is not None
    interpreter._process.kill()
    interpreter._process.wait()
    assert said(own, "print(1)", warm=False) == 1
    with own.start(command("print(2)", warm=True)) as process:
        process.wait(60)
        assert (process.warm, process.log) == (False, "2\n")
    assert "it has ended" in next(iter(own.interpreters.problems.values()))


def test_its_end_is_proven(own: Sandbox) -> None:
    """A warm program that leaves children behind, and one that is killed: none is left, and their time counts."""
    busy = "import os, time\nfor _ in range(3):\n    if os.fork() == 0:\n        os.setsid()\n        while 1: pass\n"
    with own.start(command(busy + "time.sleep(0.3)", warm=True)) as process:
        end = process.wait(60)
        assert process.warm
    assert end is not None
    assert (end.status, end.proven) == (0, True)
    assert end.cpu_seconds > 0.1
    with own.start(command("while True: pass", warm=True)) as process:
        time.sleep(0.3)
        end = process.kill()
    assert (end.killed, end.proven) == (True, True)


OWN_MEMORY = """
import json
import numpy
with open("/proc/self/smaps_rollup") as file:
    sizes = {line.split(":")[0]: int(line.split()[1]) for line in file if line.endswith("kB\\n")}
print(json.dumps([sizes["Pss_Anon"], sizes["Anonymous"]]))
"""


def test_its_memory_is_its_own(sandbox: Sandbox) -> None:
    """Nothing of it is shared with the interpreter, where it would be counted in part: as if it had imported itself."""
    alone, whole = said(sandbox, OWN_MEMORY)
    assert alone > 0.95 * whole
    cold = said(sandbox, OWN_MEMORY, warm=False)[1]
    assert 0.9 * cold < whole < 1.3 * cold + (8 << 10)


@pytest.mark.parametrize("warm", [False, True])
def test_too_much_memory_ends_it(sandbox: Sandbox, warm: bool) -> None:
    """The same limit, however it was started; the twin stays below it."""
    for size, limit in ((48, ""), (144, "memory")):
        source = f"import time\nheld = b'x' * ({size} << 20)\ntime.sleep(0.5)"
        limits = Limits(memory_bytes=128 << 20, out_bytes=1 << 20)
        with sandbox.start(command(source, warm=warm, limits=limits)) as process:
            end = process.wait(60)
            assert process.warm == warm
        assert end is not None
        assert end.limit == limit, (size, process.log)


def test_a_broken_plan_is_told(own: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes wrong in the fork before the program is ours, with its cause; the interpreter goes on."""
    from harness.errors import InfrastructureError

    given = command("print(3)", warm=True)
    interpreter = own.interpreters.find(given)
    assert interpreter is not None
    launch: Callable[..., tuple[ForkedLauncher, int]] = WarmInterpreter.launch

    def broken(self: WarmInterpreter, plan: Plan) -> tuple[ForkedLauncher, int]:
        return launch(self, plan._replace(public="/nowhere/at/all"))

    with monkeypatch.context() as patch:
        patch.setattr(WarmInterpreter, "launch", broken)
        with pytest.raises(InfrastructureError, match="No such file"), own.start(given):
            pass
    assert said(own, "print(3)") == 3
