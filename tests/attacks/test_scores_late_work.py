"""Work that is put off until training is over: each attack beside honest predictors that need more than the baseline's.

On digits, in the real sandbox, with the real evaluator: the artefact is the same few numbers each time, and only what
the predictor does with them differs.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from harness.config.setup import load
from harness.errors import SandboxUnavailable
from harness.records import Observation, Outcome, Role, Score, Split, TrialResult
from harness.sandbox.open import Sandbox, open_sandbox
from harness.scoring.evaluator import SandboxEvaluator, Scoring
from harness.scoring.inference import LOAD_SECONDS, QUESTIONS
from harness.task.prepare import prepared

SETTINGS = Scoring(warm=False)
ARTEFACT = "artefacts/weights.safetensors"
HEAD = "    weights = load_file(artefact_path)\n"
TAIL = "    return answers\n\n\ndef main():"
# Gradient steps on pictures that the artefact carries, until so much of the process's time is used.
LEARN = """
def learn(weights, seconds):
    generator, start = np.random.default_rng(0), time.process_time()
    inputs, labels = features(weights["images"]), weights["labels"]
    while time.process_time() - start < seconds:
        batch = generator.integers(0, len(inputs), BATCH)
        _, slope = gradients(weights, inputs[batch], labels[batch])
        for name in slope:
            weights[name] = weights[name] - 0.05 * slope[name]
    return weights

"""
SECONDS = 0.6

ATTACKS = {
    "while_loading": f"learn(weights, {SECONDS})",
    "in_the_first_answer": f"""
plain, rest = answers, [1]
def answers(items):
    if rest:
        learn(weights, {SECONDS} * rest.pop())
    return plain(items)
""",
    "between_loading_and_the_first_question": f"""
import threading
thread = threading.Thread(target=learn, args=(weights, {SECONDS}), daemon=True)
thread.start()
plain = answers
def answers(items):
    thread.join()
    return plain(items)
""",
    "in_children_that_nobody_waits_for": f"""
import os, signal
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
plain = answers
def answers(items):
    for _ in range(8):
        if os.fork() == 0:
            learn(weights, {SECONDS} / 16)
            os._exit(0)
    time.sleep(0.2)
    return plain(items)
""",
    "in_a_daemon": f"""
import os
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        learn(weights, {SECONDS})
    os._exit(0)
os.wait()
plain = answers
def answers(items):
    time.sleep({SECONDS} / 3)
    return plain(items)
""",
    "while_the_module_is_imported": None,
}
TIMES = ("predictor.load_time", "predictor.answer_time")  # where work is spread out, either may be met first

HONEST = {
    "as_it_is": "",
    "an_ensemble_of_two": """
second = {name: value + 0 for name, value in weights.items()}
plain = answers
def answers(items):
    _, other = forward(second, features(items))
    return (np.asarray(plain(items)) / 2 + other / 2).tolist()
""",
    "a_larger_model": """
weights["w1"] = np.tile(weights["w1"], (1, 16)) / 16
weights["b1"] = np.tile(weights["b1"], 16) / 16
weights["w2"] = np.tile(weights["w2"], (16, 1))
""",
    "a_lookup_table": """
table = np.exp(np.linspace(-8, 8, 1 << 18)).reshape(512, 512) @ np.eye(512)
plain = answers
def answers(items):
    return (np.asarray(plain(items)) + table[0, 0] * 0).tolist()
""",
    "a_package_that_the_baseline_does_not_need": """
import asyncio, numpy.testing, unittest.mock
from xml.dom import minidom
""",
}


class DigitsBench:
    """Scores variants of digits' program on one artefact."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        setup = load(["task=digits", "budget=cpu", "agent.folder=null"])
        self.task, profile = setup.task, setup.task.profiles["cpu"]
        data = prepared(self.task, "cpu")
        self.source = dict(self.task.source())
        self.evaluator = SandboxEvaluator(sandbox, self.task, data, profile, folder, SETTINGS)
        train, random = data.public / "train", np.random.default_rng(0)
        shapes = {"w1": (64, 32), "b1": (32,), "w2": (32, 10), "b2": (10,)}
        weights = {name: (random.normal(0, 0.2, shape)).astype(np.float32) for name, shape in shapes.items()}
        weights |= {name: np.load(train / f"{name}.npy") for name in ("images", "labels")}
        (folder / "artefacts").mkdir()
        save_file({name: np.ascontiguousarray(value) for name, value in weights.items()}, folder / ARTEFACT)
        self.baseline = [self.seen(self.score(self.source, ())) for _ in range(2)]

    def score(self, source: dict[str, bytes], baseline: tuple[Observation, ...] | None = None) -> Score:
        result = TrialResult("t-1", Outcome.COMPLETED, "", artefact=ARTEFACT)
        before = tuple(self.baseline) if baseline is None else baseline
        return self.evaluator.score(result, source, Split.VAL, before)

    def seen(self, score: Score) -> Observation:
        assert score.status == "scored", (score.reason, score.detail)
        trial = ("baseline-1", "c", Role.BASELINE, 1, Outcome.COMPLETED, score.value)
        return Observation(*trial, side=score.side)

    def variant(self, body: str | None) -> dict[str, bytes]:
        """The program with more statements before its predictor is returned; None: it learns when it is imported."""
        text = self.source["train.py"].decode()
        lines = "".join(f"    {line}\n" for line in (body or "").strip().splitlines())
        text = text.replace(TAIL, lines + TAIL).replace("def load_predictor", LEARN + "def load_predictor")
        if body is None:
            text += f"""
if __name__ != "__main__":
    import glob, safetensors.numpy
    for path in glob.glob("/proc/self/fd/*"):
        try:
            learn(safetensors.numpy.load_file(path), {SECONDS})
        except Exception:
            continue
    start = time.process_time()
    while time.process_time() - start < {SECONDS}:
        pass
"""
        return {**self.source, "train.py": text.encode()}


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DigitsBench]:
    try:
        sandbox = open_sandbox()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    bench = DigitsBench(sandbox, tmp_path_factory.mktemp("late"))
    with closing(bench.evaluator):
        yield bench


@pytest.mark.parametrize("name", ATTACKS)
def test_what_is_learnt_after_training_is_billed(digits: DigitsBench, name: str) -> None:
    """Wherever a predictor hides work, it is rejected for the time that it took."""
    score = digits.score(digits.variant(ATTACKS[name]))
    assert (score.status, score.value) == ("invalid", None)
    assert score.reason in (TIMES if "daemon" in name else TIMES[:1]), (score.detail, score.side)
    assert "the baseline's times scoring." in score.detail


@pytest.mark.parametrize("name", HONEST)
def test_what_honest_predictors_need_is_allowed(digits: DigitsBench, name: str) -> None:
    """Larger models, ensembles, tables made at load time and other packages are within the allowance."""
    score = digits.score(digits.variant(HONEST[name]))
    assert (score.status, score.reason, score.detail) == ("scored", "", ""), score.side
    assert score.side[QUESTIONS] > 0
    assert score.side[LOAD_SECONDS] > 0
