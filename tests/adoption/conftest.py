"""One small cache of shards and vocabulary for all tests, and trials of an adopted checkout."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from adopted import Adopted, Measure
from checkout import make_cache, make_checkout
from shapes import FIXED

from harness.config.setup import load
from harness.records import Clock, Score, TrialResult
from harness.sandbox.open import open_sandbox
from harness.session.rig import opened
from harness.task.adoption.survey import survey
from harness.task.adoption.tokenizer import exported
from harness.task.adoption.writing import write


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    make_cache(folder)
    return folder


@pytest.fixture(scope="session")
def vocabulary(home: Path) -> dict:
    return exported(home / ".cache/autoresearch/tokenizer", open_sandbox())


@pytest.fixture(scope="module")
def adopted(home: Path, vocabulary: dict, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Adopted]:
    folder = tmp_path_factory.mktemp("adopted")
    checkout = make_checkout(folder / "checkout", FIXED)
    write(survey(checkout, home), vocabulary, folder / "tasks" / "mine")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HARNESS_CACHE", str(folder / "cache"))
        (folder / "bench").mkdir()
        with opened(load(["task=mine"]), folder / "bench") as rig:
            yield Adopted(checkout, folder, home, rig)


@pytest.fixture(scope="module")
def measure(adopted: Adopted) -> Measure:
    """measure(text of train.py, seconds=60, seed=7, scored=True, more={}): a trial and its score. more: other files.

    With one seed a script of fixed work gives the same bits each time, so what an edit does to a score is exact.
    """
    made = iter(range(1000))

    def measured(
        text: str,
        seconds: float = 60.0,
        seed: int = 7,
        scored: bool = True,
        more: Mapping[str, bytes] = MappingProxyType({}),
    ) -> tuple[TrialResult, Score]:
        source = {**adopted.rig.task.source(), "train.py": text.encode(), **more}
        result = adopted.rig.trial(f"trial-{next(made)}", source, seed, Clock("wall", seconds, max(300.0, seconds)))
        return result, adopted.rig.score(result, source) if scored else Score("invalid")

    return measured
