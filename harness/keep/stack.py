"""The default rule: keeps are cheap and provisional, steps are certified on fresh trials or rolled back.

A single promising trial makes a candidate the head. After a few such keeps head and last certified state race on
trials that neither was selected on, in turns. Only what wins there lasts; what does not is taken back whole.
"""

from dataclasses import dataclass
from functools import lru_cache

from harness.keep.blocks import complete, next_in_block
from harness.keep.bounds import block_bounds
from harness.keep.drift import change_point
from harness.keep.noise_level import NoiseLevel, from_evidence, usable
from harness.keep.two_samples import compare
from harness.records import Action, KeepEvidence, Step

_LEAST_HEAD = 2  # the trial that it was kept on, and a fresh one
_SHARE = 0.5  # of the error that is left, the most that one race may spend


@dataclass(frozen=True, slots=True)
class Stack:
    """promising: normal score of a candidate's trial at which it is kept provisionally.

    provisional_keeps: so many of them are put to the test together.
    alpha: probability that a race certifies a head that is no better; most, as the session's error may be scarce.
    session_error: false certified steps to expect of a session in which nothing is better, stated beforehand and
    spent race by race (Foster and Stine's alpha-investing, 2008): a race that fails costs its alpha, one that
    certifies a step earns session_error again, so that of all steps at most this share is false in expectation.
    looks: blocks of one trial of head and certified state each, at most. futility: normal score below which a race
    is given up. incumbent_runs: trials of the baseline before the first proposal; so many of an incumbent's latest
    trials are what a candidate is compared with. refresh: one more trial of the head after so many decisions
    without one, so that the bar is not older than the machine's mood; 0: never.
    """

    promising: float = 0.6
    provisional_keeps: int = 5
    alpha: float = 0.05
    session_error: float = 0.05
    looks: int = 6
    futility: float = 0.0
    incumbent_runs: int = 4
    refresh: int = 20

    def __post_init__(self) -> None:
        for name in ("alpha", "session_error"):
            if not 0 < getattr(self, name) < 0.5:
                raise ValueError(f"{name} is {getattr(self, name)}; it must lie between 0 and 0.5")
        if self.provisional_keeps < 1:
            raise ValueError(f"provisional_keeps is {self.provisional_keeps}; it must be at least 1")
        if self.looks < 2:
            raise ValueError(f"looks is {self.looks}; a certified step needs at least 2")
        if self.incumbent_runs < 2:
            raise ValueError(f"incumbent_runs is {self.incumbent_runs}; the sd needs at least 2")
        if self.refresh < 0:
            raise ValueError("refresh cannot be negative")

    @property
    def settling_trials(self) -> int:
        return 2 * self.looks

    def next_step(self, evidence: KeepEvidence) -> Step:
        if not usable(evidence):
            return Step(Action.DISCARD, "not_finite")
        noise = from_evidence(evidence)
        if noise is None or (
            len(evidence.incumbent) < self.incumbent_runs and not evidence.incumbent_selected
        ):
            return Step(Action.RUN_INCUMBENT, "noise_unknown" if noise is None else "incumbent_runs")
        if len(evidence.candidate) < max(1, evidence.least_trials):
            return Step(Action.RUN_CANDIDATE, "guards" if evidence.candidate else "screening")
        found = compare(evidence.incumbent[-self.incumbent_runs :], evidence.candidate, noise)
        statistics = {"z": found.z, "bound": self.promising, "effect": found.effect, "sd": noise.sd}
        statistics |= {"df": noise.df, "look": float(len(evidence.candidate))}
        if found.z >= self.promising:
            return Step(Action.KEEP, "promising", statistics)
        return Step(Action.DISCARD, "not_promising", statistics)

    def between(self, evidence: KeepEvidence) -> Step:
        if evidence.provisional and (evidence.ending or evidence.provisional >= self.provisional_keeps):
            return self._race(evidence)
        if evidence.ending or not evidence.incumbent_selected:
            return self._refreshed(evidence, Step(Action.PROPOSE, "settled"))
        if len(evidence.incumbent) < _LEAST_HEAD:
            return Step(Action.RUN_INCUMBENT, "new_head")
        return self._refreshed(evidence, Step(Action.PROPOSE, "stacking"))

    def _refreshed(self, evidence: KeepEvidence, otherwise: Step) -> Step:
        stale = 0 < self.refresh <= evidence.decisions_since_incumbent and not evidence.ending
        return Step(Action.RUN_INCUMBENT, "refresh") if stale else otherwise

    def _race(self, evidence: KeepEvidence) -> Step:
        """The head against the last certified state, on trials made for this alone."""
        counts = (len(evidence.step_certified), len(evidence.step_head))
        noise = from_evidence(evidence)
        if noise is None or not usable(evidence):
            return Step(Action.ROLL_BACK, "not_finite")
        if not complete(*counts):
            return Step(next_in_block(*counts, Action.RUN_CERTIFIED, Action.RUN_HEAD), "race")
        return self._look(evidence, noise)

    def _look(self, evidence: KeepEvidence, noise: NoiseLevel) -> Step:
        look, alpha = len(evidence.step_head), self.next_alpha(evidence.races)
        found = compare(evidence.step_certified, evidence.step_head, noise)
        bound = block_bounds(alpha, self.looks)[min(look, self.looks) - 1]
        statistics = {"z": found.z, "bound": bound, "effect": found.effect, "sd": noise.sd, "df": found.df}
        statistics |= {"look": float(look), "alpha": alpha, "keeps": float(evidence.provisional)}
        if alarm := change_point(evidence.certified, noise):
            statistics["drift"] = alarm.z
        if look > 1 and found.z >= bound:
            return Step(Action.CERTIFY, "crossed_bound", statistics)
        if found.z < self.futility:
            return Step(Action.ROLL_BACK, "futile", statistics)
        if look >= self.looks:
            return Step(Action.ROLL_BACK, "no_looks_left", statistics)
        action = next_in_block(look, look, Action.RUN_CERTIFIED, Action.RUN_HEAD)
        return Step(action, "race", statistics)

    def next_alpha(self, races: tuple[bool, ...]) -> float:
        """What the next race may err with, after the earlier ones of this session."""
        return _next_alpha(self.alpha, self.session_error, races)


@lru_cache(maxsize=4096)
def _next_alpha(alpha: float, session_error: float, races: tuple[bool, ...]) -> float:
    """Rounded down to three digits, so that the bounds of an alpha are computed once."""
    wealth = session_error * (1 - session_error)
    for certified in races:
        wealth += session_error * certified - _spent(alpha, wealth)
    return _spent(alpha, wealth)


def _spent(alpha: float, wealth: float) -> float:
    exact = min(alpha, _SHARE * wealth)
    return float(f"{exact:.2e}")
