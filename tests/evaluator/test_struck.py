"""A process of a score that is ended from outside: the score is made once more; the second time it is the candidate's.

Each kind of process, each moment, in the real sandbox. A candidate that ends itself gains nothing.
"""

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from scoring_bench import FAST, EvaluatorBench, ForkSandbox, honest, source

from harness.errors import SandboxUnavailable
from harness.records import Level, Score, Split
from harness.sandbox import wire
from harness.sandbox.open import Sandbox, open_sandbox
from harness.scoring.connection import Connection
from harness.scoring.warm_pool import Predictor, RefereeProcess, WarmPool

ITEMS = b"""
def evaluate(subject, private, split):
    items = [f"query {number}" for number in range(150)]
    return {"bpb": sum(subject.answers(items)) / len(items)}
"""
VALUE = sum(len(f"query {number}") for number in range(150)) / 150
PLAIN = "return lambda items: [len(item) for item in items]"
HELPED = """
import subprocess, sys
code = "import sys\\nfor line in sys.stdin: print(len(line) - 1, flush=True)"
helper = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

def answers(items):
    found = []
    for item in items:
        helper.stdin.write(item + chr(10))
        helper.stdin.flush()
        found.append(int(helper.stdout.readline()))
    return found

return answers
"""
OPS = {"importing": "import", "loading": "load", "answering": "items", "auditing": "items"}
WHAT = ("launcher", "first", "program")
SLOW = "import time\nreturn lambda items: [time.sleep(0.01) or len(item) for item in items]"


def tree(body: str) -> dict[str, bytes]:
    """A candidate that names a package, so that it is imported before the candidate is there."""
    lines = "".join(f"    {line}\n" for line in body.strip().splitlines())
    return {"train.py": f"import colorsys\n\ndef load_predictor(artefact, data):\n{lines}".encode()}


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    try:
        return open_sandbox()
    except SandboxUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture
def bench(tmp_path: Path, sandbox: Sandbox) -> EvaluatorBench:
    tmp_path.chmod(0o755)
    bench = EvaluatorBench(tmp_path, sandbox, predictor="items", evaluate=ITEMS)
    bench.data.public.chmod(0o755)
    return bench


class Striker:
    """Ends a process at the moment that a predictor is sent a certain message.

    attempts: the predictors of each score that was begun. asked: what each of these was asked, in order.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, namespaced: bool) -> None:
        self.attempts: list[list[Predictor]] = []
        self.asked: list[list[object]] = []
        self._namespaced = namespaced
        self._before: Callable[[int, str], None] = lambda *_: None
        self._after = self._before
        take, send, items, ask = WarmPool.take, wire.send, Connection.items, Connection.ask

        def taking(pool: WarmPool) -> object:
            referee, predictors = take(pool)
            self.attempts.append(predictors)
            self.asked.append([])
            return referee, predictors

        def sending(channel, message, descriptors=()):
            place = self._place(channel)
            if place is not None:
                self._before(place, str(message.get("op")))
            send(channel, message, descriptors)
            if place is not None:
                self._after(place, str(message.get("op")))

        def asking_items(connection, questions):
            self.asked[-1].append(list(questions))
            return items(connection, questions)

        def asking_tokens(connection, tokens, classes):
            self.asked[-1].append(tokens.tolist())
            return ask(connection, tokens, classes)

        monkeypatch.setattr(WarmPool, "take", taking)
        monkeypatch.setattr(wire, "send", sending)
        monkeypatch.setattr(Connection, "items", asking_items)
        monkeypatch.setattr(Connection, "ask", asking_tokens)

    def _place(self, channel) -> int | None:
        """0: it leads to the main predictor, 1: to the cold one."""
        ends = [predictor.end.fileno() for predictor in self.attempts[-1]] if self.attempts else []
        ours = [os.fstat(end).st_ino for end in ends if end >= 0]
        inode = os.fstat(channel.fileno()).st_ino
        return ours.index(inode) if inode in ours else None

    def strike(self, what: str, moment: str, times: int = 1, *, after: bool = False) -> None:
        """In so many attempts, once in each. after: when the message is sent, not before."""
        place, struck = int(moment == "auditing"), set()

        def act(to: int, op: str) -> None:
            attempt = len(self.attempts)
            if attempt <= times and attempt not in struck and (to, op) == (place, OPS[moment]):
                struck.add(attempt)
                self._end(self.attempts[-1][place], what)

        if after:
            self._after = act
        else:
            self._before = act

    def _end(self, predictor: Predictor, what: str) -> None:
        family = self._processes(predictor)
        family[what].kill()
        for process in [family[what]] if what == "helper" else family.values():  # who goes with it is, too
            with contextlib.suppress(psutil.NoSuchProcess):
                while process.status() != psutil.STATUS_ZOMBIE:
                    time.sleep(0.005)

    def _processes(self, predictor: Predictor) -> dict[str, psutil.Process]:
        """Of one that was started cold: a launcher, with namespaces the first process in them, then the candidate's."""
        line = [psutil.Process(predictor.process._launcher._process.pid)]
        while children := line[-1].children():
            line.append(children[0])
        names = ["launcher", *(["first"] if self._namespaced else []), "program", "helper"]
        return dict(zip(names, line, strict=False))


@pytest.fixture
def striker(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, local_referee: None) -> Striker:
    del local_referee
    return Striker(monkeypatch, sandbox.mechanism >= Level.L2)


def assert_as_undisturbed(score: Score) -> None:
    assert (score.status, score.reason, score.detail, score.value) == ("scored", "", "", VALUE)


def skip_without(what: str, sandbox: Sandbox) -> None:
    if what == "first" and sandbox.mechanism < Level.L2:
        pytest.skip("there are no namespaces, and nobody stands first in them")


@pytest.mark.parametrize("moment", OPS)
@pytest.mark.parametrize("what", ["launcher", "first", "program"])
def test_a_struck_predictor_is_asked_once_more(
    bench: EvaluatorBench, striker: Striker, sandbox: Sandbox, what: str, moment: str
) -> None:
    """Whichever of its processes, and whenever: the score is that of an undisturbed one."""
    skip_without(what, sandbox)
    striker.strike(what, moment)
    assert_as_undisturbed(bench.score(b"", tree(PLAIN)))
    assert len(striker.attempts) == 2


@pytest.mark.parametrize("what", ["launcher", "first", "program"])
def test_within_an_answer_too(bench: EvaluatorBench, striker: Striker, sandbox: Sandbox, what: str) -> None:
    """It was sent a question and is at work."""
    skip_without(what, sandbox)
    striker.strike(what, "answering", after=True)
    assert_as_undisturbed(bench.score(b"", tree(SLOW)))
    assert len(striker.attempts) == 2


def test_a_struck_helper_counts_as_well(bench: EvaluatorBench, striker: Striker) -> None:
    """A process that the predictor itself has started, and without which it raises."""
    striker.strike("helper", "answering")
    assert_as_undisturbed(bench.score(b"", tree(HELPED)))
    assert len(striker.attempts) == 2


@pytest.mark.parametrize(
    ("what", "moment", "reason"),
    [
        ("program", "importing", "predictor.not_loaded"),
        ("launcher", "answering", "predictor.crashed"),
        ("program", "auditing", "predictor.crashed"),
        ("helper", "answering", "predictor.crashed"),
    ],
)
def test_struck_twice_it_is_the_candidates(
    bench: EvaluatorBench, striker: Striker, what: str, moment: str, reason: str
) -> None:
    """There is no third time, and the second is asked the same questions in the same order."""
    striker.strike(what, moment, times=2)
    score = bench.score(b"", tree(HELPED if what == "helper" else PLAIN))
    assert (score.status, score.reason) == ("invalid", reason)
    assert len(striker.attempts) == 2
    assert striker.asked[0] == striker.asked[1]


ENDING_ITSELF = {
    "as_it_loads": "os.kill(os.getpid(), 9)",
    "as_it_answers": "return lambda items: os.kill(os.getpid(), 9)",
    "as_it_is_audited": "return lambda items: [len(item) for item in items] if len(items) in (64, 22) else os.abort()",
    "by_a_fault_of_memory": "import ctypes\nctypes.string_at(0)",
}


@pytest.mark.parametrize("body", ENDING_ITSELF.values(), ids=ENDING_ITSELF)
def test_a_candidate_that_ends_itself_gains_nothing(
    bench: EvaluatorBench, striker: Striker, body: str
) -> None:
    """It ends itself before the same questions once more, and is invalid; another score draws others."""
    score = bench.score(b"", tree(f"import os\n{body}"))
    assert score.status == "invalid"
    assert score.reason in ("predictor.crashed", "predictor.not_loaded")
    assert len(striker.attempts) == 2
    assert striker.asked[0] == striker.asked[1]


@pytest.mark.parametrize("body", ["os._exit(9)", "raise ValueError", "return lambda items: 1 / 0"])
def test_an_end_of_its_own_is_its_own_at_once(bench: EvaluatorBench, striker: Striker, body: str) -> None:
    """An exit code or an exception explains itself."""
    assert bench.score(b"", tree(f"import os\n{body}")).status == "invalid"
    assert len(striker.attempts) == 1


def test_the_audit_of_tokens_is_the_same_again(tmp_path: Path, model, striker: Striker) -> None:
    """A predictor that ends itself where it is audited cannot choose another audit."""
    bench = EvaluatorBench(tmp_path, ForkSandbox(tmp_path))
    body = """
import os
with open("loads", "ab") as file:
    file.write(b"x")
cold, calls = os.path.getsize("loads") % 2 == 0, []

def answers(tokens):
    calls.append(1)
    return model(tokens) if not (cold and len(calls) == 3) else os.kill(os.getpid(), 9)

return answers
"""
    assert bench.score(model, source(body)).status == "invalid"
    first, second = striker.asked
    assert len(first) > 11  # so the cold one was asked, too
    assert first[:13] == second[:13]
    assert bench.score(model, honest()).status == "scored"
    assert striker.asked[2][:13] != first[:13]


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_struck_evaluator_is_asked_once_more(
    bench: EvaluatorBench, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """The referee's own process, as it gets its plan or while it asks."""
    struck: list[RefereeProcess] = []
    ask, seconds = RefereeProcess.ask, Predictor.cpu_seconds

    def asking(referee, *arguments):
        asked.append(referee)
        if when == "before" and not struck:
            strike()
        return ask(referee, *arguments)

    def counting(predictor):
        if when == "meanwhile" and not struck:
            strike()
        return seconds(predictor)

    def strike() -> None:
        struck.append(asked[-1])
        asked[-1]._process.kill()
        asked[-1]._process.wait()

    asked: list[RefereeProcess] = []
    bench.profile = replace(bench.profile, clock="cpu")  # so it asks for the time that was used
    monkeypatch.setattr(RefereeProcess, "ask", asking)
    monkeypatch.setattr(Predictor, "cpu_seconds", counting)
    assert_as_undisturbed(bench.score(b"", tree(SLOW)))
    assert (len(struck), len(asked)) == (1, 2)


def test_a_struck_warm_parent_costs_nothing_but_time(bench: EvaluatorBench, sandbox: Sandbox) -> None:
    """The interpreter that predictors are forked from: those that wait go on, later ones are started cold."""
    with contextlib.closing(bench.evaluator(replace(FAST, warm=True))) as evaluator:
        evaluator.await_ready()
        for interpreter in sandbox.interpreters._begun.values():
            interpreter._process.kill()
            interpreter._process.wait()
        for _ in range(2):
            assert_as_undisturbed(evaluator.score(bench.store(b""), tree(PLAIN), Split.VAL))
