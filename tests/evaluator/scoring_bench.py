"""A tiny task, tiny trained models, and predictors forked from here, where torch is loaded already.

Scores go through the real evaluator, pool, referee code, wire and host; only the sandbox and the start of new
interpreters are left out (test_evaluator_sandbox.py has them).
"""

import contextlib
import importlib.util
import os
import signal
import sys
import tempfile
import time
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import tiny_models
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from harness.records import Direction, Outcome, Score, Split, TrialResult
from harness.sandbox import device_memory, wire
from harness.sandbox.open import Command, End
from harness.scoring import referee_process, warm_pool
from harness.scoring.evaluator import SandboxEvaluator, Scoring
from harness.scoring.items import ITEMS, ItemPackets, packets
from harness.task.task import Profile, Task, TaskData

torch.set_num_threads(1)  # small models, and forks
HERE = Path(__file__).resolve().parent
HOST = Path(warm_pool.__file__).with_name("predictor_host.py")
LENGTH, ROWS = 32, 320
MODELS = (HERE / "tiny_models.py").read_bytes()
FAST = Scoring(warm=False, cuts=150, batch_tokens=1024, batch_seconds=20, startup_seconds=60)

EVALUATE = b"""
import numpy as np

def evaluate(subject, private, split):
    rows = np.load(private / f"{split}.npy")
    losses = subject.losses(rows)
    return {"bpb": float(losses.sum() / np.log(2) / (rows[:, 1:].size * 1.5)), "nats": float(losses.mean())}
"""


def text_rows(count: int, length: int, seed: int) -> np.ndarray:
    """int32 [count, length + 1]: a sparse Markov chain of order two, which a small model can learn."""
    language, random = np.random.default_rng(7), np.random.default_rng(seed)
    follow = language.integers(0, tiny_models.VOCABULARY, (8, 6, 6))
    text = np.zeros((count, length + 1), np.int32)
    text[:, :2] = random.integers(0, tiny_models.VOCABULARY, (count, 2))
    for place in range(2, length + 1):
        choice = np.minimum(random.geometric(0.45, count) - 1, 5)
        text[:, place] = follow[text[:, place - 1] % 8, text[:, place - 2] % 6, choice]
    return text


def source(body: str, architecture: str = "gpt", dtype: str = "float32") -> dict[str, bytes]:
    """A candidate's tree. body: statements of `load_predictor(artefact, data)` that return the predictor; they may
    use `model` (honest), `torch`, `F`.
    """
    lines = "\n".join("    " + line for line in body.strip().splitlines())
    text = f"""import torch
import torch.nn.functional as F
import tiny_models
from harness.gate import open_gate


def load_predictor(artefact, data):
    model = tiny_models.load(artefact, {architecture!r}, {dtype!r})
{lines}
"""
    return {"train.py": text.encode(), "tiny_models.py": MODELS}


def honest(architecture: str = "gpt", dtype: str = "float32") -> dict[str, bytes]:
    return source("return model", architecture, dtype)


def trained(architecture: str, steps: int, seed: int = 0, dtype: str = "float32") -> tiny_models.Model:
    """An honest model after so many steps on the training text."""
    torch.manual_seed(seed)
    model = tiny_models.Model(architecture)
    text = torch.from_numpy(text_rows(512, LENGTH, 1)).long()
    parameters = list(model.parameters())  # a tied model does not use its head: zero slopes
    squares = [torch.zeros_like(parameter) for parameter in parameters]
    for step in range(steps):
        batch = text[(step * 32) % 512 :][:32]
        loss = F.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
        slopes = torch.autograd.grad(loss, parameters, materialize_grads=True)
        with torch.no_grad():  # RMSprop by hand: importing torch's optimisers takes longer than all of this
            for parameter, slope, square in zip(parameters, slopes, squares, strict=True):
                square.mul_(0.9).add_(slope**2, alpha=0.1)
                parameter.sub_(5e-3 * slope / (square.sqrt() + 1e-4))
    return model.to(getattr(torch, dtype))


class ForkedProcess:
    """What warm_pool needs of sandbox.Process."""

    log = ""

    def __init__(self, number: int) -> None:
        self._number, self._end, self._seconds = number, None, 0.0

    def wait(self, timeout_seconds: float | None = None) -> End | None:
        deadline = time.monotonic() + (timeout_seconds or 0)
        while self._end is None:
            number, status = os.waitpid(self._number, os.WNOHANG)
            if number:
                self._end = End(os.waitstatus_to_exitcode(status), 0.0, 0)
            elif time.monotonic() >= deadline:
                break
            else:
                time.sleep(0.005)
        return self._end

    @property
    def cpu_seconds(self) -> float:
        """Of the process and of the children that it has; in steps of 10 ms."""
        with contextlib.suppress(psutil.NoSuchProcess):
            whole = psutil.Process(self._number)
            times = [process.cpu_times() for process in (whole, *whole.children(recursive=True))]
            self._seconds = sum(sum(time[:4]) for time in times)
        return self._seconds

    def kill(self) -> End:
        if self.wait(0) is None:
            os.kill(self._number, signal.SIGKILL)
            self._end = replace(self.wait(10), killed=True)
        return self._end

    close = kill


class ForkSandbox:
    """No sandbox at all: a fork of the test process that runs predictor_host.main."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.started = 0

    def begin(self, command: Command) -> bool:  # noqa: ARG002 -- the signature is the sandbox's
        return False

    def start(self, command: Command) -> ForkedProcess:
        self.started += 1
        number = os.fork()
        if number:
            return ForkedProcess(number)
        try:
            os.environ.clear()
            os.environ["TMPDIR"] = tempfile.tempdir = str(
                self._folder
            )  # pytest has asked before: it is remembered
            os.chdir(self._folder)
            torch.set_num_threads(1)
            sys.argv = [
                "predictor_host.py",
                *(word.format(data=command.public) for word in command.arguments),
            ]
            _host().main()
        except BaseException:  # noqa: BLE001 -- nothing may go on as a second test process
            os._exit(1)
        os._exit(0)


def _host():
    """The host as it is inside a sandbox: beside predictor_wire, without the package."""
    sys.modules.pop("tiny_models", None)
    sys.modules["predictor_wire"] = wire
    sys.modules["predictor_memory"] = device_memory
    spec = importlib.util.spec_from_file_location("predictor_host", HOST)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class LocalReferee:
    """The referee's code in this process: its own start costs more than all else here."""

    alive, log = True, ""

    def __init__(self, threads: int, gpu: int | None) -> None:
        del threads, gpu

    def await_ready(self) -> None:
        pass

    def ask(self, plan, descriptors, seconds, main):
        del seconds
        held = [os.dup(descriptor) for descriptor in descriptors]  # the predictors' ends become its own
        asked = types.SimpleNamespace(
            cpu_seconds=main and main.cpu_seconds, end_main=main and main.end_now
        )  # nothing to ask where there is no predictor
        try:
            answer = referee_process.score(referee_process.plan_of(plan), held, asked)
            arrived = ItemPackets()
            for packet in packets(answer.pop(ITEMS, None)):
                arrived.take(packet)
            return {**answer, ITEMS: arrived.whole}
        finally:
            for descriptor in held[:2]:
                with contextlib.suppress(OSError):
                    os.close(descriptor)

    def close(self) -> None:
        pass


class EvaluatorBench:
    """A task in a folder, and short words for scoring on it."""

    def __init__(self, folder: Path, sandbox, predictor: str = "tokens", evaluate: bytes = EVALUATE) -> None:
        self.folder, self.sandbox = folder, sandbox
        task, public, private = folder / "tiny", folder / "public", folder / "private"
        for path in (task, public, private, folder / "artefacts"):
            path.mkdir()
        for name in ("task.yaml", "prepare.py", "program.md", "train.py"):
            (task / name).write_text("")
        (task / "evaluate.py").write_bytes(evaluate)
        np.save(private / "val.npy", text_rows(ROWS, LENGTH, 2))
        np.save(private / "test.npy", text_rows(ROWS, LENGTH, 3))
        self.rows = np.load(private / "val.npy")
        self.profile = Profile(seconds=5)
        artefact = "model.safetensors" if predictor != "none" else "answer.json"
        self.task = Task(
            str(task), "bpb", Direction.MINIMIZE, ("train.py",), {"cpu": self.profile},
            artefact=artefact, predictor=predictor, classes=tiny_models.VOCABULARY,
        )  # fmt: skip
        self.data = TaskData(public, private)

    def store(self, model: torch.nn.Module | bytes) -> TrialResult:
        """The result of a trial that left this artefact."""
        path = self.folder / "artefacts" / self.task.artefact
        if isinstance(model, bytes):
            path.write_bytes(model)
        else:
            save_file({name: value.contiguous() for name, value in model.state_dict().items()}, path)
        return TrialResult("t-1", Outcome.COMPLETED, "", artefact=f"artefacts/{self.task.artefact}")

    def score(self, model, tree, settings: Scoring = FAST, split: Split = Split.VAL, baseline=()) -> Score:
        with contextlib.closing(self.evaluator(settings)) as evaluator:
            return evaluator.score(self.store(model), tree, split, baseline)

    def evaluator(self, settings: Scoring = FAST) -> SandboxEvaluator:
        return SandboxEvaluator(self.sandbox, self.task, self.data, self.profile, self.folder, settings)


@pytest.fixture(scope="session")
def model() -> tiny_models.Model:
    """An honest trained model."""
    return trained("gpt", 60)


@pytest.fixture
def local_referee(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_pool, "RefereeProcess", LocalReferee)


@pytest.fixture
def bench(tmp_path: Path, local_referee: None) -> EvaluatorBench:
    del local_referee
    return EvaluatorBench(tmp_path, ForkSandbox(tmp_path))
