"""Tries a login before a night begins: one tiny request by a plain client, because a provider's own takes seconds to
import and nobody should wait for it to hear that a key is wrong."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.agents.api.asking import NOTHING_LEFT
from harness.agents.api.watch import Watch, watched
from harness.agents.data_text import one_line
from harness.agents.keys import redacted
from harness.errors import UserError
from harness.records import Json, Usage

TOKENS = 64
_SECONDS, _ATTEMPTS, _PAUSE_SECONDS = 60.0, 3, 0.5
_REFUSED_STATUS = (400, 401, 402, 403, 404, 411, 413, 414, 415, 422, 431)
_LOGIN_REFUSED = (401, 403)


@dataclass(frozen=True, slots=True)
class TinyRequest:
    """headers: asked for when it is sent; with True once the last ones were refused. body: None: a look that costs
    nothing. renewable: whether refused headers are worth asking for again.
    """

    model: str
    address: str
    headers: Callable[[bool], Mapping[str, str]] = field(repr=False)
    body: Mapping[str, Json] | None
    renewable: bool = False


def tried(request: TinyRequest) -> Usage:
    """What it cost. A rate limit or an overload is no reason not to begin: the login is known, and the night is long.

    Raises UserError in one line, with the provider's words, when the login or the model is no good, or nobody answers.
    """
    for attempts_left in reversed(range(_ATTEMPTS)):
        watch = Watch(_SECONDS, _SECONDS, most_bytes=4 << 20)
        problem = _problem(request, watch)
        if not problem:
            break
        if not attempts_left:
            raise UserError(f"{request.model} cannot be reached: {problem}")
        time.sleep(_PAUSE_SECONDS)
    if request.body is None or not watch.served:
        return Usage()
    return watch.reader.spent(len(json.dumps(dict(request.body))), TOKENS)


def _problem(request: TinyRequest, watch: Watch) -> str:
    """ "" when somebody answered who knows the login. Raises UserError when it is refused."""
    import httpx2

    client = watched(httpx2.Client, timeout=_SECONDS)
    try:
        answer = watch.run(lambda: _sent(client, request))
        status, text = answer.status_code, answer.content.decode("utf-8", "replace")
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001  # a provider can break its client in any way
        return _line(error)
    refused = _LOGIN_REFUSED if request.body is None else _REFUSED_STATUS
    if status in refused or (status == 429 and any(mark in text for mark in NOTHING_LEFT)):
        raise UserError(f"{request.model} cannot be used: {status}: {_words(text)}")
    strange = 300 <= status < 400 or (watch.served and request.body is not None and not watch.reader.words)
    return f"unexpected answer {status}: {_words(text)}" if strange else ""


def _sent(client: Any, request: TinyRequest) -> Any:
    for renewed in (False, True):
        headers = dict(request.headers(renewed))
        if request.body is None:
            answer = client.get(request.address, headers=headers)
        else:
            answer = client.post(request.address, json=dict(request.body), headers=headers)
        if answer.status_code != 401 or not request.renewable:
            break
    return answer


def _words(text: str) -> str:
    try:
        value = json.loads(text)
        error = value.get("error", value)
        return _line(error.get("message") if isinstance(error, dict) else error)
    except (ValueError, AttributeError, RecursionError):
        return _line(text)


def _line(words: Any) -> str:
    return one_line(redacted(str(words) or type(words).__name__), 300)
