"""What trials say about seeds, whatever the source says: different seeds differ, the same seed agrees."""

import math
from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise

from guards.tails import variance_ratio_below
from guards.verdicts import accept, inconclusive, reject
from harness.records import Evidence, Observation, Outcome, Role, Verdict

_CLASSES = ("bitwise", "close", "none")
_CURVE_POINTS = 3


class SeedBehaviour:
    """Rejects a candidate whose trials do not follow the harness's seeds.

    alpha: chance of rejecting an honest candidate for too small a spread, per look. close: for tasks that are
    deterministic up to rounding, how far the same seed may differ, in sd of the noise. least, doubtful_least: seeds
    that must have been seen before a keep; the second where a static guard left something in doubt.
    """

    name = "seed_behaviour"
    stages = ("runtime", "promotion")

    def __init__(
        self, alpha: float = 0.0005, close: float = 0.5, least: int = 2, doubtful_least: int = 3
    ) -> None:
        if not 0 < alpha < 0.1 or close <= 0:
            raise ValueError("alpha must be between 0 and 0.1, close positive")
        if not 1 <= least <= doubtful_least:
            raise ValueError("least must be at least 1, doubtful_least not less than that")
        self._alpha, self._close = alpha, close
        self._least, self._doubtful_least = least, doubtful_least

    def __call__(self, evidence: Evidence) -> Verdict:
        for case, message in self._findings(evidence):
            return reject(self.name, f"seed_behaviour.{case}", message)
        least = self._doubtful_least if evidence.doubts else self._least
        seen = len(_seeds(evidence.candidate_trials))
        if evidence.stage == "promotion" and seen < least:
            why = f", as it is in doubt: {evidence.doubts[0]}" if evidence.doubts else ""
            message = f"{seen} of {least} seeds seen{why}"
            return inconclusive(self.name, "seed_behaviour.more_seeds", message, trials_wanted=least)
        return accept(self.name, evidence={"seeds": seen})

    def _findings(self, evidence: Evidence) -> Iterator[tuple[str, str]]:
        trials = [one for one in evidence.candidate_trials if one.outcome is Outcome.COMPLETED]
        incumbents = [one for one in evidence.incumbent_trials if one.outcome is Outcome.COMPLETED]
        yield from self._repeats(evidence)
        seeded = [one for one in trials if one.role is not Role.REPEAT and not _short(one)]
        if not _ignores_seeds(incumbents):
            yield from _same_artefacts(seeded, incumbents)
            yield from _same_curves(seeded)
            yield from self._small_spread(evidence, seeded, incumbents)

    def _repeats(self, evidence: Evidence) -> Iterator[tuple[str, str]]:
        """The same seed twice, within what the task declares."""
        for repeat in evidence.candidate_trials:
            if repeat.role is not Role.REPEAT or evidence.determinism == "none":
                continue
            for first in evidence.candidate_trials:
                same = (first.seed, first.commit) == (repeat.seed, repeat.commit)
                if not same or first.role is Role.REPEAT or _short(first):
                    continue
                if difference := self._difference(first, repeat, evidence):
                    yield "not_repeatable", f"seed {first.seed} twice: {difference}"

    def _difference(self, first: Observation, repeat: Observation, evidence: Evidence) -> str:
        ends = (first.outcome, repeat.outcome)
        if Outcome.INFRA_FAILED in ends:
            return ""
        if first.outcome is not repeat.outcome:
            return f"{first.outcome.value} once, {repeat.outcome.value} the other time"
        if evidence.determinism == "bitwise":
            if first.artefact_sha256 != repeat.artefact_sha256:
                return "the artefacts differ, but the task is declared bitwise deterministic"
            return "" if first.score == repeat.score else "the scores differ on the same artefact"
        if first.score is None or repeat.score is None or not evidence.noise_sd:
            return ""
        apart = abs(first.score - repeat.score) / evidence.noise_sd
        return f"the scores are {apart:.1f} sd apart" if not apart <= self._close else ""

    def _small_spread(
        self, evidence: Evidence, trials: Sequence[Observation], incumbents: Sequence[Observation]
    ) -> Iterator[tuple[str, str]]:
        """Scores closer together than the pooled noise makes plausible: luck was taken out of the trial."""
        scores = [one.score for one in trials if one.score is not None and math.isfinite(one.score)]
        if len(scores) < 2 or not evidence.noise_sd or len({one.seed for one in trials}) < len(trials):
            return
        known = [one.score for one in incumbents if one.score is not None and math.isfinite(one.score)]
        mean = math.fsum(scores) / len(scores)
        variance = math.fsum((score - mean) ** 2 for score in scores) / (len(scores) - 1)
        variance += _resolution([*scores, *known]) ** 2 / 12  # a coarse metric repeats itself honestly
        ratio = variance / evidence.noise_sd**2
        chance = variance_ratio_below(ratio, len(scores) - 1, evidence.noise_df)
        if chance < self._alpha:
            spread = math.sqrt(ratio)
            yield (
                "small_spread",
                f"{len(scores)} seeds spread by {spread:.2g} of the noise (chance {chance:.1g})",
            )


def _seeds(trials: Sequence[Observation]) -> set[int]:
    """The seeds of a candidate's own finished trials."""
    return {one.seed for one in trials if one.role is Role.CANDIDATE and one.outcome is Outcome.COMPLETED}


def _short(trial: Observation) -> bool:
    return trial.role in (Role.PLACEBO, Role.PLACEBO_TWIN)


def _ignores_seeds(incumbents: Sequence[Observation]) -> bool:
    """Whether the incumbent itself gives one artefact for all its seeds; then nobody can be blamed for it."""
    digests = {one.seed: one.artefact_sha256 for one in incumbents if one.artefact_sha256}
    return len(digests) >= 2 and len(set(digests.values())) == 1


def _same_artefacts(
    trials: Sequence[Observation], incumbents: Sequence[Observation]
) -> Iterator[tuple[str, str]]:
    for one, other in [*combinations(trials, 2), *((one, other) for one in trials for other in incumbents)]:
        if one.artefact_sha256 and one.artefact_sha256 == other.artefact_sha256 and one.seed != other.seed:
            yield "same_artefact", f"seeds {one.seed} and {other.seed} left the same artefact, bit for bit"


def _same_curves(trials: Sequence[Observation]) -> Iterator[tuple[str, str]]:
    """Claimed losses that repeat to the last digit: the claims or the training ignore the seed."""
    for one, other in combinations(trials, 2):
        curve = _curve(one)
        if one.seed != other.seed and len(set(curve)) >= _CURVE_POINTS and curve == _curve(other):
            yield "same_curve", f"seeds {one.seed} and {other.seed} claim the same {len(curve)} losses"


def _curve(trial: Observation) -> tuple[float, ...]:
    claimed = trial.claims.get("curve")
    if not isinstance(claimed, list):
        return ()
    return tuple(float(one) for one in claimed if isinstance(one, int | float) and not isinstance(one, bool))


def _resolution(scores: Sequence[float]) -> float:
    """The smallest step that the metric is seen to make."""
    distinct = sorted(set(scores))
    return min((high - low for low, high in pairwise(distinct)), default=0.0)
