"""What it costs to get answers out of an artefact, and how much of that is allowed. Pure; standard library only.

A trial is billed until its answers can be given: work that is put off until the predictor starts, or into its answers,
is measured in the clock that training is billed in, and held against what the unmodified baseline needs. All of the
predictor's time is counted, whatever the referee does meanwhile, so there is no free time in which to learn.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from harness.records import Observation
from harness.scoring import reasons
from harness.scoring.settings import Scoring

LOAD_SECONDS, ANSWER_SECONDS = "inference.load_seconds", "inference.answer_seconds"
QUESTIONS, ARTEFACT_BYTES = "inference.questions", "inference.artefact_bytes"
AUDIT_NOISE = "audit.noise_nats"
_BURST = 3.0  # an answer that takes so many times what answers usually take is more than an answer


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a candidate may use. answer_seconds_each: per question (a token or an item), above `floor_seconds` in all.

    noise_nats: how far the baseline's own answers differ when they are asked for again.
    """

    load_seconds: float
    answer_seconds_each: float
    floor_seconds: float
    artefact_bytes: int
    noise_nats: float = 0.0

    def answer_seconds(self, questions: int) -> float:
        return max(self.floor_seconds, self.answer_seconds_each * questions)


def allowance(baseline: Sequence[Observation], settings: Scoring, trial_seconds: float) -> Allowance | None:
    """From the baseline's scored trials on this machine; None while there are none. trial_seconds: what is billed."""
    sides = [seen.side for seen in baseline if seen.side.get(QUESTIONS)]
    if not sides:
        return None
    floor = settings.floor_seconds + settings.floor_share * trial_seconds
    load = statistics.median(side[LOAD_SECONDS] for side in sides)
    each = statistics.median(side[ANSWER_SECONDS] / side[QUESTIONS] for side in sides)
    size = statistics.median(side.get(ARTEFACT_BYTES, 0.0) for side in sides)
    return Allowance(
        load_seconds=max(floor, settings.load_factor * load),
        answer_seconds_each=settings.answer_factor * each,
        floor_seconds=floor,
        artefact_bytes=round(max(settings.floor_artefact_mib * (1 << 20), settings.size_factor * size)),
        noise_nats=statistics.median(side.get(AUDIT_NOISE, 0.0) for side in sides),
    )


def total_seconds(side: Mapping[str, float]) -> float | None:
    """Of loading and answering together, None where it was not measured."""
    return side[LOAD_SECONDS] + side[ANSWER_SECONDS] if side.get(QUESTIONS) else None


class AnswerMeter:
    """Divides a predictor's time, from its start to its last answer, into loading and answering.

    Loading is what comes before the first answer, less what an answer usually takes, and the bursts of later ones:
    whoever learns between two answers is still loading. Answering is all the rest. Where there is one answer only,
    everything is loading, as it is for the baseline.
    """

    def __init__(self, now: Callable[[], float], allowed: Allowance | None) -> None:
        """now: seconds so far in the clock of the task, of the predictor's whole process tree or of the wall."""
        self._now, self._allowed = now, allowed
        self._start = self._last = self._used = 0.0
        self._times: list[tuple[float, int]] = []  # until each answer since the one before, and its questions
        self.asked = 0

    def start(self) -> None:
        """Source and weights are handed over now."""
        self._start = self._last = self._now()

    def answered(self, questions: int) -> None:
        """An answer to so many questions has arrived. Raises PredictorFault when too much time was used."""
        now = self._now()
        self._times.append((max(0.0, now - self._last), questions))
        self._last = now
        self._look(now)

    def look(self) -> None:
        """While an answer is waited for. Raises PredictorFault as soon as no answer could be in time any more."""
        if self._allowed is not None:
            self._look(self._now())

    def _look(self, now: float) -> None:
        if self._allowed is None:
            return
        used = self._used = now - self._start
        if used > self._allowed.load_seconds + self._allowed.answer_seconds(self.asked):
            loading = not self._times or self._load > self._allowed.load_seconds
            _too_slow(reasons.LOAD_TIME if loading else reasons.ANSWER_TIME, used)

    def check(self) -> None:
        """Raises PredictorFault when loading or answering has used more than is allowed."""
        if self._allowed is None:
            return
        load = self._load
        if load > self._allowed.load_seconds:
            _too_slow(reasons.LOAD_TIME, load)
        answering, questions = self._total - load, sum(count for _, count in self._times)
        if answering > self._allowed.answer_seconds(questions):
            _too_slow(reasons.ANSWER_TIME, answering)

    def cost(self) -> dict[str, float]:
        """For the record. Without an answer, all that was seen to be used is loading."""
        questions = sum(count for _, count in self._times)
        if not questions:
            return {LOAD_SECONDS: self._used, ANSWER_SECONDS: 0.0, QUESTIONS: 0.0}
        load = self._load
        return {LOAD_SECONDS: load, ANSWER_SECONDS: self._total - load, QUESTIONS: float(questions)}

    @property
    def _total(self) -> float:
        return sum(seconds for seconds, _ in self._times)

    @property
    def _load(self) -> float:
        if not self._times:
            return 0.0
        (first, questions), later = self._times[0], self._times[1:]
        rates = sorted(seconds / count for seconds, count in later if count)
        usual = rates[(len(rates) - 1) // 2] if rates else 0.0
        bursts = sum(max(0.0, seconds - _BURST * usual * count) for seconds, count in later)
        return max(0.0, first - usual * questions) + bursts


def _too_slow(reason: str, seconds: float) -> NoReturn:
    raise reasons.PredictorFault(reason, reasons.sentence(reason), f"{seconds:.2f} s")
