"""What stands before the page: only this machine, only who has the address, only reading."""

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from harness.ui.shell import headers

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_HOSTS = ("127.0.0.1", "localhost", "::1")
_OURS = (b"same-origin", b"none")
_REFUSED = {
    403: "Open the whole address that `harness ui` printed: it ends in a secret word.",
    405: "This page can be read, and nothing else.",
    421: "This page answers on 127.0.0.1 and localhost only. From elsewhere: ssh -N -L 8642:127.0.0.1:PORT MACHINE",
}


class Guarded:
    """An ASGI application around another one, whose paths begin after the token."""

    def __init__(self, inside: Application, token: str) -> None:
        self._inside, self._token = inside, token
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers().items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._inside(scope, receive, send)
            return  # no web socket is taken

        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *self._headers]
            await send(message)

        status = self._status(scope)
        if status:
            await _refuse(with_headers, status)
            return
        path = "/" + scope["path"].removeprefix(f"/{self._token}").lstrip("/")
        inner = {**scope, "path": path, "raw_path": path.encode(), "root_path": ""}
        await self._inside(inner, receive, with_headers)

    def _status(self, scope: Scope) -> int:
        """0: let through. A name that another site points at this machine is no name of ours."""
        given = dict(scope["headers"])
        if _host(given.get(b"host", b"")) not in _HOSTS:
            return 421
        if given.get(b"sec-fetch-site", b"none") not in _OURS:
            return 403
        first = scope["path"].removeprefix("/").partition("/")
        if not hmac.compare_digest(first[0].encode(), self._token.encode()) or not first[1]:
            return 403
        return 0 if scope["method"] in ("GET", "HEAD") else 405


def _host(text: bytes) -> str:
    """The name without the port; "" for what cannot be read."""
    try:
        return urlsplit(f"//{text.decode('ascii')}").hostname or ""
    except ValueError:
        return ""


async def _refuse(send: Send, status: int) -> None:
    body = _REFUSED[status].encode()
    given = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": given})
    await send({"type": "http.response.body", "body": body})
