"""Comparing arms: right about what is known, silent about what is not."""

import html
import json
import math
import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.commands.compare import main
from harness.compare.comparison import compare
from harness.compare.page import html_comparison
from harness.compare.statistics import Gain, beats, differences, estimate, holm, power, repeats_needed
from harness.errors import UserError
from harness.ledger.sweep_record import Record


def arm(values, task="t", error=0.0):
    return [Gain(value, error, task, str(place)) for place, value in enumerate(values)]


def verdicts(**arms):
    return {(pair.first, pair.second): pair.verdict for pair in differences(arms)}


def test_equal_arms_are_called_better_in_at_most_five_per_cent_of_sweeps():
    """400 sweeps of four equal arms, most of whose sessions keep nothing (the study: scripts/simulate_compare.py)."""
    draw = random.Random(1)

    def session():
        return 0.0 if draw.random() < 0.7 else draw.gauss(1, 0.5)

    wrong = 0
    for _ in range(400):
        arms = {str(i): arm([session() for _ in range(4)], error=0.1) for i in range(4)}
        wrong += any(pair.verdict != "cannot tell" for pair in differences(arms))
    assert wrong <= 31  # more than 5 % by chance in fewer than 1 of 100 runs of this test with another seed


@pytest.mark.parametrize("repeats", [3, 5])
def test_skewed_gains_of_unequal_spread_are_no_difference(repeats):
    """Equal means, three times the spread, rare large gains: Welch's test alone calls 10 to 15 % of such sweeps."""
    draw = random.Random(3)
    mean = math.exp(0.5)
    wrong = 0
    for _ in range(400):
        a = arm([draw.lognormvariate(0, 1) - mean for _ in range(repeats)])
        b = arm([3 * (draw.lognormvariate(0, 1) - mean) for _ in range(repeats)])
        wrong += verdicts(a=a, b=b)["a", "b"] != "cannot tell"
    assert wrong <= 31  # as above


def test_a_large_difference_is_seen_and_a_single_session_tells_nothing():
    """Three sessions each and a clear gap: better. One session each: cannot tell, however large the gap."""
    assert verdicts(a=arm([5.0, 5.2, 4.9]), b=arm([1.0, 1.1, 0.8])) == {("a", "b"): "better"}
    assert verdicts(a=arm([5.0]), b=arm([1.0])) == {("a", "b"): "cannot tell"}
    assert estimate(arm([5.0])).low is None


def test_arms_without_any_gain_differ_in_nothing():
    """Sessions that kept nothing gained exactly nothing: no spread is not a reason for certainty."""
    (pair,) = differences({"a": arm([0, 0, 0]), "b": arm([0, 0, 0])})
    assert (pair.verdict, pair.p, pair.repeats) == ("cannot tell", None, None)
    assert pair.beats[0] == 0.5


def test_close_sessions_do_not_make_a_certificate_more_exact_than_it_is():
    """The spread of an arm is at least what its certificates' own errors give."""
    a, b = [1.0, 1.0001, 1.0002], [0.9, 0.9001, 0.9002]
    assert verdicts(a=arm(a), b=arm(b)) == {("a", "b"): "better"}
    assert verdicts(a=arm(a, error=0.1), b=arm(b, error=0.1)) == {("a", "b"): "cannot tell"}


def test_tasks_are_strata():
    """A difference within both tasks is seen although the tasks differ far more than the arms."""
    a = arm([1.0, 1.1, 1.05], "x") + arm([101.0, 101.1, 101.05], "y")
    b = arm([0.5, 0.6, 0.55], "x") + arm([100.5, 100.6, 100.55], "y")
    assert verdicts(a=a, b=b) == {("a", "b"): "better"}
    assert verdicts(a=arm([1, 2], "x"), b=arm([1, 2], "y")) == {("a", "b"): "cannot tell"}


def test_more_arms_need_more_evidence():
    """The same two arms, alone and among eight others."""
    pair = {"a": arm([2.0, 2.5, 3.0]), "b": arm([-0.6, 0.0, 0.2])}
    others = {str(i): arm([0.1 * i, 0.9, 1.9]) for i in range(8)}
    assert verdicts(**pair) == {("a", "b"): "better"}
    found = {(p.first, p.second): p for p in differences({**pair, **others})}["a", "b"]
    assert found.verdict == "cannot tell"
    assert found.p < 0.05 < found.p_holm


def test_the_repeats_that_would_tell_do_tell():
    """Simulated with that many sessions, about four in five sweeps see the difference."""
    draw = random.Random(2)
    first, second = arm([1.0, 2.0, 3.0]), arm([0.2, 1.2, 2.2])
    needed = repeats_needed(first, second, 0.05)
    assert needed
    seen = 0
    for _ in range(300):
        a = arm([draw.gauss(2.0, 1.0) for _ in range(needed)])
        b = arm([draw.gauss(1.2, 1.0) for _ in range(needed)])
        seen += verdicts(a=a, b=b)["a", "b"] == "better"
    assert 0.72 < seen / 300 < 0.88
    assert power(0.8, 2 / needed, 2 * needed - 2, 0.05) >= 0.8


_GAINS = st.lists(st.floats(-5, 5), min_size=3, max_size=3)


@given(_GAINS, _GAINS, _GAINS, _GAINS)
@example([0.0] * 3, [0.0] * 3, [0.0] * 3, [0.0, 0.0, 1e-128])  # the square of whose variance is no number
def test_sessions_that_did_not_tell_are_too_few(a, b, c, d):
    """Whatever the spreads, in one arm or task alone too: as many as there are never would, and say so."""
    gains = {
        "first": [*arm(a, task="t"), *arm(b, task="u")],
        "second": [*arm(c, task="t"), *arm(d, task="u")],
    }
    (found,) = differences(gains)
    if found.verdict == "cannot tell" and found.repeats is not None:
        assert found.repeats > 3


def test_holm_by_hand():
    """The step-down procedure, a missing p-value counted as a comparison."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([None, 0.01]) == [None, 0.02]
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=8), st.lists(st.floats(-5, 5), min_size=1, max_size=8))
def test_probability_of_beating_is_antisymmetric_and_inside_its_interval(a, b):
    """P(A beats B) = 1 - P(B beats A), interval included."""
    share, low, high = beats(arm(a), arm(b))
    other, other_low, other_high = beats(arm(b), arm(a))
    assert share + other == pytest.approx(1)
    assert 0 <= low <= share <= high <= 1
    assert low == pytest.approx(1 - other_high, abs=1e-6)
    assert high == pytest.approx(1 - other_low, abs=1e-6)


@pytest.fixture
def sweep(maker, written, tmp_path):
    """Three agents, three repeats: one clearly better, one that fails once, one session still open."""
    folder = tmp_path / "sweep"
    arms, record = {}, None
    for agent, gain in (("claude", 0.05), ("optuna", 0.01), ("random", 0.011)):
        for repeat in range(3):
            name = f"agent-{agent}_repeat-{repeat}"
            arms[name] = {"agent": agent, "repeat": str(repeat)}
            made = maker(
                seed=repeat + 10, agent=agent, choices={"task": "nanochat", "agent": agent, "keep": "race"}
            )
            made.baseline()
            for number in range(1, 25):
                made.propose(number)
            if (agent, repeat) == ("random", 2):
                continue
            if (agent, repeat) != ("optuna", 2):
                made.end(gain=gain + 0.002 * repeat)
            written(folder / name / "session", made.rows)
    record = Record(folder)
    record.add("sweep_started", arguments=[], arms=arms)
    record.add("arm_ended", arm="agent-random_repeat-2", code=1, error="no <b>key</b>")
    return folder


def test_a_sweep_is_compared(sweep, capsys, tmp_path):
    """Arms, verdicts, failures as results, open sessions left out, the page and the data."""
    assert main([str(sweep), "--html", str(tmp_path / "c.html"), "--json", str(tmp_path / "c.json")]) == 0
    said = capsys.readouterr().out
    assert (
        "better: agent=claude than agent=optuna" in said or "better: agent=claude than agent=random" in said
    )
    assert "cannot tell: agent=optuna against agent=random" in said
    assert "failed: no <b>key</b>" in said
    assert "has not ended and is left out" in said
    data = json.loads((tmp_path / "c.json").read_text())
    by_arm = {entry["arm"]: entry for entry in data["arms"]}
    assert by_arm["agent=random"]["sessions"] == 3
    assert by_arm["agent=random"]["failed"] == 1
    assert by_arm["agent=random"]["gain"]["low"] < 0 < by_arm["agent=random"]["gain"]["high"]
    assert by_arm["agent=optuna"]["sessions"] == 2
    assert by_arm["agent=claude"]["gain"]["mean"] == pytest.approx(0.052)
    assert by_arm["agent=claude"]["gain_per_dollar"] > 0
    assert by_arm["agent=claude"]["reached"] == 3
    page = (tmp_path / "c.html").read_text()
    assert "<b>key</b>" not in page
    assert "agent=claude" in page
    assert page.count("<svg") == 4


def test_several_tasks_are_compared_in_shares_of_the_baseline(maker, written, tmp_path):
    """Units differ between tasks, so gains are relative."""
    for agent in ("a", "b"):
        for task in ("x", "y"):
            for repeat in range(2):
                choices = {"task": task, "agent": agent}
                made = maker(repeat, task=task, agent=agent, choices=choices, config={"repeat": repeat})
                made.baseline()
                for number in range(1, 13):
                    made.propose(number)
                made.end(gain=0.195)
                written(tmp_path / f"{agent}{task}{repeat}", made.rows)
    found = compare(tmp_path)
    assert found.relative
    assert [summary.arm for summary in found.summaries] == ["agent=a", "agent=b"]
    assert found.summaries[0].gain.mean == pytest.approx(0.1, rel=0.01)
    assert "as a share of the baseline's score" in html.unescape(html_comparison(found))
    assert len(found.differences) == 1


def test_sessions_of_different_tasks_are_not_compared(maker, written, tmp_path, capsys):
    """A folder with sessions that have nothing to do with each other: no verdict on them, and a word why."""
    for agent, task in (("a", "x"), ("b", "y")):
        made = maker(task=task, agent=agent, choices={"task": task, "agent": agent})
        made.baseline()
        for number in range(1, 13):
            made.propose(number)
        made.end(gain=0.195)
        written(tmp_path / f"{agent}{task}", made.rows)
    assert main([str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("certified gain as a share of the baseline's score\n")
    assert "note: agent=a against agent=b: different tasks, not compared" in said
    assert "cannot tell" not in said


def test_nothing_to_compare_is_one_line(tmp_path):
    """An empty folder, or none."""
    for folder in (tmp_path, tmp_path / "gone"):
        with pytest.raises(UserError):
            main([str(folder)])
