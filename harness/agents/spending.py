"""What a proposal and a session may cost, and the meter that stops before a limit is passed.

Before a request its worst case is known: input is at most what the provider counted last time plus one token
for every new byte, output is at most what we allow. A request whose worst case does not fit is not sent.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from harness.agents.prices import UNKNOWN, Prices
from harness.errors import UserError
from harness.records import Usage, added

_LEAST_OUTPUT = 512  # a reply shorter than this could hold no edit
_PER_REQUEST = 1024  # tokens that a provider adds for tools and framing


@dataclass(frozen=True, slots=True)
class ProposalLimits:
    """For one proposal. turns: replies of the model; repairs: failed checks and smoke tests before giving up.
    requests: those that the provider counted; what a program repeats by itself counts, too. None: no limit.

    context_tokens: what a single request may hold; output_tokens: what a single reply may hold.
    """

    dollars: float | None = 2.0
    tokens: int | None = 1_000_000
    minutes: float = 20.0
    turns: int = 24
    repairs: int = 4
    context_tokens: int = 120_000
    output_tokens: int = 16_000
    requests: int | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for values that leave no room for a proposal."""
        for name in ("minutes", "turns", "repairs", "context_tokens", "output_tokens"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be more than 0, not {getattr(self, name)}")
        if self.requests is not None and self.requests < 1:
            raise ValueError(f"requests must be at least 1 or null, not {self.requests}")


class Exhausted(Exception):
    """The next request could pass a limit. session: whether it is the session's, not just the proposal's."""

    def __init__(self, text: str, session: bool = False) -> None:
        super().__init__(text)
        self.session = session


@dataclass
class SpendTracker:
    """What the whole session has spent and may spend. None: no limit. seconds_left: of its hours."""

    dollars: float | None = None
    tokens: int | None = None
    spent: Usage = field(default_factory=Usage)
    seconds_left: Callable[[], float | None] = lambda: None

    def add(self, usage: Usage) -> None:
        self.spent = added(self.spent, usage)


class Meter:
    """Counts one proposal. `context` is the input of the last request, as the provider counted it."""

    def __init__(
        self, limits: ProposalLimits, prices: Prices, spending: SpendTracker, list_price: bool = False
    ) -> None:
        """list_price: the dollars are what the tokens would cost by the list, and nobody pays them."""
        self.limits = limits
        self.list_price = list_price
        self.usage = Usage()
        self.context = 0
        self.largest_context = 0
        self._prices = prices
        self._spending = spending
        self._started = time.monotonic()
        self.on_booked: Callable[[Usage], None] = lambda _: None

    @property
    def seconds_left(self) -> float:
        """Of the proposal's minutes, and of the session's hours where they end sooner."""
        own = self.limits.minutes * 60 - (time.monotonic() - self._started)
        session = self._spending.seconds_left()
        return own if session is None else min(own, session)

    @property
    def prices(self) -> Prices:
        return self._prices

    def check_time(self) -> None:
        """Raises Exhausted when the time is over."""
        if self.seconds_left <= 0:
            session = self._spending.seconds_left()
            if session is not None and session <= 0:
                raise Exhausted("the session's hours", session=True)
            raise Exhausted(f"{self.limits.minutes:g} minutes per proposal")

    def affordable_output(self, new_bytes: int) -> int:
        """Most tokens that the next reply may have. Raises Exhausted when that is too few for an edit."""
        self.check_time()
        if self.limits.requests is not None and self.usage.requests >= self.limits.requests:
            raise Exhausted(f"{self.limits.requests} requests per proposal")
        worst_input = self.context + new_bytes + _PER_REQUEST
        if self.context and self.context > self.limits.context_tokens:
            raise Exhausted(f"{self.limits.context_tokens} tokens of context")
        most = self.limits.output_tokens
        price = self._prices.at(worst_input)
        for scope, dollars, tokens, spent in (
            ("proposal", self.limits.dollars, self.limits.tokens, self.usage),
            ("session", self._spending.dollars, self._spending.tokens, self._spending.spent),
        ):
            if tokens is not None:
                most = min(most, tokens - total_tokens(spent) - worst_input)
            if dollars is not None and price.output > 0:
                left = dollars - spent.dollars - worst_input * price.dearest_input / 1e6
                most = min(most, int(left * 1e6 / price.output))
            if most < min(_LEAST_OUTPUT, self.limits.output_tokens):
                raise Exhausted(_described(scope, dollars, tokens), session=scope == "session")
        return most

    def priced(self, usage: Usage, hour_writes: int = 0) -> Usage:
        return replace(usage, dollars=self._prices.dollars(usage, hour_writes))

    def add(self, usage: Usage, hour_writes: int = 0) -> None:
        """One request's usage, as the provider counted it."""
        priced = self.priced(usage, hour_writes)
        self.usage = added(self.usage, priced)
        self._spending.add(priced)
        self.context = total_tokens(usage)
        self.largest_context = max(self.largest_context, self.context - usage.output_tokens)
        self.on_booked(priced)

    def closed(self) -> Usage:
        """The proposal's usage, with the time that it took."""
        return replace(self.usage, seconds=time.monotonic() - self._started)

    @property
    def cache_hit_share(self) -> float:
        """Share of input tokens that came from the provider's cache."""
        usage = self.usage
        total = usage.input_tokens + usage.cached_input_tokens + usage.cache_write_tokens
        return usage.cached_input_tokens / total if total else 0.0


def total_tokens(usage: Usage) -> int:
    return usage.input_tokens + usage.cached_input_tokens + usage.cache_write_tokens + usage.output_tokens


def require_prices(prices: Prices, model: str, dollars: float | None, what: str) -> None:
    """Raises UserError when a limit in dollars is set and nobody knows what the model costs."""
    if prices is UNKNOWN and dollars is not None:
        raise UserError(
            f"no prices for model {model!r}: add agent.prices.{model} (see conf/agent) or set {what}=null"
        )


def _described(scope: str, dollars: float | None, tokens: int | None) -> str:
    parts = [f"${dollars:.2f}"] if dollars is not None else []
    parts += [f"{tokens} tokens"] if tokens is not None else []
    return f"{' or '.join(parts)} per {scope}"
