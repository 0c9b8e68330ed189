"""What somebody reads in the first hour says which time, which mean and which way, and alarms nobody."""

from pathlib import Path
from typing import Any

import pytest

from harness.ledger.rows import row_of
from harness.records import Action, Step
from harness.report.headline import headline
from harness.report.html.page import top
from harness.report.results_tsv import head
from harness.report.terminal.lines import event_line
from harness.report.words import certificate_lines, mean_text
from harness.session.referee import explained
from harness.ui.parts import _now
from harness.ui.watched import Watched
from tests.report.conftest import recorded, write_session


def said_of(rows: list[dict[str, Any]]) -> list[str]:
    """The terminal's lines, each as it comes."""
    session, lines = recorded([]), []
    for row in map(row_of, rows):
        session.add(row)
        lines.append(event_line(session, row))
    return [line for line in lines if line]


def test_a_trial_is_announced_with_its_limit_and_its_time_is_named(maker: Any) -> None:
    """CPU seconds are called so, start-up is a limit of its own, and a long wait is told beside what is billed."""
    made = maker()
    made.baseline(2)
    for row in made.rows:
        if row["kind"] == "trial_finished" and row["trial_id"] == "baseline-2":
            row.update(billed_seconds=11.4, wall_seconds=34.2)
    said = "\n".join(said_of(made.rows))
    assert "baseline-2 (baseline) started: at most 20 s of CPU time, after 1 min 00 s to start up" in said
    assert "in 20 s of CPU time\n" in said
    assert said.endswith("in 11 s of CPU time, 34 s in all")


def test_short_trials_are_announced_too(maker: Any) -> None:
    """Three seconds of training can be ten on the clock; what may take as long as its start-up allows is announced."""
    made = maker()
    made.baseline(2)
    for row in made.rows:
        if row["kind"] == "trial_started":
            row["clock"]["seconds"] = 3
    assert "trial baseline-2 (baseline) started: at most 3 s of CPU time" in "\n".join(said_of(made.rows))


def test_another_seed_is_no_objection(maker: Any) -> None:
    """A guard that waits for a second seed is the usual course before a keep; one that objects is named."""
    made = maker()
    made.baseline()
    made.add("proposed", proposal=1, commit="1" * 40, parent="b" * 40, rationale="Wider", files={}, patch="")
    wanted = {"guard": "seed_behaviour", "judgement": "inconclusive", "reason": "seed_behaviour.more_seeds"}
    made.add("verdict", proposal=1, stage="promotion", message="1 of 2 seeds seen", trials_wanted=2, **wanted)
    assert said_of(made.rows)[-1] == (
        "another trial before a keep: 1 of 2 seeds seen (seed_behaviour.more_seeds)"
    )
    made.add("verdict", proposal=1, stage="runtime", message="faster", **{**wanted, "reason": "x.disturbed"})
    assert said_of(made.rows)[-1] == "guard seed_behaviour: inconclusive (x.disturbed) faster"


@pytest.mark.parametrize(("effect", "said"), [(0.2613, "better by 0.2613"), (-0.009488, "worse by 0.009488")])
def test_a_decision_says_which_way(effect: float, said: str) -> None:
    """Scores may go up or down: the sign of a difference alone says nothing."""
    step = Step(Action.DISCARD, "bound", {"z": 1.0, "bound": 0.6, "look": 2, "effect": effect, "sd": 0.061})
    assert explained(step).endswith(f", {said} (sd 0.061)")


def test_a_mean_says_of_how_many_trials_and_that_races_are_in_it(maker: Any) -> None:
    """A proposal's score is of the trials that it was kept on; the incumbent's mean goes on."""
    made = maker()
    made.baseline()
    session = recorded(made.rows)
    assert mean_text(session, session.baseline).endswith("(mean of 4 trials)")
    made.trial("step_certified", 1.95, "b" * 40)
    session = recorded(made.rows)
    assert mean_text(session, session.baseline).endswith("(mean of 5 trials, races included)")
    assert "mean of 5 trials, races included; baseline" in top(session)
    assert mean_text(session, "f" * 40) == "-"


def kept(maker: Any, **certificate: Any) -> list[str]:
    """The certificate's lines of a session with a keep."""
    for seed in range(20):
        made = maker(seed)
        made.baseline()
        for number in range(1, 5):
            made.propose(number)
        if any(row.get("decision") == "keep" for row in made.rows):
            made.end(**certificate)
            return certificate_lines(recorded(made.rows))
    raise AssertionError("no seed keeps anything")


def test_a_certificate_of_few_trials_says_what_narrows_it(maker: Any) -> None:
    """And one of the usual number says nothing of the kind."""
    few = kept(maker, head_scores=[1.9, 1.9], baseline_scores=[2.0, 2.0])
    assert "the interval over seeds is wide: 2 trials a side; budget.certificate=5 narrows it" in few
    assert not any("narrows" in line for line in kept(maker))


def test_a_certified_gain_above_the_claim_is_explained(maker: Any) -> None:
    """Claims are too high on average, so one that was exceeded makes readers wonder."""
    above = next(line for line in kept(maker, gain=0.4, claimed=0.3) if line.startswith("claimed"))
    assert "(less than certified: the sealed split has other rows than val" in above
    below = next(line for line in kept(maker, gain=0.3, claimed=0.4) if line.startswith("claimed"))
    assert "less than" not in below


def test_a_metric_that_is_called_val_loss_is_called_so_once(maker: Any) -> None:
    """autoresearch's column is val_ and the metric; nobody wants val_val_loss."""
    made = maker()
    made.baseline()
    assert head(recorded(made.rows)).split("\t")[1].count("val_") == 1
    made.rows[0]["metric"] = "val_loss"
    assert head(recorded(made.rows)).split("\t")[1] == "val_loss"


def test_while_the_first_idea_is_tried_none_has_failed(maker: Any, tmp_path: Path) -> None:
    """ "0 ideas, none kept" would be a verdict; what a plan expected is no news while trials go on."""
    made = maker()
    made.add("notice", text="plan: about 3 decisions")
    made.baseline()
    assert headline(recorded(made.rows)).startswith("No idea yet: the baseline stands at")
    made.propose(1, finish=False)
    assert headline(recorded(made.rows)).startswith("The first idea is being tried: the baseline stands at")
    watched = Watched(write_session(tmp_path / "session", made.rows))
    watched.look()
    assert "about 3 decisions" not in _now(watched)
