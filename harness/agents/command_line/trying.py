"""Tries a command-line agent's login before a night begins."""

import json
from collections.abc import Mapping
from typing import Any

from harness.agents.api.watch import Ended, Watch, watched
from harness.agents.command_line.proxy import Upstream
from harness.agents.data_text import one_line
from harness.agents.keys import redacted
from harness.errors import UserError
from harness.records import Json, Usage

_SECONDS, _ATTEMPTS = 30.0, 2
_REFUSALS = (400, 401, 402, 403, 404)


def tried(upstream: Upstream, question: Mapping[str, Json]) -> Usage:
    """What it cost. A key is tried with one tiny request; a subscription with a look at the list of models, because its
    provider answers requests of its own program alone.

    Raises UserError in one line, with the provider's words.
    """
    import httpx2

    for attempts_left in reversed(range(_ATTEMPTS)):
        watch = Watch(_SECONDS, _SECONDS, most_bytes=4 << 20)
        client = watched(httpx2.Client, timeout=_SECONDS)
        try:
            answer = watch.run(lambda client=client: _sent(client, upstream, question))  # type: ignore[misc]
            break
        except (httpx2.HTTPError, httpx2.InvalidURL, Ended, OSError) as error:
            if not attempts_left:
                raise UserError(f"{upstream.model} cannot be reached: {_line(error)}") from None
    refused = (401, 403) if upstream.subscription else _REFUSALS
    if answer.status_code in refused:
        raise UserError(f"{upstream.model} cannot be used: {answer.status_code}: {_words(answer.text)}")
    served = answer.status_code < 300 and not upstream.subscription
    return watch.reader.spent(len(json.dumps(dict(question)))) if served else Usage()


def _sent(client: Any, upstream: Upstream, question: Mapping[str, Json]) -> Any:
    address = upstream.base_url.rstrip("/")
    for renewed in (False, True):
        headers = {"anthropic-version": "2023-06-01", **upstream.headers(renewed)}
        if upstream.subscription:
            path = "/v1/models".removeprefix(upstream.prefix)
            answer = client.get(f"{address}{path}", headers=headers)
        else:
            answer = client.post(f"{address}{upstream.counted[0]}", json=dict(question), headers=headers)
        if answer.status_code != 401 or not upstream.subscription:
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
