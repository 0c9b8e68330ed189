"""What a proposal and a session may cost, and the meter that stops before a limit is passed.

Before a request its worst case is known: input is at most what the provider counted last time plus one token
for every new byte, output is at most what we allow. A request whose worst case does not fit is not sent.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from harness.records import Usage, added

_LEAST_OUTPUT = 512  # a reply shorter than this could hold no edit
_PER_REQUEST = 1024  # tokens that a provider adds for tools and framing


@dataclass(frozen=True, slots=True)
class Prices:
    """Dollars for a million tokens, as the provider's list said on `date`.

    cache_write_hour: for cache entries that live an hour.
    """

    date: str
    input: float
    output: float
    cached_input: float
    cache_write: float = 0.0
    cache_write_hour: float = 0.0

    def dollars(self, usage: Usage, hour_writes: int = 0) -> float:
        """hour_writes: those among usage.cache_write_tokens that live an hour."""
        total = (
            usage.input_tokens * self.input
            + usage.output_tokens * self.output
            + usage.cached_input_tokens * self.cached_input
            + (usage.cache_write_tokens - hour_writes) * self.cache_write
            + hour_writes * self.cache_write_hour
        )
        return total / 1e6

    @property
    def dearest_input(self) -> float:
        return max(self.input, self.cache_write, self.cache_write_hour)


FREE = Prices("", 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class ProposalLimits:
    """For one proposal. turns: replies of the model; repairs: failed checks and smoke tests before giving up.

    context_tokens: what a single request may hold; output_tokens: what a single reply may hold.
    """

    dollars: float | None = 2.0
    tokens: int | None = 1_000_000
    minutes: float = 20.0
    turns: int = 24
    repairs: int = 4
    context_tokens: int = 120_000
    output_tokens: int = 16_000

    def __post_init__(self) -> None:
        """Raises ValueError for values that leave no room for a proposal."""
        for name in ("minutes", "turns", "repairs", "context_tokens", "output_tokens"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be more than 0, not {getattr(self, name)}")


class Exhausted(Exception):
    """The next request could pass a limit. session: whether it is the session's, not just the proposal's."""

    def __init__(self, text: str, session: bool = False) -> None:
        super().__init__(text)
        self.session = session


@dataclass
class SpendTracker:
    """What the whole session has spent and may spend. None: no limit."""

    dollars: float | None = None
    tokens: int | None = None
    spent: Usage = field(default_factory=Usage)

    def add(self, usage: Usage) -> None:
        self.spent = added(self.spent, usage)


class Meter:
    """Counts one proposal. `context` is the input of the last request, as the provider counted it."""

    def __init__(self, limits: ProposalLimits, prices: Prices, spending: SpendTracker) -> None:
        self.limits = limits
        self.usage = Usage()
        self.context = 0
        self.largest_context = 0
        self._prices = prices
        self._spending = spending
        self._started = time.monotonic()

    @property
    def seconds_left(self) -> float:
        return self.limits.minutes * 60 - (time.monotonic() - self._started)

    def affordable_output(self, new_bytes: int) -> int:
        """Most tokens that the next reply may have. Raises Exhausted when that is too few for an edit."""
        if self.seconds_left <= 0:
            raise Exhausted(f"{self.limits.minutes:g} minutes per proposal")
        worst_input = self.context + new_bytes + _PER_REQUEST
        if self.context and self.context > self.limits.context_tokens:
            raise Exhausted(f"{self.limits.context_tokens} tokens of context")
        most = self.limits.output_tokens
        for scope, dollars, tokens, spent in (
            ("proposal", self.limits.dollars, self.limits.tokens, self.usage),
            ("session", self._spending.dollars, self._spending.tokens, self._spending.spent),
        ):
            if tokens is not None:
                most = min(most, tokens - total_tokens(spent) - worst_input)
            if dollars is not None and self._prices.output > 0:
                left = dollars - spent.dollars - worst_input * self._prices.dearest_input / 1e6
                most = min(most, int(left * 1e6 / self._prices.output))
            if most < min(_LEAST_OUTPUT, self.limits.output_tokens):
                raise Exhausted(_described(scope, dollars, tokens), session=scope == "session")
        return most

    def add(self, usage: Usage, hour_writes: int = 0) -> None:
        """One request's usage, as the provider counted it."""
        priced = _replaced(usage, dollars=self._prices.dollars(usage, hour_writes))
        self.usage = added(self.usage, priced)
        self._spending.add(priced)
        self.context = total_tokens(usage)
        self.largest_context = max(self.largest_context, self.context - usage.output_tokens)

    def closed(self) -> Usage:
        """The proposal's usage, with the time that it took."""
        return _replaced(self.usage, seconds=time.monotonic() - self._started)

    @property
    def cache_hit_share(self) -> float:
        """Share of input tokens that came from the provider's cache."""
        usage = self.usage
        total = usage.input_tokens + usage.cached_input_tokens + usage.cache_write_tokens
        return usage.cached_input_tokens / total if total else 0.0


def total_tokens(usage: Usage) -> int:
    return usage.input_tokens + usage.cached_input_tokens + usage.cache_write_tokens + usage.output_tokens


def prices_of(prices: Mapping[str, Prices], model: str) -> Prices:
    """Raises ValueError when the config has no price for the model: nobody could say what a night costs."""
    if model not in prices:
        known = ", ".join(prices) or "none"
        raise ValueError(f"no prices for model {model!r} (known: {known}); add an entry under agent.prices")
    return prices[model]


def _described(scope: str, dollars: float | None, tokens: int | None) -> str:
    parts = [f"${dollars:.2f}"] if dollars is not None else []
    parts += [f"{tokens} tokens"] if tokens is not None else []
    return f"{' or '.join(parts)} per {scope}"


def _replaced(usage: Usage, **changes: float) -> Usage:
    return Usage(**{**{f.name: getattr(usage, f.name) for f in fields(Usage)}, **changes})
