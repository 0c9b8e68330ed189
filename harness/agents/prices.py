"""What tokens cost. The lists of `genai-prices`, as bundled with the package (no network), unless the config says
otherwise; where the price came from stands on every proposal's row."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from harness.records import Json, Usage


@dataclass(frozen=True, slots=True)
class Prices:
    """Dollars for a million tokens, as the provider's list said on `date`.

    cache_write_hour: for cache entries that live an hour. source: who says so. beyond: what a whole request costs
    whose input is longer than beyond_tokens.
    """

    date: str
    input: float
    output: float
    cached_input: float
    cache_write: float = 0.0
    cache_write_hour: float = 0.0
    source: str = "config"
    beyond_tokens: int = 0
    beyond: "Prices | None" = None

    def dollars(self, usage: Usage, hour_writes: int = 0) -> float:
        """hour_writes: those among usage.cache_write_tokens that live an hour."""
        given = usage.input_tokens + usage.cached_input_tokens + usage.cache_write_tokens
        if self.beyond is not None and given > self.beyond_tokens:
            return self.beyond.dollars(usage, hour_writes)
        total = (
            usage.input_tokens * self.input
            + usage.output_tokens * self.output
            + usage.cached_input_tokens * self.cached_input
            + (usage.cache_write_tokens - hour_writes) * self.cache_write
            + hour_writes * self.cache_write_hour
        )
        return total / 1e6

    def at(self, input_tokens: int) -> "Prices":
        """Those of a request with so much input."""
        return self.beyond if self.beyond is not None and input_tokens > self.beyond_tokens else self

    @property
    def dearest_input(self) -> float:
        return max(self.input, self.cache_write, self.cache_write_hour)

    def described(self) -> dict[str, Json]:
        """For the row."""
        return {"source": self.source, "date": self.date, "input": self.input, "output": self.output}


FREE = Prices("", 0.0, 0.0, 0.0, source="free")
UNKNOWN = Prices("", 0.0, 0.0, 0.0, source="unknown")


def prices_of(prices: Mapping[str, Prices], model: str, provider: str = "anthropic") -> Prices:
    """The config's, else those of the bundled list, else UNKNOWN: then a limit in dollars cannot be set."""
    if model in prices:
        return prices[model]
    return listed(model, provider) or UNKNOWN


def listed(model: str, provider: str) -> Prices | None:
    """Prices of the bundled list; None for a model that it does not know."""
    from genai_prices import data_snapshot

    try:
        _, found = data_snapshot.get_snapshot().find_provider_model(plain_name(model), None, provider, None)
    except LookupError:
        return None
    price = found.get_prices(_now())
    source = f"genai-prices {version('genai-prices')}"
    return _of(price, source, _newest_date(found))


def plain_name(model: str) -> str:
    """A cloud's name of a model as its maker calls it: us.anthropic.claude-opus-5-5-v1:0 -> claude-opus-5-5."""
    name = re.sub(r"^([a-z-]+\.)?anthropic\.", "", model)
    return re.sub(r"(@\d{8}|-v\d+(:\d+)?)$", "", name)


def _of(price: Any, source: str, date: str) -> Prices:
    """genai-prices gives a number, or a base and tiers that hold for a whole request from some length on."""
    start = min((tier.start for value in _values(price) for tier in getattr(value, "tiers", ())), default=0)

    def made(pick: Any, **more: Any) -> Prices:
        ordinary = pick(price.input_mtok)
        cached = pick(price.cache_read_mtok)
        return Prices(
            date,
            input=ordinary,
            output=pick(price.output_mtok),
            cached_input=ordinary if price.cache_read_mtok is None else cached,
            cache_write=pick(price.cache_write_mtok),
            cache_write_hour=pick(getattr(price, "cache_write_1h_mtok", None))
            or pick(price.cache_write_mtok),
            source=source,
            **more,
        )

    if not start:
        return made(_base)
    return made(_base, beyond_tokens=int(start), beyond=made(_dearest))


def _values(price: Any) -> list[Any]:
    names = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok")
    return [getattr(price, name) for name in names]


def _base(value: Any) -> float:
    return float(getattr(value, "base", value) or 0.0)


def _dearest(value: Any) -> float:
    return max([_base(value), *(float(tier.price) for tier in getattr(value, "tiers", ()))])


def _newest_date(found: Any) -> str:
    """Of those that the entry names; "" where it names none."""
    dates = re.findall(r"20\d\d-\d\d-\d\d", str(found.price_comments or "")) or re.findall(
        r"datetime\.date\((\d+), (\d+), (\d+)\)", repr(found)
    )
    texts = [date if isinstance(date, str) else "{}-{:0>2}-{:0>2}".format(*date) for date in dates]
    return max(texts, default="")


def _now() -> Any:
    from datetime import UTC, datetime

    return datetime.now(UTC)
