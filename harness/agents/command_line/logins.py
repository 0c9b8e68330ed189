"""Logins of command-line agents. What proves who we are is held here, outside the sandbox: the program inside gets a
placeholder, and the proxy puts the real thing into its requests.

A subscription's token that grows old is renewed by the program's own means, outside the sandbox (`renew.py`).
"""

import base64
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.agents import keys
from harness.agents.api.watch import Watch, watched
from harness.agents.data_text import finite_number, one_line
from harness.errors import UserError

PLACEHOLDER = "the-harness-has-it"
_OLD_SECONDS = 300.0  # before its end a token is renewed
_WHOAMI = "https://auth.openai.com/api/accounts/v1/user-auth-credential/whoami"

Headers = Mapping[str, str]
Renew = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Login:
    """headers: for the provider, asked for at every request; True: the last ones were refused. inside: variables of
    the program, with a placeholder. base_url: where it is valid. prefix: what comes off a path on its way there.
    subscription: nobody pays by the token.
    """

    kind: str
    headers: Callable[[bool], Headers] = field(repr=False)
    inside: Mapping[str, str]
    base_url: str
    prefix: str = ""
    subscription: bool = False


def claude_code(choice: str | None, renew: Renew) -> Login:
    """choice: "api_key", "auth_token", "subscription", or None: the first that there is. Raises UserError."""
    base_url = "https://api.anthropic.com"
    file = Path(os.environ.get("CLAUDE_CONFIG_DIR") or Path.home() / ".claude") / ".credentials.json"

    def token(variable: str, header: str, kind: str, subscription: bool = False) -> Login:
        def headers(_: bool) -> Headers:
            key = keys.take(variable)
            return {header: key if header == "x-api-key" else f"Bearer {key}"}

        return Login(kind, headers, {variable: PLACEHOLDER}, base_url, subscription=subscription)

    if choice in (None, "api_key") and keys.present("ANTHROPIC_API_KEY"):
        return token("ANTHROPIC_API_KEY", "x-api-key", "api_key")
    if choice in (None, "auth_token") and keys.present("ANTHROPIC_AUTH_TOKEN"):
        return token("ANTHROPIC_AUTH_TOKEN", "authorization", "auth_token")
    if choice in (None, "subscription") and keys.present("CLAUDE_CODE_OAUTH_TOKEN"):
        return token("CLAUDE_CODE_OAUTH_TOKEN", "authorization", "subscription", subscription=True)
    if choice in (None, "subscription") and "claudeAiOauth" in _file(file):
        stored = _Stored(file, _claude_headers, renew)
        inside = {"CLAUDE_CODE_OAUTH_TOKEN": PLACEHOLDER}
        return Login("subscription", stored.headers, inside, base_url, subscription=True)
    clouds = [name for name in ("BEDROCK", "VERTEX", "FOUNDRY") if os.environ.get(f"CLAUDE_CODE_USE_{name}")]
    if clouds:
        raise UserError(
            f"agent=claude_code cannot use {clouds[0].capitalize()}: its requests are signed inside the program, where "
            f"no credential may be; choose agent=claude agent.login={clouds[0].lower()}"
        )
    raise _no_login(
        "agent=claude_code",
        choice,
        "ANTHROPIC_API_KEY",
        "CLAUDE_CODE_OAUTH_TOKEN (`claude setup-token`)",
        "claude",
    )


def codex(choice: str | None, renew: Renew, whoami: str = _WHOAMI) -> Login:
    """choice: "api_key", "subscription", or None: the first that there is. Raises UserError."""
    api = "https://api.openai.com"
    file = Path(os.environ.get("CODEX_HOME") or Path.home() / ".codex") / "auth.json"
    inside = {"HARNESS_NO_KEY": PLACEHOLDER}
    if choice in (None, "api_key"):
        for variable in ("CODEX_API_KEY", "OPENAI_API_KEY"):
            if keys.present(variable):
                return Login("api_key", _bearer(variable), inside, api)
        if isinstance(stored_key := _file(file).get("OPENAI_API_KEY"), str) and stored_key:
            keys.remember("OPENAI_API_KEY", stored_key)
            return Login("api_key", _bearer("OPENAI_API_KEY"), inside, api)
    chat = {"base_url": "https://chatgpt.com/backend-api/codex", "prefix": "/v1", "subscription": True}
    if choice in (None, "subscription") and keys.present("CODEX_ACCESS_TOKEN"):
        return Login("subscription", _access_token(whoami), inside, **chat)  # type: ignore[arg-type]  # by name
    if choice in (None, "subscription") and isinstance(_file(file).get("tokens"), dict):
        stored = _Stored(file, _codex_headers, renew)
        return Login("subscription", stored.headers, inside, **chat)  # type: ignore[arg-type]  # by name
    raise _no_login("agent=codex", choice, "CODEX_API_KEY or OPENAI_API_KEY", "CODEX_ACCESS_TOKEN", "codex")


def _no_login(what: str, choice: str | None, key: str, token: str, program: str) -> UserError:
    if choice not in (None, "api_key", "auth_token", "subscription"):
        return UserError(f"agent.login must be api_key, auth_token, subscription or null, not {choice!r}")
    wanted = {"api_key": key, "subscription": f"{token}, or log in with `{program}`"}
    words = wanted.get(choice or "", f"{key}, or {token}")
    return UserError(
        f"{what} needs a key or a login: set {words} in the environment of this command"
        + ("" if choice else f", or log in with `{program}`")
    )


def _bearer(variable: str) -> Callable[[bool], Headers]:
    return lambda _: {"authorization": f"Bearer {keys.take(variable)}"}


@dataclass
class _Stored:
    """A program's own login in a file: read again at every request, because the program may renew it."""

    file: Path
    read: Callable[[Mapping[str, Any]], tuple[Headers, float]]
    renew: Renew

    def headers(self, refused: bool) -> Headers:
        """Raises UserError when the login cannot be read."""
        headers, ends = self._now()
        if refused or (ends and ends < time.time() + _OLD_SECONDS):
            self.renew()
            headers, _ = self._now()
        return headers

    def _now(self) -> tuple[Headers, float]:
        try:
            return self.read(_file(self.file))
        except (KeyError, TypeError, ValueError):
            raise UserError(f"the login in {self.file.name} cannot be read; log in again") from None


def _claude_headers(content: Mapping[str, Any]) -> tuple[Headers, float]:
    login = content["claudeAiOauth"]
    token = keys.remember("Claude login", str(login["accessToken"]))
    keys.remember("Claude login#refresh", str(login.get("refreshToken") or ""))
    return {"authorization": f"Bearer {token}"}, (finite_number(login.get("expiresAt")) or 0.0) / 1000


def _codex_headers(content: Mapping[str, Any]) -> tuple[Headers, float]:
    tokens = content["tokens"]
    token = keys.remember("ChatGPT login", str(tokens["access_token"]))
    for name in ("refresh_token", "id_token"):
        keys.remember(f"ChatGPT login#{name}", str(tokens.get(name) or ""))
    account = str(tokens.get("account_id") or _claims(token).get("chatgpt_account_id") or "")
    headers = {"authorization": f"Bearer {token}", "chatgpt-account-id": account}
    return headers, finite_number(_claims(token).get("exp")) or 0.0


def _claims(token: str) -> Mapping[str, Any]:
    """What a JSON web token says of itself; not checked, because it is only about when to renew it."""
    try:
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        inner = claims.get("https://api.openai.com/auth")
        return {**(inner if isinstance(inner, dict) else {}), **claims}
    except (ValueError, IndexError, AttributeError, TypeError):
        return {}


def _access_token(whoami: str) -> Callable[[bool], Headers]:
    """A personal access token is a bearer; whose account it is, its issuer says. An agent identity signs each request
    with a key of its own, which could not stay outside the sandbox: it is refused."""
    known: dict[str, str] = {}

    def headers(_: bool) -> Headers:
        token = keys.take("CODEX_ACCESS_TOKEN")
        if not token.startswith("at-"):
            raise UserError(
                "agent=codex takes a CODEX_ACCESS_TOKEN only if it is a personal access token (at-...): an agent "
                "identity signs inside the program, where no credential may be; use CODEX_API_KEY"
            )
        if not known:
            said = get_json(whoami, {"authorization": f"Bearer {token}"})
            known["chatgpt-account-id"] = str(said.get("chatgpt_account_id") or "")
        return {"authorization": f"Bearer {token}", **known}

    return headers


def get_json(address: str, headers: Headers, seconds: float = 20.0) -> Mapping[str, Any]:
    """A small JSON object. Raises UserError in one line when it is not to be had."""
    import httpx2

    client = watched(httpx2.Client, timeout=seconds)
    watch = Watch(seconds, seconds, most_bytes=1 << 20)
    try:
        answer = watch.run(lambda: client.get(address, headers=dict(headers)))
        value = answer.json() if answer.status_code == 200 else None
    except Exception as error:  # noqa: BLE001  # a provider can break its client in any way
        raise UserError(f"the login cannot be checked: {type(error).__name__}") from None
    if not isinstance(value, dict):
        words = one_line(keys.redacted(answer.content.decode("utf-8", "replace")))
        raise UserError(f"the login is refused: {answer.status_code} {words}")
    return value


def _file(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
