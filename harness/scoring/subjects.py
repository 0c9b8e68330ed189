"""What a task's evaluate.py holds in its hands: a predictor that it may ask, and that is audited meanwhile."""

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.records import Json
from harness.sandbox.device_memory import DeviceArray
from harness.scoring import audits
from harness.scoring.connection import Connection
from harness.scoring.log_softmax import LossWorkers, NotFinite
from harness.scoring.log_softmax_gpu import GpuLosses
from harness.scoring.reasons import PredictorFault
from harness.scoring.settings import Scoring

_ITEM_BATCH = 64
_ITEM_BYTES = 64 << 20
_SAME = 1e-3
_ROUNDED = ({float}, {float, int})  # types of numbers that rounding can part: max(0, 1e-9)
_MOST_LOOKED_AT = 40  # one by one: each costs a call of evaluate.py
_LEAST_METRIC = 1e-3  # below it differences are held against this
_NEAR_BYTES, _FEWEST_TOKENS = 4 << 20, 512  # of a batch's logits on a processor: what stays near it


@dataclass(frozen=True, slots=True)
class Answered:
    """Rows [n, T+1] that the main predictor has answered, their losses [n, T], the tokens in them, the batch size."""

    rows: audits.Tokens
    losses: audits.Losses
    alphabet: audits.Tokens
    batch: int


class TokenSubject:
    """`losses(rows)` for evaluate.py; `finish()` for the referee, which looks at the same answers again, cold.

    random: the referee's own; decides order, batch-mates and what is audited. Raises PredictorFault anywhere.
    """

    def __init__(
        self,
        main: Connection,
        cold: Callable[[], Connection],
        classes: int,
        settings: Scoring,
        workers: LossWorkers | GpuLosses,
        baseline_noise: float = 0.0,
        *,
        small_batches: bool = False,
        dice: int | None = None,
    ) -> None:
        """cold: ends the main predictor for good, then connects the cold one. baseline_noise: see tolerance_of.

        small_batches: as a processor likes them. Not where answers are timed by the wall: a pause of the machine's is
        long beside a small one, and would pass for work that was put off (see AnswerMeter). dice: a secret number that
        all draws follow from; None: another each time.
        """
        self._baseline_noise, self._small_batches = baseline_noise, small_batches
        self._main, self._cold, self._classes, self._settings = main, cold, classes, settings
        self._workers = workers
        self._random = np.random.default_rng(dice)
        self._answered: list[Answered] = []
        self._pinned: Connection | None = None
        self._on_device = 0  # batches
        self._seconds = [0.0, 0.0]  # of the cold, of the main predictor; its start is in them
        self.fault: PredictorFault | None = None

    def losses(self, rows: npt.ArrayLike) -> audits.Losses:
        """rows: int [n, T+1] tokens -> float64 [n, T], nats per target; targets are rows[:, 1:]."""
        tokens = _tokens(rows, self._classes)
        if not tokens.size or tokens.shape[1] < 2:
            return np.zeros((len(tokens), max(0, tokens.shape[1] - 1)))
        try:
            return self._losses(tokens)
        except PredictorFault as fault:
            self.fault = fault
            raise

    def _losses(self, tokens: audits.Tokens) -> audits.Losses:
        count, length = len(tokens), tokens.shape[1] - 1
        batch = self._batch_rows(count + self._settings.random_rows, length)
        filled = -(-(count + self._settings.random_rows) // batch) * batch
        alphabet = _occurring(tokens)
        extra = audits.random_rows(filled - count, length, alphabet, self._random)
        everything = np.concatenate([tokens, extra])
        losses = self._ask(self._main, everything[:, :-1], everything[:, 1:], batch)
        if self._settings.random_rows:
            audits.check_random(losses[count:], len(alphabet))
        self._answered.append(Answered(tokens, losses[:count], alphabet, batch))
        return losses[:count].copy()

    def _batch_rows(self, count: int, length: int) -> int:
        """One batch shape for all rows of a length, audits included; as even as the caps allow."""
        for earlier in self._answered:
            if earlier.losses.shape[1] == length:
                return earlier.batch
        most = min(self._main.question_bytes, self._main.answer_bytes // self._classes) // (4 * length)
        if not most:
            raise OverflowError(f"a row of {length} tokens does not fit: raise batch_mib and batch_tokens")
        if self._small_batches:
            tokens = max(_FEWEST_TOKENS, _NEAR_BYTES // (4 * self._classes))
            most = min(most, max(1, tokens // length))
        batches = -(-count // most)
        return -(-count // batches)

    def _ask(
        self, connection: Connection, inputs: audits.Tokens, targets: audits.Tokens, batch: int
    ) -> audits.Losses:
        """inputs, targets [n, T], n a multiple of `batch` -> losses [n, T]. In random order, two batches in flight."""
        start = time.monotonic()
        losses = np.empty(inputs.shape, np.float64)
        order = self._random.permutation(len(inputs))
        parts = [order[start : start + batch] for start in range(0, len(order), batch)]
        asked = 0
        for part in parts:
            while asked < len(parts) and connection.room:
                connection.ask(inputs[parts[asked]], self._classes)
                asked += 1
            content, shape, dtype = connection.logits(self._classes)
            self._pin_once(connection, content)
            flat = targets[part].reshape(-1).astype(np.int64)
            try:
                losses[part] = self._workers.losses(content, dtype, shape[-1], flat).reshape(shape[:-1])
            except NotFinite:
                raise PredictorFault("predictor.not_finite", "a logit is not finite") from None
            except IndexError:
                raise PredictorFault(
                    "predictor.shape", f"{shape[-1]} classes do not cover the tokens"
                ) from None
            finally:
                if isinstance(content, memoryview):
                    content.release()
        self._seconds[connection is self._main] += time.monotonic() - start
        return losses

    def _pin_once(self, connection: Connection, content: memoryview | DeviceArray) -> None:
        """Where answers cross the bus. Counts those that do not."""
        self._on_device += isinstance(content, DeviceArray)
        if self._pinned is not connection and isinstance(content, memoryview) and connection.answers:
            self._workers.pin(connection.answers)
            self._pinned = connection

    def finish(self) -> dict[str, float]:
        """Audit what was answered. Returns figures for the record; raises PredictorFault."""
        total = sum(answered.losses.size for answered in self._answered)
        self._workers.unpin()
        with ThreadPoolExecutor(1) as pool:
            connecting = pool.submit(self._cold)
            asked = [self._drawn(answered, answered.losses.size / total) for answered in self._answered]
            cold = connecting.result()
        sides = [self._audit(cold, questions) for questions in asked]
        return {
            "scoring.seconds": self._seconds[1],
            "scoring.on_device": float(self._on_device > 0),
            "audit.seconds": self._seconds[0],
            "audit.cuts": sum(side["cuts"] for side in sides),
            "audit.replays": sum(side["replays"] for side in sides),
            "audit.noise_nats": max((side["noise"] for side in sides), default=0.0),
            "audit.largest_change_nats": max((side["change"] for side in sides), default=0.0),
            "audit.leak_bound": 3.0 / max(1.0, sum(side["uniform"] for side in sides)) if sides else 1.0,
            "audit.rows_share": sum(side["extra"] for side in sides)
            / max(1, sum(len(answered.rows) for answered in self._answered)),
        }

    def _drawn(self, answered: Answered, share: float) -> "AuditQuestions":
        """share: of all positions that were answered, for a share of the audit."""
        rows, settings = answered.rows, self._settings
        cuts, replays = (math.ceil(number * share) for number in (settings.cuts, settings.replays))
        plan = audits.draw(rows, answered.losses, cuts, replays, self._random)
        alphabet = answered.alphabet
        known = np.concatenate([audits.swapped(rows, plan, self._random), rows[plan.replays, :-1]])
        count = len(known) + min(1, settings.random_rows)
        filled = -(-count // answered.batch) * answered.batch
        extra = audits.random_rows(filled - len(known), known.shape[1], alphabet, self._random)
        targets = np.concatenate([rows[np.concatenate([plan.rows, plan.replays]), 1:], extra[:, 1:]])
        inputs = np.concatenate([known, extra[:, :-1]])
        return AuditQuestions(answered, plan, inputs, targets, len(known), len(alphabet))

    def _audit(self, connection: Connection, asked: "AuditQuestions") -> dict[str, float]:
        answered, plan, known = asked.answered, asked.plan, asked.known
        cold = self._ask(connection, asked.inputs, asked.targets, answered.batch)
        tolerance = audits.tolerance_of(self._main.dtype or "float32", self._baseline_noise)
        if self._settings.random_rows:
            audits.check_random(cold[known:], asked.alphabet)
        replayed = cold[len(plan.rows) : known] - answered.losses[plan.replays]
        noise = audits.check_replay(replayed, tolerance)
        changes = [
            cold[index, : position + 1] - answered.losses[row, : position + 1]
            for index, (row, position) in enumerate(zip(plan.rows, plan.positions, strict=True))
        ]
        change = audits.check_suffix(changes, noise, tolerance)
        figures = {"cuts": len(plan.rows), "replays": len(plan.replays), "uniform": plan.uniform}
        return {**figures, "noise": noise, "change": change, "extra": len(asked.inputs)}


@dataclass(frozen=True, slots=True)
class AuditQuestions:
    """What the cold predictor is asked about rows that the main one has answered.

    inputs, targets: [n, T], cut and replayed rows first, `known` of them; the rest are random tokens out of `alphabet`.
    """

    answered: Answered
    plan: audits.AuditPlan
    inputs: audits.Tokens
    targets: audits.Tokens
    known: int
    alphabet: int


def slot_bytes(settings: Scoring, kind: str, classes: int) -> tuple[int, int]:
    """Sizes of a question's and an answer's slot."""
    if kind == "items":
        return _ITEM_BYTES, _ITEM_BYTES
    return 4 * settings.batch_tokens, min(settings.batch_mib << 20, 4 * classes * settings.batch_tokens)


def _occurring(tokens: audits.Tokens) -> audits.Tokens:
    """The tokens that there are, each once, in order: as np.unique, which would sort millions of them."""
    return np.flatnonzero(np.bincount(tokens.ravel())).astype(np.int32)


def _tokens(rows: npt.ArrayLike, classes: int) -> audits.Tokens:
    """Our own copy, int32 [n, T+1]. Raises TypeError or IndexError for a mistake of evaluate.py's."""
    array = np.asarray(rows)
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"rows must be integers [n, T+1], not {array.dtype} {list(array.shape)}")
    if array.size and not (array.min() >= 0 and array.max() < classes):
        raise IndexError(f"a token lies outside 0 .. {classes - 1}")
    return np.array(array, np.int32)


class ItemSubject:
    """`answers(items)` for evaluate.py: JSON in, JSON out; a sample is asked again, cold, in other company."""

    def __init__(
        self, main: Connection, cold: Callable[[], Connection], settings: Scoring, dice: int | None = None
    ) -> None:
        """dice: as in TokenSubject."""
        self._main, self._cold, self._settings = main, cold, settings
        self._random = np.random.default_rng(dice)
        self._asked: list[Json] = []
        self._given: list[Json] = []
        self.fault: PredictorFault | None = None

    def answers(self, items: list[Json]) -> list[Json]:
        """One answer an item, in order."""
        try:
            answers = self._ask(self._main, items)
        except PredictorFault as fault:
            self.fault = fault
            raise
        self._asked += items
        self._given += answers
        return copied(answers)

    def _ask(self, connection: Connection, items: list[Json]) -> list[Json]:
        answers: list[Json] = [None] * len(items)
        for part in self._batches(len(items)):
            for index, answer in zip(part, connection.items([items[index] for index in part]), strict=True):
                answers[index] = answer
        return answers

    def _batches(self, count: int) -> Iterator[list[int]]:
        order = self._random.permutation(count).tolist()
        for start in range(0, count, _ITEM_BATCH):
            yield order[start : start + _ITEM_BATCH]

    def finish(self, once_more: Callable[["Replayed"], float | None], value: float) -> dict[str, float]:
        """Raises PredictorFault if answers depend on company or chance: more than one in twenty replays differs, or
        the metric does.

        value: the metric. once_more: the same of other answers, None where it cannot be had of them.
        """
        count = min(len(self._asked), max(self._settings.replays, self._settings.cuts // 4))
        sample = self._random.choice(len(self._asked), count, replace=False).tolist() if count else []
        cold = self._ask(self._cold(), [self._asked[index] for index in sample])
        pairs = [(index, self._given[index], answer) for index, answer in zip(sample, cold, strict=True)]
        rounded = {
            _key(self._asked[index]): answer
            for index, given, answer in pairs
            if given != answer and alike(given, answer)
        }
        differing = sum(not alike(given, answer) for _, given, answer in pairs)
        differing += self._moved(rounded, once_more, value) if rounded else 0
        if differing > max(1, count // 20):
            raise PredictorFault("audit.replay", f"{differing} of {count} replayed answers differ")
        return {"audit.replays": count, "audit.differing": differing}

    def _moved(
        self, rounded: dict[str, Json], once_more: Callable[["Replayed"], float | None], value: float
    ) -> int:
        """How many of these answers, which differ by rounding as it seems, are worth another metric.

        What rounding is, evaluate.py knows alone: softmax does not see what is added to every logit, a ranking no
        factor, and beside 1e9 any two numbers are alike. All of them, where other questions would have followed. That
        a choice between equals falls the other way happens to honest ones, now and then: so they are looked at one by
        one where they do not agree as a whole.
        """
        answers = {_key(item): given for item, given in zip(self._asked, self._given, strict=True)}
        times = Counter(map(_key, self._asked))

        def same(others: dict[str, Json], usual: float | None) -> bool:
            again = once_more(Replayed(answers | others))
            if again is None or usual is None or not math.isfinite(again):
                return False
            room = sum(times[key] for key in others) * _SAME * max(abs(usual), _LEAST_METRIC)
            return abs(again - usual) * len(self._asked) <= room

        if same(rounded, value):
            return 0
        usual = once_more(Replayed(answers))
        looked_at = [*rounded.items()][:_MOST_LOOKED_AT]
        moved = sum(not same({key: answer}, usual) for key, answer in looked_at)
        return math.ceil(moved * len(rounded) / len(looked_at))


class Replayed:
    """Answers from the record, for evaluate.py to score once more. unasked: whether it asked what is not there."""

    def __init__(self, answers: dict[str, Json]) -> None:
        self._answers, self.unasked = answers, False

    def answers(self, items: list[Json]) -> list[Json]:
        """Raises ValueError for what was never asked."""
        keys = [_key(item) for item in items]
        self.unasked = self.unasked or not all(key in self._answers for key in keys)
        if self.unasked:
            raise ValueError("never asked")
        return copied([self._answers[key] for key in keys])


def _key(item: Json) -> str:
    return json.dumps(item, sort_keys=True)


def copied(answers: list[Json]) -> list[Json]:
    """A list of JSON values of evaluate.py's own, which it may change."""
    return json.loads(json.dumps(answers))  # type: ignore[no-any-return] # what was JSON is JSON


def alike(first: Json, second: Json) -> bool:
    """Equal up to rounding of numbers with a fraction; whole ones are counts and choices, which no rounding moves."""
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(alike(first[key], second[key]) for key in first)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(alike, first, second))
    if {type(first), type(second)} in _ROUNDED:
        return math.isclose(first, second, rel_tol=_SAME, abs_tol=_SAME)  # type: ignore[arg-type] # just looked at
    return type(first) is type(second) and first == second
