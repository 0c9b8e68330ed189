"""What else the history tells, each a switch that a sweep can compare: shown with its name, gone without it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from harness.agents.api.claude import Claude
from harness.agents.centaur import centaur
from harness.agents.command_line.claude_code import ClaudeCode
from harness.agents.data_text import escaped, estimated_tokens
from harness.agents.memory import DEFAULT_HELPS, HELPS, memory
from harness.agents.trial_words import curve_words, time_words
from harness.records import Decision, Direction, PastProposal, Proposal, TrialSummary, View

MakeView = Callable[..., View]
FALLING = tuple(2.0 / (step + 1) for step in range(20))
TRIAL = TrialSummary(FALLING, 2.5, 59.8, 60.0, 118.0, 300 << 20)


def without(name: str) -> tuple[str, ...]:
    return tuple(help_ for help_ in HELPS if help_ != name)


def test_the_curve_and_the_time_of_a_trial_are_told(make_view: MakeView, decide: Callable[..., View]) -> None:
    """Of every recent proposal and of the incumbent; five points and how it ended; seconds as the referee measured."""
    view = decide(make_view(incumbent_trial=TRIAL), Proposal({}, "wider"), 1.6, trial=TRIAL)
    text = memory(view, 3000, helps=HELPS)
    curve = "training loss (claimed) 2 0.333 0.182 0.133 0.1, flat at the end"
    time = "start-up 2.5 s, training 59.8 of 60 s, 1.9 CPUs busy, 300 MiB"
    assert f"Its latest trial: {curve}; {time}." in text
    assert f"score 1.6 ({curve}; {time})" in text
    assert curve not in memory(view, 3000, helps=without("curve"))
    assert time not in memory(view, 3000, helps=without("time"))
    assert "latest trial" not in memory(view, 3000, helps=())


@pytest.mark.parametrize(
    ("losses", "words"),
    [
        ([9, 8, 7, 6, 5, 4, 3, 2, 1, 0], "still falling"),
        ([9, 3, 1, 0.5, 0.3, 0.2, 0.2, 0.2, 0.2, 0.2], "flat at the end"),
        ([9, 5, 3, 2, 1, 1, 1, 1, 1, 2], "rising at the end"),
        ([9, 5, 3, 2, 1, 1, 1, 1, 1, 9], "unsteady at the end"),
        ([1, 1, 1, 1, 1], "flat"),
        ([1, 2, 3], ""),
        ([1e300, -1e300, 1e300, -1e300, 1e300], "unsteady"),
    ],
)
def test_how_a_training_ended(losses: list[float], words: str) -> None:
    """In words, from the last fifth; a trial that claims nonsense breaks nothing."""
    told = curve_words(TrialSummary(tuple(losses)))
    assert words in told
    assert bool(told) == bool(words)
    assert time_words(TrialSummary()) == "start-up 0.0 s, training 0.0 s"


def tuned(view: View, number: int, rate: float, score: float | None, momentum: float = 0.9) -> PastProposal:
    text = view.editable["train.py"].replace(b"6e-3", repr(rate).encode())
    text = text.replace(b"momentum: float = 0.9", f"momentum: float = {momentum}".encode())
    return PastProposal(number, {"train.py": text}, "x", Decision.DISCARD, "keep.futile", score=score)


def told_means(view: View) -> dict[str, float]:
    lines = [line for line in centaur(view).text.splitlines() if ": now " in line]
    return {line.split(": now")[0]: float(line.partition("mean ")[2].split(",")[0]) for line in lines}


@pytest.mark.parametrize("direction", Direction)
def test_the_sampler_goes_where_the_scores_are_better(make_view: MakeView, direction: Direction) -> None:
    """CMA-ES is told the scored proposals, whoever thought them out, in the metric's direction; equal views give equal
    words; a proposal's state carries its ranges to the next one, when the incumbent has moved."""
    view = make_view(direction=direction)
    sign = 1 if direction is Direction.MINIMIZE else -1
    rates = [0.0015 * 1.26**step for step in range(12)]
    history = tuple(
        tuned(view, number, round(rate, 6), sign * abs(number - 10) + 1.0, 0.5 + number / 40)
        for number, rate in enumerate(rates, 1)
    )
    before, after = told_means(view), told_means(replace(view, history=history))
    assert after["train.py:LEARNING_RATE"] > 1.2 * before["train.py:LEARNING_RATE"]
    assert centaur(view) == centaur(view)
    text = centaur(replace(view, history=history)).text
    assert "told 13 scored settings" in text
    assert "(2 generations of 6)" in text
    assert text.count("would try: train.py:LEARNING_RATE = ") == 3
    moved = tuned(view, 1, 0.02, 1.0)
    kept = replace(moved, state=centaur(view).state)
    later = replace(view, history=(kept,), editable=moved.files)
    assert centaur(later).state == centaur(view).state
    assert "LEARNING_RATE: now 0.02" in centaur(later).text


def test_the_sampler_is_bounded_and_data_only(make_view: MakeView) -> None:
    """Names of the source cannot give orders, however long; unscored and foreign settings are passed over; a program
    without two constants has no sampler; the whole stays within its tokens."""
    long = "".join(f"x{'y' * 300}{number} = {number + 1.5}\n" for number in range(20)).encode()
    view = make_view(editable={"train.py": long})
    strange = [PastProposal(1, {"train.py": b"x = 'no number'"}, "x", Decision.DISCARD, "r", score=1.0)]
    strange.append(tuned(make_view(), 2, 0.01, None))
    view = replace(view, history=tuple(strange))
    text = centaur(view).text
    assert "told 1 scored settings" in text
    assert escaped(text) == text
    assert max(map(len, text.splitlines())) < 1200
    assert estimated_tokens(memory(view, 600, helps=HELPS)) <= 700
    assert centaur(make_view(editable={"train.py": b"A = 1.5\n"})).text == ""
    assert centaur(make_view(editable={"notes.md": b"no program"})).text == ""


def test_switches_are_checked_and_reach_every_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is none is refused by the constructor; a sampler is off unless it is asked for."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "key")
    assert "centaur" not in DEFAULT_HELPS
    makers: list[Callable[..., Any]] = [Claude, lambda *a, **k: ClaudeCode(*a, program="true", **k)]
    for make in makers:
        with pytest.raises(ValueError, match="helps may hold"):
            make("small", helps=["magic"])
        make("small", helps=list(HELPS))
