"""Rules that the simulation compares with and that no session can choose."""

import math
from dataclasses import dataclass

from harness.keep.bounds import bounds
from harness.keep.final_keeps import FinalKeeps
from harness.keep.noise_level import NoiseLevel, mean, squared_deviations, usable
from harness.keep.normal_score import LARGEST, normal_score
from harness.records import Action, KeepEvidence, Step


@dataclass(frozen=True, slots=True)
class EarlierRace(FinalKeeps):
    """The race as it was: a keep after one trial, one sd for all, old trials of the incumbent, a stored sd trusted."""

    alpha: float = 0.05
    max_runs: int = 6
    futility: float = 1.0
    incumbent_runs: int = 4

    def next_step(self, evidence: KeepEvidence) -> Step:
        if not usable(evidence):
            return Step(Action.DISCARD, "not_finite")
        noise = self._noise(evidence)
        if noise is None or len(evidence.incumbent) < self._incumbents_wanted(evidence):
            return Step(Action.RUN_INCUMBENT, "incumbent_runs")
        if not evidence.candidate:
            return Step(Action.RUN_CANDIDATE, "screening")
        runs, effect = len(evidence.candidate), mean(evidence.incumbent) - mean(evidence.candidate)
        z = self._score(evidence, noise, effect)
        planned = max(self.incumbent_runs, len(evidence.incumbent))
        bound = bounds(self.alpha, planned, self.max_runs)[min(runs, self.max_runs) - 1]
        if (noise.sd > 0 or runs > 1) and z >= bound:
            return Step(Action.KEEP, "crossed_bound")
        if z < self.futility or runs >= self.max_runs:
            return Step(Action.DISCARD, "futile")
        return Step(Action.RUN_CANDIDATE, "undecided")

    def _incumbents_wanted(self, evidence: KeepEvidence) -> int:
        if not evidence.incumbent_screening:
            return self.incumbent_runs
        return min(self.incumbent_runs, max(2, len(evidence.candidate) + 1))

    @staticmethod
    def _noise(evidence: KeepEvidence) -> NoiseLevel | None:
        groups = (*evidence.configurations, evidence.incumbent[evidence.incumbent_screening :])
        df = evidence.prior_df + sum(max(0, len(losses) - 1) for losses in groups)
        squares = evidence.prior_df * (evidence.prior_sd or 0.0) ** 2
        squares += math.fsum(squared_deviations(losses) for losses in groups if losses)
        return NoiseLevel(math.sqrt(squares / df), df) if df else None

    @staticmethod
    def _score(evidence: KeepEvidence, noise: NoiseLevel, effect: float) -> float:
        if noise.sd == 0:
            return math.copysign(LARGEST, effect) if effect else 0.0
        error = noise.sd * math.sqrt(1 / len(evidence.incumbent) + 1 / len(evidence.candidate))
        return normal_score(effect / error, noise.df)


@dataclass(frozen=True, slots=True)
class PairedBetting(FinalKeeps):
    """PACE's acceptance test (arXiv 2606.08106): a bet on paired outcomes, kept once the wealth reaches 1 / alpha.

    The paper pairs right and wrong answers to the same questions; a discordant pair multiplies the wealth by
    1 + bet or 1 - bet, and the bet is a half. One trial gives one loss here, so a pair is a trial of the incumbent
    and one of the candidate at the same seed, and its outcome is which of them is lower (without ties every pair is
    discordant). The paper tests all of a fixed set of instances; here `max_pairs` bounds them, and a candidate that
    cannot win any more is dropped at once, which only helps. The text of the paper was not at hand in full; bet and
    threshold are those of public implementations of it.
    """

    alpha: float = 0.05
    bet: float = 0.5
    max_pairs: int = 12
    incumbent_runs: int = 0
    same_seed: bool = True

    def next_step(self, evidence: KeepEvidence) -> Step:
        pairs = len(evidence.candidate)
        if evidence.incumbent_beside > pairs:
            return Step(Action.RUN_CANDIDATE, "pair")
        old = evidence.incumbent[len(evidence.incumbent) - pairs :]
        wealth = 1.0
        for theirs, ours in zip(old, evidence.candidate, strict=True):
            wealth *= 1 + self.bet if ours < theirs else 1 - self.bet
        if wealth >= 1 / self.alpha:
            return Step(Action.KEEP, "wealth")
        if wealth * (1 + self.bet) ** (self.max_pairs - pairs) < 1 / self.alpha:
            return Step(Action.DISCARD, "cannot_win")
        return Step(Action.RUN_INCUMBENT, "pair")
