"""Did a token predictor use only what it may: the row's earlier tokens and its weights?

The order of events carries the argument. One predictor (the *main* one) answers every row. Only then is it drawn
at which positions to look: half of them uniformly, half with a chance proportional to what the answer gained over
plain token counts. For each, the row's text from the next token on is replaced by another row's, and a *cold*
predictor, which never sees the text that was replaced, is asked about the new rows among replayed and random ones.
If its answer up to the drawn position is the same, the main answer could be given without that text. A cache,
a memory of other batches, a look at a neighbouring row, a count of the calls or a recognised audit makes the two
answers differ; being recognised does not help, because the cold predictor does not have what it would need.
With K positions clean, less than 3/K of all positions leak, and less than 3/K of the gain came from leaks (95 %).

Noise. Both predictors see batches of one shape, so honest answers differ by rounding at most. What is allowed is
fixed beforehand, by what rounding to 16 bits can do to a logit and by what the unmodified baseline's own answers do
when they are asked for again; noise that a candidate makes widens nothing beyond that, and where it shows less, less
is allowed. The mean difference must vanish, so that small gains everywhere do not pass either.
Random tokens: for a model that sees only the past, the product of p(token) * alphabet over random tokens is a
supermartingale, so their total loss falls short of n ln(alphabet) by 20 nats with probability below e^-20.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.scoring.reasons import PredictorFault

_MARTINGALE_NATS = 20.0
_MEAN_SIGMAS = 4.5  # a false alarm in 300,000
_FEWEST_FOR_MEAN = 8
_ROWS_AT_A_TIME = 256
_MOST_NATS = 0.25  # whatever the baseline does

Tokens = npt.NDArray[np.int32]
Losses = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far two honest answers may be apart, in nats. floor, cap: for one position; typical: root mean square.

    cap: bfloat16 has 8 bits, so a logit of 8 to 16 that was computed in it moves by 1/16 when it moves by a last place,
    in whatever type it travels; its loss moves by little more.
    """

    floor: float = 0.02
    cap: float = 0.1
    typical: float = 0.04
    mean: float = 0.0005
    times_noise: float = 4.0

    def position(self, noise: float) -> float:
        """The largest change at one position, given the largest one among replayed rows."""
        return min(self.cap, max(self.floor, self.times_noise * noise))


def tolerance_of(dtype: str, baseline_noise: float = 0.0) -> Tolerance:
    """dtype: of the logits on their way; in 16 bits they differ by a whole last place when they differ at all.

    baseline_noise: largest difference among the baseline's replayed rows, in nats: only this can widen the bounds.
    """
    usual = Tolerance()
    cap = min(_MOST_NATS, max(usual.cap, usual.times_noise * baseline_noise))
    return Tolerance(
        floor=usual.floor if dtype == "float32" else usual.cap,
        cap=cap,
        typical=usual.typical * cap / usual.cap,
    )


@dataclass(frozen=True, slots=True)
class AuditPlan:
    """Rows to look at: rows[k] is cut after position positions[k]; the first `uniform` were drawn uniformly."""

    rows: Indices
    positions: Indices
    uniform: int
    replays: Indices
    donors: Indices


def draw(rows: Tokens, losses: Losses, cuts: int, replays: int, random: np.random.Generator) -> AuditPlan:
    """rows [n, T+1], losses [n, T] of the main predictor. No row is used twice, so the cold predictor learns nothing
    about one audited text from another; donors of replacement text are the rows that are left.
    """
    count, length = losses.shape
    cuts = 0 if length < 2 else min(cuts, max(1, count // 2))
    order = random.permutation(count)
    uniform = order[: cuts - cuts // 2]
    gained, where = _draw_by_gain(rows, losses, random)
    gained[uniform] = np.inf
    by_gain = np.argsort(gained)[: cuts // 2]
    by_gain = by_gain[np.isfinite(gained[by_gain])]
    chosen = np.concatenate([uniform, by_gain]).astype(np.int64)
    positions = np.concatenate([random.integers(0, max(1, length - 1), len(uniform)), where[by_gain]])
    rest = order[~np.isin(order, chosen)]
    replays = min(replays, (len(rest) + 1) // 2)
    return AuditPlan(chosen, positions, len(uniform), rest[:replays], rest[replays:])


def _draw_by_gain(rows: Tokens, losses: Losses, random: np.random.Generator) -> tuple[Losses, Indices]:
    """For every row a key (the smallest keys are a draw by gain) and a position drawn by gain within the row.

    Gain: loss of the token counts of these very rows minus the loss that was answered, if positive.
    """
    targets = rows[:, 1:]
    counts = np.bincount(targets.ravel()).astype(np.float64)
    reference = -np.log(np.maximum(counts, 1) / counts.sum())
    keys, where = np.full(len(rows), np.inf), np.zeros(len(rows), np.int64)
    for first in range(0, len(rows) if losses.shape[1] > 1 else 0, _ROWS_AT_A_TIME):
        part = slice(first, first + _ROWS_AT_A_TIME)
        total = np.cumsum(np.maximum(reference[targets[part, :-1]] - losses[part, :-1], 0.0), axis=1)
        gain, chance = total[:, -1], random.random(len(total))
        np.divide(random.exponential(size=len(total)), gain, out=keys[part], where=gain > 0)
        where[part] = (total <= (chance * gain)[:, None]).sum(axis=1)  # where gain is 0, the key never wins
    return keys, np.minimum(where, max(0, losses.shape[1] - 2))


def swapped(rows: Tokens, plan: AuditPlan, random: np.random.Generator) -> Tokens:
    """Inputs [K, T]: the rows with everything after each drawn position taken from another row's text.

    The first token after the position really changes, if any donor's differs.
    """
    result = rows[plan.rows, :-1].copy()
    donors = plan.donors if len(plan.donors) else np.arange(len(rows))
    for index, position in enumerate(plan.positions):
        cut = int(position) + 1
        candidates = random.choice(donors, size=min(16, len(donors)), replace=False)
        differing = candidates[rows[candidates, cut] != result[index, cut]]
        if len(differing):
            result[index, cut:] = rows[differing[0], cut:-1]
        else:
            result[index, cut:] = random.choice(rows.ravel(), result.shape[1] - cut)
            others = rows[rows != rows[plan.rows[index], cut]]
            result[index, cut] = random.choice(others) if len(others) else result[index, cut]
    return result


def random_rows(count: int, length: int, alphabet: Tokens, random: np.random.Generator) -> Tokens:
    """[count, length + 1] tokens drawn uniformly from those that occur."""
    return random.choice(alphabet, size=(count, length + 1)).astype(np.int32)


def check_random(losses: Losses, alphabet: int) -> None:
    """losses of random tokens. Raises PredictorFault if they are lower than any model's that sees only the past."""
    missing = losses.size * math.log(alphabet) - float(losses.sum())
    if missing > _MARTINGALE_NATS:
        raise PredictorFault(
            "audit.random_tokens", f"random tokens were foreseen: {missing:.1f} nats too few"
        )


def check_replay(change: Losses, tolerance: Tolerance) -> float:
    """change [R, T]: cold minus main losses of rows that were replayed whole; returns the largest.

    Raises PredictorFault when the answers depend on the batches before, on batch-mates or on chance.
    """
    if not change.size:
        return 0.0
    largest, typical = float(np.abs(change).max()), float(np.sqrt((change**2).mean()))
    text = f"replayed rows differ by {typical:.4f} nats (root mean square), at most {largest:.4f}"
    if largest > tolerance.cap or typical > tolerance.typical:
        raise PredictorFault("audit.replay", text)
    _check_mean(change.mean(axis=1), tolerance, "audit.replay")
    return largest


def check_suffix(changes: list[Losses], noise: float, tolerance: Tolerance) -> float:
    """changes: for every cut row, cold minus main losses of its positions up to the drawn one; returns the largest.

    Raises PredictorFault when answers depend on text that comes after them.
    """
    if not changes:
        return 0.0
    allowed = tolerance.position(noise)
    largest = max(float(np.abs(change).max()) for change in changes)
    if largest > allowed:
        text = f"an answer changed by {largest:.4f} nats with the text after it, {allowed:.4f} are allowed"
        raise PredictorFault("audit.suffix", text)
    _check_mean(np.array([change[-1] for change in changes]), tolerance, "audit.suffix")
    _check_mean(np.array([change.mean() for change in changes]), tolerance, "audit.suffix")
    return largest


def _check_mean(change: Losses, tolerance: Tolerance, reason: str) -> None:
    """Rounding has no preferred direction: answers that were better with more to look at are no rounding."""
    if len(change) < _FEWEST_FOR_MEAN:
        return
    spread = float(change.std(ddof=1)) / math.sqrt(len(change))
    if float(change.mean()) > tolerance.mean + _MEAN_SIGMAS * spread:
        raise PredictorFault(reason, f"answers were better by {change.mean():.5f} nats than cold ones")
