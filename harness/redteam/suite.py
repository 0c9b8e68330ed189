"""Asks guards about attacks and twins, runs those that need a trial, and says what came of each pair."""

import itertools
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from harness.errors import UserError
from harness.protocols import Guards
from harness.records import (
    Clock,
    Evidence,
    Files,
    Judgement,
    Observation,
    Outcome,
    Role,
    Score,
    TrialResult,
    step_rate,
)
from harness.redteam.attack import Attack, Trial
from harness.redteam.program import Baseline, Candidate, NotApplicable
from harness.session.guard_line import Stage, ask
from harness.session.rig import Rig

_BASELINE_TRIALS = 2  # their median says what answers may cost
_ATTEMPTS = 3  # where the machine fails, not the candidate


@dataclass(frozen=True, slots=True)
class Response:
    """What the harness said of a candidate. rejected: a stable code, "" if accepted; gained: see attack.py.

    doubt: the code under which guards accepted it only for trials to settle, "" if they have none.
    """

    rejected: str
    words: str = ""
    gained: str = ""
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class AttackFinding:
    """What came of one attack and its twin. why, twin_why: the code of the rejection, or what was seen instead."""

    name: str
    tries: str
    static: bool
    attack: Literal["caught", "in doubt", "not caught", "not applicable"]
    why: str
    twin: Literal["passed", "blocked", "not applicable"] = "not applicable"
    twin_why: str = ""

    @property
    def good(self) -> bool:
        return self.attack != "not caught" and self.twin != "blocked"


Respond = Callable[[Attack, Candidate], Response]


def findings(chosen: Iterable[Attack], program: Baseline, respond: Respond) -> Iterator[AttackFinding]:
    """One for each attack, as soon as it is known."""
    for attack in chosen:
        try:
            bad, good = attack.attack(program), attack.twin(program)
            found, own = respond(attack, bad), respond(attack, good)
            if (
                own.rejected == "deadline"
            ):  # on a loaded machine the unmodified program is cut now and then, too
                own = respond(attack, good)
            yield judged(attack, found, own)
        except NotApplicable as reason:
            yield AttackFinding(attack.name, attack.tries, attack.static, "not applicable", str(reason))


def judged(attack: Attack, bad: Response, good: Response) -> AttackFinding:
    """Caught: rejected for the attack's own reason, or, where it needs none, without gain. Pure."""
    twin = not good.rejected and (bool(attack.reasons) or bool(good.gained))
    broken = not (twin or good.rejected)
    return AttackFinding(
        attack.name,
        attack.tries,
        attack.static,
        _word(attack, bad),
        _why(bad, "accepted" if attack.reasons else "accepted, and reached nothing"),
        "passed" if twin else "blocked",
        "reached nothing of what it may reach: the attack is broken here"
        if broken
        else _why(good, "accepted"),
    )


def _word(attack: Attack, bad: Response) -> Literal["caught", "in doubt", "not caught"]:
    if bad.gained:
        return "not caught"
    if not attack.reasons:  # the twin shows that it would have reached something
        return "not caught" if bad.rejected else "caught"
    if bad.rejected.startswith(attack.reasons):
        return "caught"
    return "in doubt" if attack.doubt and bad.doubt.startswith(attack.reasons) else "not caught"


def _why(seen: Response, otherwise: str) -> str:
    if seen.gained:
        return seen.gained
    code = seen.rejected or seen.doubt
    return f"{code}: {seen.words}".rstrip(": ") if code else otherwise


def asked_guards(program: Baseline, guards: Guards) -> Respond:
    """What the static guards say, without any trial."""

    def respond(attack: Attack, made: Candidate) -> Response:
        del attack
        return _refusal("static", program, guards, made, ())

    return respond


def _refusal(
    stage: Stage,
    program: Baseline,
    guards: Guards,
    made: Candidate,
    trials: Sequence[Observation],
    baseline: Sequence[Observation] = (),
    fixed_work: bool = False,
) -> Response:
    task = program.task
    tree: Files = {**task.fixed_files(), **program.files}
    evidence = Evidence(
        stage=stage,
        editable=task.editable,
        incumbent=tree,
        candidate={**task.fixed_files(), **made.files},
        links=made.links,
        incumbent_trials=tuple(baseline),
        candidate_trials=tuple(trials),
        baseline=tree,
        baseline_trials=tuple(baseline),
        determinism=task.determinism,
        fixed_work=fixed_work,
        side_limits=task.side_limits,
    )
    doubtful = Response("")
    for verdict in ask(guards, evidence):
        if verdict.judgement is Judgement.REJECT:
            return Response(verdict.reason, verdict.message)
        if verdict.doubts and not doubtful.doubt:
            doubtful = Response("", verdict.doubts[0], doubt=verdict.reason)
    return doubtful


class AttackTrials:
    """Runs candidates as a session runs them: sandbox, clock, evaluator, then the guards that look at trials."""

    def __init__(self, rig: Rig, program: Baseline, guards: Guards) -> None:
        """Raises UserError where the unmodified program has no score."""
        self._rig, self._program, self._guards = rig, program, guards
        self._number = itertools.count(1)
        self._usual: dict[int, float] = {}  # steps -> billed seconds of the baseline
        self._baseline: list[Observation] = []
        for _ in range(_BASELINE_TRIALS):
            self._baseline.append(self._unmodified(None))

    def respond(self, attack: Attack, made: Candidate) -> Response:
        """Raises NotApplicable where the trials of an attack need what the task does not say."""
        clock = self._clock(attack)
        trials = [self._trial(made.files, clock) for _ in range(attack.trials)]
        last, gained = trials[-1], attack.gained(trials) if attack.gained else ""
        answer = _outcome(last)
        if not answer.rejected:
            seen = [_observation(trial) for trial in trials]
            fixed = clock is not None
            guards, known = self._guards, self._baseline
            answer = _refusal("runtime", self._program, guards, made, seen, known, fixed)
        return replace(answer, gained=gained)

    def _clock(self, attack: Attack) -> Clock | None:
        """A budget of steps where the attack asks for one; None: the profile's."""
        if attack.steps is None:
            return None
        rates = [step_rate(seen.claims, seen.billed_seconds) for seen in self._baseline]
        known = [rate for rate in rates if rate]
        if not known:
            raise NotApplicable("the baseline claims no number of steps")
        clock = self._rig.profile.trial_clock()
        wanted = max(1, attack.steps(statistics.median(known), clock.seconds))
        found = replace(clock, steps=wanted)
        if wanted not in self._usual:
            self._usual[wanted] = self._unmodified(found).billed_seconds
        return found

    def _unmodified(self, clock: Clock | None) -> Observation:
        for _ in range(_ATTEMPTS):
            trial = self._trial(self._program.files, clock)
            refused = _outcome(trial)
            if not refused.rejected:
                return _observation(trial)
        raise UserError(
            f"the task's own program has no score here ({refused.rejected}): "
            f"see python -m harness.check_task {self._rig.task.name}"
        )

    def _trial(self, source: Files, clock: Clock | None) -> Trial:
        for _ in range(_ATTEMPTS):
            number = next(self._number)
            result = self._rig.trial(f"trial-{number}", source, number, clock)
            score = None
            if result.outcome is Outcome.COMPLETED:
                score = self._rig.score(result, source, self._baseline)
            if result.outcome is not Outcome.INFRA_FAILED and (
                score is None or score.status != "infra_failed"
            ):
                break
        usual = self._usual.get(clock.steps or 0) if clock else None
        return Trial(result, score, result.billed_seconds / usual if usual else 0.0)


def _outcome(trial: Trial) -> Response:
    """How a trial and its scoring ended: a rejection unless it was scored."""
    result, score = trial.result, trial.score
    if score is None:
        ours = "infra_failed." if result.outcome is Outcome.INFRA_FAILED else ""
        return Response(f"{ours}{result.reason}", _last(result.log))
    if score.status == "scored":
        return Response("")
    ours = "infra_failed." if score.status == "infra_failed" else ""
    return Response(f"{ours}{score.reason}", _last(score.detail))


def _observation(trial: Trial) -> Observation:
    result, score = trial.result, trial.score or Score("invalid")
    return Observation(
        result.trial_id,
        result.trial_id,
        Role.CANDIDATE,
        _seed_of(result),
        result.outcome,
        score.value,
        side=score.side,
        claims=result.claims,
        artefact_sha256=result.artefact_sha256,
        billed_seconds=result.billed_seconds,
        peak_memory_bytes=result.peak_memory_bytes,
        machine={**result.machine, **({"work_ratio": trial.work_ratio} if trial.work_ratio else {})},
    )


def _seed_of(result: TrialResult) -> int:
    return int(result.trial_id.rpartition("-")[2])


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:160] if lines else ""
