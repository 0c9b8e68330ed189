"""One request under watch: what every provider's client has in common. Whatever goes wrong, its cost is known."""

from collections.abc import Callable
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from harness.agents import keys
from harness.agents.api.model import Failure, Hopeless, Refused, Reply, Trouble
from harness.agents.api.watch import Ended, Watch
from harness.agents.data_text import finite_number, one_line
from harness.records import Usage

Message = TypeVar("Message")
_MOST_QUOTED = 300
_PASSING_STATUS = (408, 409, 425, 429)
_REFUSED_STATUS = (400, 411, 413, 414, 415, 422, 431)
NOTHING_LEFT = ("insufficient_quota", "credit balance", "billing_hard_limit")
_PASSING_KINDS = ("overloaded_error", "api_error", "timeout_error", "server_error", "internal_error")
_RATE_KINDS = ("rate_limit_error", "rate_limit_exceeded", "too_many_requests")


def asked(
    watch: Watch,
    send: Callable[[], Message],
    read: Callable[[Message], Reply],
    sent_bytes: int,
    most_output: int,
) -> Reply:
    """`read(send())`, with what it cost. Raises Trouble (with what it cost), Refused or Hopeless.

    sent_bytes: of the request; most_output: tokens that it allows: for an estimate where the provider says nothing.
    """
    try:
        reply = read(watch.run(send))
    except Exception as error:  # noqa: BLE001  # a provider can break its client in any way; the night goes on
        cost = watch.reader.spent(sent_bytes, most_output)
        raise _explained_somehow(error, watch, cost) from None
    reader = watch.reader
    unread = reader.usage is None and reply.usage is not None  # of a client whose bytes are framed (Bedrock)
    return replace(
        reply,
        usage=reply.usage if unread else reader.spent(sent_bytes, most_output),
        hour_writes=reader.hour_writes or reply.hour_writes,
        misreported=reader.misreported + (reader.usage is None and not unread),
    )


def _explained_somehow(error: Exception, watch: Watch, cost: Usage) -> Failure:
    """With what it cost, if anything. An error can be as broken as the reply that it came of."""
    reader = watch.reader
    begun = watch.served and (reader.words > 0 or reader.usage is not None)
    try:
        failure = _explained(error, begun)
    except Exception as broken:  # noqa: BLE001  # whatever it is, it is the provider's
        failure = Trouble("malformed", f"unreadable reply: {type(error).__name__}, {type(broken).__name__}")
    failure.usage = failure.usage or (cost if begun else None)
    failure.hour_writes = failure.hour_writes or reader.hour_writes
    return failure


def _explained(error: Exception, begun: bool) -> Failure:
    import httpx2

    if isinstance(error, Failure):
        return error
    cause = next((e for e in (error, error.__cause__, error.__context__) if isinstance(e, Ended)), None)
    if cause is not None:
        return Trouble(cause.kind, str(cause))
    if hasattr(error, "status_code") and hasattr(error, "response"):
        return _by_status(error)
    lost = ("APIConnectionError", "APITimeoutError")
    if isinstance(error, httpx2.TransportError) or type(error).__name__ in lost:
        inner = error.__cause__ or error
        if "Timeout" in type(inner).__name__ or "Timeout" in type(error).__name__:
            return Trouble("timeout", "the provider did not answer in time")
        return Trouble("cut" if begun else "connection", f"connection lost: {type(inner).__name__}")
    if getattr(error, "body", None):  # an error inside a stream
        return _by_words(error)
    return Trouble("malformed", f"unreadable reply: {type(error).__name__}")


def _by_status(error: Any) -> Failure:
    """Inside a stream the status is 200; what it says of itself then counts."""
    status = int(error.status_code)
    text = f"{status}: {said_by(error)}"
    kind = _kind(error)
    if any(mark in f"{kind} {text}" for mark in NOTHING_LEFT):
        return Hopeless(f"the account has nothing left: {text}")
    wait = retry_after(error.response.headers)
    if status == 429 or kind in _RATE_KINDS:
        return Trouble("rate_limit", text, wait)
    if status in _PASSING_STATUS or status >= 500 or kind in _PASSING_KINDS:
        return Trouble("server", text, wait)
    if status in _REFUSED_STATUS:
        return Refused(f"the provider refuses the request: {text}")
    if status < 400:
        return Trouble("malformed", f"unexpected answer {text}")
    return Hopeless(f"the provider refuses the request: {text}")


def _by_words(error: Any) -> Failure:
    kind, text = _kind(error), said_by(error)
    if any(mark in f"{kind} {text}" for mark in NOTHING_LEFT):
        return Hopeless(f"the account has nothing left: {text}")
    return Trouble("rate_limit" if kind in _RATE_KINDS else "server", text)


def _kind(error: Any) -> str:
    body = error.body if isinstance(getattr(error, "body", None), dict) else {}
    error = body.get("error")
    inner = error if isinstance(error, dict) else body
    return str(inner.get("code") or inner.get("type") or "")


def said_by(error: Any) -> str:
    """The provider's own words, on one line, without keys."""
    body = getattr(error, "body", None)
    inner = body.get("error", body) if isinstance(body, dict) else body
    words = inner.get("message") if isinstance(inner, dict) else inner
    return one_line(keys.redacted(str(words or error)), _MOST_QUOTED)


def retry_after(headers: Any) -> float | None:
    """Seconds that a provider asks us to wait, as a number or as a date; None for what is neither."""
    for name, factor in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        seconds = finite_number(headers.get(name))
        if seconds is not None:
            return max(seconds * factor, 0.0)
    try:
        moment = parsedate_to_datetime(headers.get("retry-after") or "")
        import datetime

        return max((moment - datetime.datetime.now(datetime.UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
