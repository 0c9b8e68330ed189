"""What one session measured about noise helps the next one on the same task, machine and budget, and no other."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.config.setup import load
from harness.keep import warm_start
from harness.keep.noise_level import NoiseLevel
from harness.task.task import Profile, Task

HERE = {"processor": "a", "cores": 2, "gpus": [], "torch": "2"}


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Task:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    return load(["task=digits"]).task


@pytest.fixture
def name(task: Task) -> str:
    return warm_start.key(task, task.profiles["cpu"], HERE)


def test_nothing_known_is_no_prior(name: str) -> None:
    assert warm_start.prior(name) is None


def test_sessions_are_pooled_by_their_degrees_of_freedom(name: str) -> None:
    warm_start.remember(name, "one", NoiseLevel(1.0, 10))
    warm_start.remember(name, "two", NoiseLevel(2.0, 10))
    assert warm_start.prior(name) == (pytest.approx(2.5**0.5), 5)
    assert warm_start.prior(name, without="two") == (1.0, 5)


def test_a_session_that_goes_on_replaces_what_it_stored(name: str) -> None:
    for df in (3, 4):
        warm_start.remember(name, "one", NoiseLevel(1.0, df))
    assert warm_start.prior(name) == (1.0, 4)


def test_a_prior_can_be_outvoted(name: str) -> None:
    """However many sessions there were, they count as five degrees of freedom."""
    warm_start.remember(name, "one", NoiseLevel(1.0, 500))
    assert warm_start.prior(name) == (1.0, 5)


def test_deterministic_tasks_store_nothing(name: str) -> None:
    warm_start.remember(name, "one", NoiseLevel(0.0, 5))
    assert warm_start.prior(name) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"one": 1}', '{"one": {"sd": "x", "df": 2}}'])
def test_a_damaged_file_is_no_prior(name: str, content: str) -> None:
    warm_start.remember(name, "one", NoiseLevel(1.0, 5))
    file = next((warm_start.cache_folder() / "noise").iterdir())
    file.write_text(content)
    assert warm_start.prior(name) is None


def test_other_budgets_and_machines_have_other_noise(task: Task, name: str) -> None:
    profile: Profile = task.profiles["cpu"]
    others = [
        warm_start.key(task, replace(profile, seconds=profile.seconds + 1), HERE),
        warm_start.key(task, profile, {**HERE, "processor": "b"}),
        warm_start.key(load(["task=protocol_hardening"]).task, profile, HERE),
    ]
    assert name not in others
    assert len(set(others)) == 3
    assert warm_start.key(task, profile, {**HERE, "memory_gib": 7}) == name


@pytest.mark.parametrize(
    "content",
    ['{"one": {"sd": NaN, "df": 4}}', '{"one": {"sd": 1e999, "df": 4}}', '{"one": {"sd": 1.0, "df": 1e999}}',
     '{"one": {"sd": -1.0, "df": 4}}', '{"one": {"sd": 1.0, "df": -4}}', "[" * 200000, "\0" * 99],
)  # fmt: skip
def test_a_damaged_file_is_as_none(name: str, content: str) -> None:
    """Numbers that no session has measured decide nothing; the next session writes the file anew."""
    warm_start.remember(name, "one", NoiseLevel(1.0, 4))
    warm_start._path(name).write_text(content)
    assert warm_start.prior(name) is None
    warm_start.remember(name, "two", NoiseLevel(2.0, 4))
    assert warm_start.prior(name) == (2.0, 4)


def test_a_cache_that_cannot_be_written_costs_the_noise_alone(name: str) -> None:
    """It is stored when the session is over, which must not fail for it."""
    warm_start._path(name).parent.parent.mkdir(parents=True)
    warm_start._path(name).parent.write_text("no folder")
    warm_start.remember(name, "one", NoiseLevel(1.0, 4))
    assert warm_start.prior(name) is None
