"""What guards, keep rules and agents are shown, assembled from the state. Pure, but for reading committed files."""

import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from harness.keep.noise_level import NoiseLevel, pooled
from harness.ledger.record_parts import ProposalRecord
from harness.ledger.session_record import SessionRecord
from harness.records import (
    Action,
    Decision,
    Evidence,
    Files,
    KeepEvidence,
    Observation,
    PastProposal,
    Role,
    TrialSummary,
    View,
)
from harness.scoring.inference import total_seconds
from harness.task.task import Task

FilesOf = Callable[[str], Files]
_TRIALS_IN_DOUBT = 3  # of a candidate, before it may be kept
ROLLED_BACK = "keep.rolled_back"  # what became of a provisional keep, or of a proposal that was built on one
Prior = tuple[float, int]  # sd of the score from earlier sessions, degrees of freedom


def noise(state: SessionRecord, prior: Prior | None = None) -> NoiseLevel | None:
    """The sd of one trial's score, pooled within configurations without their screening trials."""
    return pooled(state.confirmatory().values(), *(prior or (None, 0)))


def for_keep(
    state: SessionRecord, proposal: ProposalRecord | None, prior: Prior | None, ending: bool = False
) -> KeepEvidence:
    """The losses that decide about an open proposal, or, without one, about provisional keeps."""
    proposal = proposal or ProposalRecord(0)
    incumbent, candidate = state.incumbent, proposal.commit
    others = (
        losses for commit, losses in state.confirmatory().items() if commit not in (incumbent, candidate)
    )
    sizes = [verdict.evidence for verdict in proposal.verdicts if "complexity" in verdict.evidence]
    return KeepEvidence(
        incumbent=tuple(state.losses(incumbent)),
        candidate=tuple(state.losses(candidate, Role.CANDIDATE)),
        configurations=tuple(others),
        incumbent_screening=0 if incumbent == state.baseline else 1,
        prior_sd=prior[0] if prior else None,
        prior_df=prior[1] if prior else 0,
        decisions_made=len(state.decided),
        incumbent_complexity=int(sizes[-1].get("incumbent_complexity", 0)) if sizes else 0,
        candidate_complexity=int(sizes[-1]["complexity"]) if sizes else 0,
        margin_spent=state.margin_spent,
        incumbent_selected=state.selected,
        decisions_since_incumbent=state.decisions_since_incumbent,
        incumbent_beside=_beside(state, proposal),
        least_trials=_trials_that_guards_lack(proposal),
        provisional=len(state.provisional),
        certified=tuple(state.losses(state.certified_commit)) if state.provisional else (),
        step_head=_of_race(state, Role.STEP_HEAD),
        step_certified=_of_race(state, Role.STEP_CERTIFIED),
        races=tuple(row.action is Action.CERTIFY for row in state.settlements),
        ending=ending,
    )


def race_trial(state: SessionRecord, role: Role) -> str:
    """Prefix of the names of one side's trials in the race that is under way or comes next."""
    return f"race{len(state.settlements) + 1}-{role.value.removeprefix('step_')}-"


def _of_race(state: SessionRecord, role: Role) -> tuple[float, ...]:
    commit = state.incumbent if role is Role.STEP_HEAD else state.certified_commit
    prefix = race_trial(state, role)
    seen = [trial for trial in state.counted(commit, role) if trial.trial_id.startswith(prefix)]
    return tuple(state.loss(trial.score) for trial in seen if trial.score is not None)


def _beside(state: SessionRecord, proposal: ProposalRecord) -> int:
    """Trials of the incumbent since the candidate's first one."""
    roles = [trial.role for trial in proposal.trials]
    if Role.CANDIDATE not in roles:
        return 0
    since = {trial.trial_id for trial in proposal.trials[roles.index(Role.CANDIDATE) :]}
    seen = state.counted(state.incumbent, Role.INCUMBENT)
    return sum(trial.trial_id in since and trial.score is not None for trial in seen)


def _trials_that_guards_lack(proposal: ProposalRecord) -> int:
    """Before a keep: three where a guard has doubts, and what one that cannot decide says it needs."""
    said = [verdict.evidence.get("trials_needed", 0) for verdict in proposal.verdicts]
    said += [_TRIALS_IN_DOUBT for verdict in proposal.verdicts if verdict.doubts]
    return max((int(needed) for needed in said if isinstance(needed, int | float)), default=0)


@dataclass
class History:
    """Every decided proposal, oldest first, with scores as an agent may see them.

    A discarded proposal does not change any more, so it is described once; a keep goes on being measured and may be
    rolled back. When the grid of scores or the usual inference cost changes, all are described anew.
    """

    task: Task
    state: SessionRecord
    files_of: FilesOf
    _past: list[PastProposal] = field(default_factory=list)
    _kept: list[int] = field(default_factory=list)
    _scale: tuple[float | None, float | None] = (None, None)

    def shown(self) -> tuple[PastProposal, ...]:
        scale = (grid_of(self.state), _seconds(self.state, self.state.baseline))
        again = self._kept if scale == self._scale else range(len(self._past))
        self._scale = scale
        for place in again:
            self._past[place] = self._described(self.state.decided[place], self._past[place].files)
        for proposal in self.state.decided[len(self._past) :]:
            if proposal.ruling.decision is Decision.KEEP:
                self._kept.append(len(self._past))
            files = self.files_of(proposal.commit) if proposal.commit else {}
            editable = {name: files[name] for name in self.task.editable if name in files}
            self._past.append(self._described(proposal, editable))
        return tuple(self._past)

    def _described(self, proposal: ProposalRecord, files: Files) -> PastProposal:
        answer, ruling, commit, state = proposal.answer, proposal.ruling, proposal.commit, self.state
        trials = state.observations.get(commit, [])
        return PastProposal(
            number=proposal.number,
            files=files,
            rationale=answer.rationale,
            decision=Decision.DISCARD if proposal.rolled_back else ruling.decision,
            reason=ROLLED_BACK if proposal.rolled_back else ruling.reason,
            score=rounded(state.mean_score(commit, Role.CANDIDATE), self._scale[0]),
            category=ruling.category,
            state=answer.state,
            hypothesis=answer.hypothesis,
            log=trials[-1].log if trials and trials[-1].score is None else "",
            inference_cost=_inference_cost(state, commit, self._scale[1]),
            measured=bool(trials) and not proposal.untold,
            doubts=tuple(proposal.doubts),
            trial=_summary(state, commit),
        )


def _summary(state: SessionRecord, commit: str) -> TrialSummary | None:
    """Of the commit's latest finished trial, by what the referee measured and what the trial claimed of its losses."""
    finished = [trial for trial in state.trials_by_commit.get(commit, ()) if trial.finish is not None]
    if not finished:
        return None
    trial = finished[-1]
    seen, losses = trial.measured, trial.measured.claims.get("curve")
    known = losses if isinstance(losses, list) else []
    return TrialSummary(
        curve=tuple(float(loss) for loss in known if isinstance(loss, int | float)),
        startup_seconds=seen.startup_seconds,
        training_seconds=seen.billed_seconds,
        allowed_seconds=trial.clock.seconds,
        cpu_seconds=seen.cpu_seconds,
        peak_memory_bytes=seen.peak_memory_bytes,
    )


def _inference_cost(state: SessionRecord, commit: str, usual: float | None) -> float | None:
    """As coarse as a score: a finer figure could carry held-out data from a predictor to an agent."""
    own = _seconds(state, commit)
    if not usual or not own:
        return None
    power = 10.0 ** math.floor(math.log10(own / usual))
    near = (factor * power for factor in (1, 2, 5, 10))
    return min(near, key=lambda times: abs(math.log(own / usual / times)))


def _seconds(state: SessionRecord, commit: str) -> float | None:
    found = [total_seconds(seen.side) for seen in state.observations.get(commit, ())]
    known = [seconds for seconds in found if seconds is not None]
    return statistics.median(known) if known else None


def for_guards(
    stage: str,
    task: Task,
    state: SessionRecord,
    proposal: ProposalRecord,
    past: History,
    prior: Prior | None,
    manifests: tuple[Mapping[str, str], Mapping[str, str]] = ({}, {}),
    fixed_work: bool = False,
) -> Evidence:
    """Everything a guard may know about an open proposal. manifests: before and after its trials."""
    level = noise(state, prior)
    return Evidence(
        stage=stage,
        editable=task.editable,
        incumbent=past.files_of(state.incumbent),
        candidate=past.files_of(proposal.commit),
        links=proposal.answer.links,
        history=past.shown(),
        incumbent_trials=_trials(state, state.incumbent),
        candidate_trials=_trials(state, proposal.commit),
        manifest_before=manifests[0],
        manifest_after=manifests[1],
        noise_sd=level.sd if level else None,
        noise_df=level.df if level else 0,
        determinism=task.determinism,
        baseline=past.files_of(state.baseline),
        baseline_trials=_trials(state, state.baseline),
        doubts=tuple(proposal.doubts),
        fixed_work=fixed_work,
        side_limits=task.side_limits,
    )


def _trials(state: SessionRecord, commit: str) -> tuple[Observation, ...]:
    return tuple(seen for seen in state.observations.get(commit, []))


def grid_of(state: SessionRecord) -> float | None:
    """About half the noise's sd: scores on this grid tell an agent little about single rows. None: not rounded."""
    level = noise(state)
    return _nice(level.sd / 2) if level is not None and level.sd > 0 else None


def rounded(score: float | None, grid: float | None) -> float | None:
    """A score as an agent may see it."""
    if score is None or grid is None:
        return score
    digits = max(0, -math.floor(math.log10(grid)))
    return round(round(score / grid) * grid, digits)


def _nice(size: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not above `size`."""
    power = float(10.0 ** math.floor(math.log10(size)))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= size * (1 + 1e-9))


def view(
    task: Task,
    state: SessionRecord,
    program: str,
    past: History,
    *,
    number: int,
    seed: int,
    proposals_left: int | None,
    dollars_left: float | None,
    tokens_left: int | None,
) -> View:
    """All that the agent may know when it is asked for proposal `number`."""
    files, grid = past.files_of(state.incumbent), grid_of(state)
    return View(
        task=task.name,
        metric=task.metric,
        direction=task.direction,
        program=f"{program.rstrip()}\n\n# The task\n\n{task.program_text}",
        editable={name: files[name] for name in task.editable if name in files},
        readable={name: files[name] for name in task.readable if name in files},
        incumbent_score=rounded(state.mean_score(state.incumbent), grid),
        baseline_score=rounded(state.mean_score(state.baseline), grid),
        history=past.shown(),
        number=number,
        proposals_left=proposals_left,
        seed=seed,
        dollars_left=dollars_left,
        tokens_left=tokens_left,
        incumbent_trial=_summary(state, state.incumbent),
    )
