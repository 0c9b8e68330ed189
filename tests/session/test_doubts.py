"""What static guards cannot settle is settled by trials before a keep; what changes nothing costs one trial."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from guards.duplicates import Duplicates
from guards.seed_behaviour import SeedBehaviour
from guards.side_metrics import SideMetrics
from harness.agents.memory import memory
from harness.records import Direction, Evidence, Judgement, Role, Score, SideLimit, TrialResult, Verdict
from harness.report.words import why
from tests.session.conftest import Forbids, Machine, World

FAR_BETTER = "loss = 0.2\n# a far better one: one trial would do for the keep rule"
Make = Callable[..., World]


@dataclass(frozen=True)
class Doubts:
    """A static guard that has a doubt about each candidate with a certain word."""

    word: str = "far better"
    name: str = "doubts"
    stages: tuple[str, ...] = ("static",)

    def __call__(self, evidence: Evidence) -> Verdict:
        doubted = self.word in evidence.candidate["train.py"].decode()
        said = ("a stream that cannot be followed",) if doubted else ()
        return Verdict(self.name, Judgement.ACCEPT, "seed.shifted" if said else "", doubts=said)


def own_trials(made: World) -> int:
    return sum(spec.role is Role.CANDIDATE for spec in made.machine.runs)


def test_no_keep_before_two_seeds_were_seen(world: Make) -> None:
    """However good its first trial is, a candidate has two before the behavioural guard can accept a keep."""
    made = world([FAR_BETTER], guards=(SeedBehaviour(),))
    session = made.session()
    session.run()
    assert [one.decision for one in session.trial_runner.state.decided] == ["keep"]
    assert own_trials(made) >= 2


def test_a_doubtful_candidate_needs_three_seeds(world: Make) -> None:
    """The doubt stands on the verdict's and the decision's rows, in the report and in what the agent is told."""
    made = world([FAR_BETTER, "loss = 0.9\n# another"], guards=(Doubts(), SeedBehaviour()))
    session = made.session()
    session.run()
    assert sum(spec.role is Role.CANDIDATE and "p0001" in spec.trial_id for spec in made.machine.runs) >= 3
    proposal = session.trial_runner.state.decided[0]
    assert proposal.doubts == ["a stream that cannot be followed"]
    assert "in doubt: a stream that cannot be followed" in why(proposal)
    assert "in doubt: a stream that cannot be followed" in memory(made.script.views[1], 4000)


class Ignores(Machine):
    """A machine on which a candidate gives one artefact whatever its seed is."""

    def run(self, spec, source, stop=None) -> TrialResult:  # type: ignore[no-untyped-def] # as its base
        result = super().run(spec, source, stop)
        same = "far better" in source["train.py"].decode()
        return replace(result, artefact_sha256="always the same") if same else result


def test_a_doubtful_candidate_that_ignores_its_seed_is_rejected(world: Make) -> None:
    """What the static guard let pass in doubt, the behavioural one stops before it is kept."""
    made = world([FAR_BETTER], guards=(Doubts(), SeedBehaviour()))
    made.machine = Ignores(made.folder)
    session = made.session()
    session.run()
    assert session.trial_runner.state.decided[0].reason == "seed_behaviour.same_artefact"


def fixed_work(made: World) -> World:
    profile = replace(made.task.profiles["cpu"], steps=100)
    made.task = replace(made.task, profiles={"cpu": profile})
    return made


def test_a_rewrite_that_changes_nothing_costs_one_trial(world: Make) -> None:
    """With fixed work it is tried once at a seed of the incumbent's, leaves the same bits and is discarded."""
    made = fixed_work(world(["if True:\n    loss = 1.0 \n"], guards=(Duplicates(), SeedBehaviour())))
    session = made.session()
    session.run()
    assert session.trial_runner.state.decided[0].reason == "duplicates.same_bits"
    assert [spec.role for spec in made.machine.runs if "p0001" in spec.trial_id] == [Role.REPEAT]


def test_a_change_that_only_looks_like_one_of_nothing_goes_on(world: Make) -> None:
    """Other bits at the same seed: it is measured like any other. With timed work nothing is tried beforehand."""

    class Differs(Machine):
        def run(self, spec, source, stop=None) -> TrialResult:  # type: ignore[no-untyped-def] # as its base
            found = super().run(spec, source, stop)
            extra = "if True" in source["train.py"].decode()
            return replace(found, artefact_sha256=found.artefact_sha256 + "x" * extra)

    text = "if True:\n    loss = 1.0 \n"
    for made, probes in (
        (fixed_work(world([text], guards=(Duplicates(),))), 1),
        (world([text], guards=(Duplicates(),)), 0),
    ):
        made.machine = Differs(made.folder)
        session = made.session()
        session.run()
        assert str(session.trial_runner.state.decided[0].reason).startswith("keep.")
        assert sum(spec.role is Role.REPEAT for spec in made.machine.runs) == probes
        assert own_trials(made) >= 1


def test_what_was_never_measured_is_no_repetition(world: Make) -> None:
    """A proposal that got no trial may come back; one that was measured may not."""
    made = world(
        [
            "forbidden\nloss = 0.2",
            "forbidden\nloss = 0.2",
            "loss = 1.5\nsave(loss)",
            "loss = 1.5\nsave(loss)  # again",
        ],
        guards=(Doubts("forbidden"), Forbids(), Duplicates()),
    )
    session = made.session()
    session.run()
    reasons = [one.reason for one in session.trial_runner.state.decided]
    assert reasons[:2] == ["words.forbidden", "words.forbidden"]
    assert reasons[3] == "duplicates.repeated"


def test_a_side_metric_beyond_its_limit_stops_a_keep(world: Make) -> None:
    """A better loss that is bought with a worse side metric is not kept; its twin within the limit is."""

    class Sides(Machine):
        def score(self, result, source, split, baseline=()) -> Score:  # type: ignore[no-untyped-def] # as its base
            found = super().score(result, source, split, baseline)
            wrong = 9.0 if "bought" in source["train.py"].decode() else 5.0
            return replace(found, side={"error_percent": wrong + (found.value or 0.0) / 100})

    texts = ["loss = 0.8\n# bought dearly", "loss = 0.8\n# honestly"]
    made = world(texts, guards=(SideMetrics(),))
    limits = {"error_percent": SideLimit(Direction.MINIMIZE, 1.0)}
    made.task = replace(made.task, side_limits=limits)
    made.machine = Sides(made.folder)
    session = made.session()
    session.run()
    reasons = [(one.decision, one.reason.partition(".")[0]) for one in session.trial_runner.state.decided]
    assert reasons == [("discard", "side_metrics"), ("keep", "keep")]
