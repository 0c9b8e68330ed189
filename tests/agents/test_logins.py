"""Every login against a server on the loopback that looks at the headers; no secret is anywhere else."""

import base64
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_provider import FakeProvider, Fault, Script, Turn
from faulty_provider import COUNTS, FaultyProvider, Line, Wire
from test_command_line import EDIT, PROGRAM, WORDS, make_agent, sandbox, shell  # noqa: F401  # fixtures

from harness.agents import keys
from harness.agents.api.claude import Claude
from harness.agents.command_line import agent as cli
from harness.agents.command_line import logins
from harness.agents.command_line.claude_code import ClaudeCode
from harness.agents.command_line.codex import Codex
from harness.agents.prices import Prices
from harness.errors import UserError
from harness.records import View

PRICES = {"small": Prices("2026-11", 3.0, 15.0, 0.3, 3.75, 6.0)}
SECRET = "canary-secret-4711"
_VARIABLES = (
    *(
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "CLAUDE_CODE_OAUTH_TOKEN",
        "OPENAI_API_KEY",
        "CODEX_API_KEY",
    ),
    *(
        "CODEX_ACCESS_TOKEN",
        "AWS_BEARER_TOKEN_BEDROCK",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_PROFILE",
    ),
    *(
        "AWS_SESSION_TOKEN",
        "ANTHROPIC_FOUNDRY_API_KEY",
        "ANTHROPIC_VERTEX_PROJECT_ID",
        "CLAUDE_CODE_USE_BEDROCK",
    ),
)


@pytest.fixture(autouse=True)
def _nobody_is_logged_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(keys, "_taken", {})
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in (*_VARIABLES, "CODEX_HOME", "CLAUDE_CONFIG_DIR"):
        monkeypatch.delenv(variable, raising=False)


def api_agent(provider: FaultyProvider, login: str | None = None) -> Claude:
    return Claude("small", PRICES, base_url=provider.url, login=login, attempts=1)


@pytest.mark.parametrize(
    ("login", "environment", "header"),
    [
        ("api_key", {"ANTHROPIC_API_KEY": SECRET}, f"authorization: bearer {SECRET}"),
        ("auth_token", {"ANTHROPIC_AUTH_TOKEN": SECRET}, f"authorization: bearer {SECRET}"),
        ("bedrock", {"AWS_BEARER_TOKEN_BEDROCK": SECRET}, f"authorization: bearer {SECRET}"),
        (
            "bedrock",
            {"AWS_ACCESS_KEY_ID": "AKIACANARY", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "eu-west-1"},
            "authorization: aws4-hmac-sha256 credential=akiacanary/",
        ),
        ("foundry", {"ANTHROPIC_FOUNDRY_API_KEY": SECRET}, f"api-key: {SECRET}"),
    ],
)
def test_logins_of_the_api(
    login: str,
    environment: dict[str, str],
    header: str,
    make_view: Callable[..., View],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The header is right; afterwards no child process can inherit the secret, and no word of ours holds it."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    provider = FaultyProvider(Wire("messages"), lambda line: line.error(403, SECRET.encode()))
    agent = api_agent(provider, login)
    with pytest.raises(UserError) as refused:
        agent.check()
    provider.close()
    assert header in provider.headers[0].lower()
    assert SECRET not in str(refused.value) + repr(vars(agent))
    assert not [name for name, value in os.environ.items() if value == SECRET]
    if login == "bedrock":
        assert "/model/small/" in provider.headers[0]
    elif login != "vertex":
        assert "/v1/messages" in provider.headers[0]


def _service_account(folder: Path, address: str) -> str:
    """A file as Google's console writes it, with a key of its own and a token server on the loopback."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {"type": "service_account", "project_id": "project-5", "private_key_id": "1"}
    account |= {
        "client_email": "a@b.c",
        "client_id": "1",
        "private_key": key.decode(),
        "token_uri": f"{address}/token",
    }
    file = folder / "account.json"
    file.write_text(json.dumps(account))
    return str(file)


def test_vertex_through_googles_own_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It fetches a token with the account's key and sends that; the project stands in the address; neither is in our
    words. Without a project, or without the library, one line says so."""
    token = {"access_token": SECRET, "expires_in": 3600, "token_type": "Bearer"}

    def act(line: Line) -> None:
        is_token = "POST /token" in line.provider.headers[-1]
        line.error(200 if is_token else 403, token if is_token else SECRET.encode())

    provider = FaultyProvider(Wire("messages"), act, times=9)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", _service_account(tmp_path, provider.url))
    with pytest.raises(UserError, match="ANTHROPIC_VERTEX_PROJECT_ID"):
        api_agent(provider, "vertex").check()
    monkeypatch.setenv("ANTHROPIC_VERTEX_PROJECT_ID", "project-5")
    with pytest.raises(UserError) as refused:
        api_agent(provider, "vertex").check()
    provider.close()
    assert [head.split()[1] for head in provider.headers] == [
        "/token",
        "/projects/project-5/locations/global/publishers/anthropic/models/small:streamRawPredict",
    ]
    assert f"authorization: bearer {SECRET}" in provider.headers[1].lower()
    assert SECRET not in str(refused.value)
    monkeypatch.setitem(sys.modules, "google.auth", None)
    with pytest.raises(UserError, match=r"pip install 'harness\[vertex\]'"):
        api_agent(provider, "vertex")


def test_what_cannot_be_done_safely_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A subscription with the API, a cloud with Claude Code, an agent identity with Codex; no login at all."""
    never = lambda: None  # noqa: E731
    for make, words in (
        (lambda: Claude("small", PRICES), "ANTHROPIC_API_KEY"),
        (lambda: logins.claude_code(None, never), "claude setup-token"),
        (lambda: logins.codex(None, never), "CODEX_API_KEY"),
        (lambda: logins.codex("subscription", never), "CODEX_ACCESS_TOKEN"),
        (lambda: Claude("small", PRICES, login="magic"), "must be one of"),
    ):
        with pytest.raises(UserError, match=words) as refused:
            make()
        assert "\n" not in str(refused.value)
    monkeypatch.setenv("CLAUDE_CODE_OAUTH_TOKEN", SECRET)
    with pytest.raises(UserError, match="agent=claude_code"):
        Claude("small", PRICES)
    monkeypatch.delenv("CLAUDE_CODE_OAUTH_TOKEN")
    monkeypatch.setenv("CLAUDE_CODE_USE_BEDROCK", "1")
    with pytest.raises(UserError, match=r"agent=claude agent\.login=bedrock"):
        logins.claude_code(None, never)
    monkeypatch.setenv("CODEX_ACCESS_TOKEN", "eyJ.agent.identity")
    with pytest.raises(UserError, match="personal access token"):
        logins.codex(None, never).headers(False)


def test_a_bad_key_is_said_before_anything_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the provider's words, without the key, for every kind of agent; a provider that is not there likewise; one
    that is overloaded is no reason not to begin."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    error = {
        "type": "error",
        "error": {"type": "authentication_error", "message": f"invalid x-api-key {SECRET}"},
    }
    provider = FaultyProvider(Wire("messages"), lambda line: line.error(401, error), times=100)
    agents: list[Any] = [api_agent(provider)]
    agents += [kind("small", PRICES, PROGRAM, provider.url) for kind in (ClaudeCode, Codex)]
    for agent in agents:
        with pytest.raises(UserError, match="invalid x-api-key") as refused:
            agent.check()
        assert SECRET not in str(refused.value)
    provider.act = lambda line: line.error(529)
    for agent in agents:
        agent.check()
    provider.close()
    for agent in agents:
        with pytest.raises(UserError, match="cannot be"):
            agent.check()


def test_the_trial_of_a_key_is_on_the_bill(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the token, and handed to the session with the first proposal."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
    provider = FaultyProvider(Wire("messages"), lambda line: line.reset(), times=0)
    agent = api_agent(provider)
    agent.check()
    provider.close()
    assert (agent.unbooked.input_tokens, agent.unbooked.output_tokens) == (COUNTS["input"], COUNTS["output"])
    assert agent.unbooked.dollars == pytest.approx((100 * 3 + 30 * 15 + 20 * 0.3) / 1e6)


def _token(seconds: float) -> str:
    claims = {
        "exp": time.time() + seconds,
        "https://api.openai.com/auth": {"chatgpt_account_id": "account-7"},
    }
    return f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.{SECRET}"


def _log_in(home: Path, kind: str, name: str, seconds: float) -> str:
    """Writes what the program itself would; the token's text."""
    if kind == "claude_code":
        token = f"{SECRET}-{name}"
        login = {
            "accessToken": token,
            "refreshToken": f"{SECRET}-refresh",
            "expiresAt": (time.time() + seconds) * 1000,
        }
        file, content = home / ".claude" / ".credentials.json", {"claudeAiOauth": login}
    else:
        token = _token(seconds) + name
        tokens = {"access_token": token, "refresh_token": f"{SECRET}-refresh", "account_id": "account-7"}
        file, content = home / ".codex" / "auth.json", {"OPENAI_API_KEY": None, "tokens": tokens}
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(content))
    return token


@pytest.mark.parametrize("kind", ["claude_code", "codex"])
def test_an_existing_login_stays_outside_and_is_renewed_by_the_program(kind: str, tmp_path: Path) -> None:
    """A fresh token is used; an old one, or one that was refused, is renewed by the program's own means and read
    again; the refresh token is never sent; inside stands a placeholder."""
    renewed: list[int] = []

    def renew() -> None:
        renewed.append(1)
        _log_in(tmp_path, kind, f"new{len(renewed)}", 3600)

    make = logins.claude_code if kind == "claude_code" else logins.codex
    fresh = _log_in(tmp_path, kind, "first", 3600)
    login = make("subscription", renew)
    assert login.subscription
    assert login.headers(False)["authorization"] == f"Bearer {fresh}"
    assert not renewed
    assert login.headers(True)["authorization"] != f"Bearer {fresh}"
    old = _log_in(tmp_path, kind, "old", 10)
    assert login.headers(False)["authorization"] != f"Bearer {old}"
    assert len(renewed) == 2
    assert SECRET not in repr(login)
    assert SECRET not in str(login.inside)
    assert "refresh" not in str(login.headers(False))
    assert (
        keys.redacted(f"it was {SECRET}-refresh")
        == f"it was <{'Claude' if kind == 'claude_code' else 'ChatGPT'} login>"
    )
    if kind == "codex":
        assert login.headers(False)["chatgpt-account-id"] == "account-7"


def test_a_personal_access_token_says_whose_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its issuer is asked once for the account; the token is a bearer."""
    monkeypatch.setenv("CODEX_ACCESS_TOKEN", f"at-{SECRET}")
    provider = FaultyProvider(
        Wire("messages"), lambda line: line.error(200, {"chatgpt_account_id": "account-9"})
    )
    login = logins.codex(None, lambda: None, whoami=f"{provider.url}/whoami")
    for _ in range(2):
        headers = login.headers(False)
    provider.close()
    assert headers == {"authorization": f"Bearer at-{SECRET}", "chatgpt-account-id": "account-9"}
    assert provider.requests == 1
    assert f"authorization: bearer at-{SECRET}" in provider.headers[0].lower()


def test_a_subscriptions_usage_limit_is_waited_for(
    make_agent: Callable[..., Any],  # noqa: F811  # the fixture
    make_provider: Callable[[Script], FakeProvider],
    make_view: Callable[..., View],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The proposal is thought out again once the limit has passed; dollars are the list price and no limit; the token
    is in the provider's header and nowhere else."""
    passes = time.time() + 8

    def script(number: int, _: Any) -> Turn | Fault:
        if time.time() < passes:
            return Fault(429, {"anthropic-ratelimit-unified-reset": str(passes), "retry-after": "0"})
        return shell(EDIT, WORDS) if number < 40 and not provider.total("output_tokens") else Turn("done")

    provider = make_provider(script)
    agent = make_agent("claude_code", provider, dollars=0.0001)
    monkeypatch.setenv("CLAUDE_CODE_OAUTH_TOKEN", SECRET)
    agent._login = logins.claude_code("subscription", lambda: None)
    proposal = agent.propose(make_view())
    assert proposal.problem == ""
    assert b"BATCH = 16" in proposal.files["train.py"]
    assert proposal.usage.dollars > 0.0001
    assert proposal.state["prices"]["list_price"] is True  # type: ignore[index,call-overload]  # a mapping
    assert all(seen.headers["authorization"] == f"Bearer {SECRET}" for seen in provider.seen)
    assert not any(SECRET in seen.raw.decode() for seen in provider.seen)
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any("transcripts" in str(path) for path in kept)
    assert not [path for path in kept if SECRET.encode() in path.read_bytes()]


@pytest.mark.parametrize(("reset", "attempts"), [("1", 3), ("-1e300", 1), ("1e300", 1), ("99999999999", 1)])
def test_a_usage_limit_that_never_passes_is_not_waited_for_for_ever(
    reset: str,
    attempts: int,
    make_agent: Callable[..., Any],  # noqa: F811  # the fixture
    make_provider: Callable[[Script], FakeProvider],
    make_view: Callable[..., View],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that has passed long ago and still holds is waited for a number of times, one beyond all weeks not at all."""
    monkeypatch.setattr(cli, "_MOST_PAUSES", 2)
    monkeypatch.setattr(cli, "_least_pause", lambda _: 0.0)
    headers = {"anthropic-ratelimit-unified-reset": reset, "retry-after": "0"}
    agent = make_agent("claude_code", make_provider(lambda *_: Fault(429, headers)))
    monkeypatch.setenv("CLAUDE_CODE_OAUTH_TOKEN", SECRET)
    agent._login = logins.claude_code("subscription", lambda: None)
    begun: list[View] = []
    attempt = agent._attempt
    agent._attempt = lambda view: (begun.append(view), attempt(view))[1]
    assert agent.propose(make_view()).problem
    assert len(begun) == attempts


def _by_environment(variable: str) -> Callable[[pytest.MonkeyPatch, Path], str]:
    def log_in(monkeypatch: pytest.MonkeyPatch, _: Path) -> str:
        monkeypatch.setenv(variable, SECRET)
        return f"Bearer {SECRET}"

    return log_in


def _key_in_a_file(_: pytest.MonkeyPatch, home: Path) -> str:
    (home / ".codex").mkdir()
    (home / ".codex" / "auth.json").write_text(json.dumps({"OPENAI_API_KEY": SECRET}))
    return f"Bearer {SECRET}"


def _logged_in(kind: str) -> Callable[[pytest.MonkeyPatch, Path], str]:
    return lambda _, home: f"Bearer {_log_in(home, kind, 'night', 3600)}"


LOOK = "env; cat /proc/*/environ; cat ~/.claude/.credentials.json ~/.codex/auth.json"
LOOK += "; find / -name auth.json -exec cat {} + 2>/dev/null; find / -name .credentials.json -exec cat {} + 2>/dev/null"
LOGINS = [
    ("claude_code", "api_key", _by_environment("ANTHROPIC_API_KEY")),
    ("claude_code", "auth_token", _by_environment("ANTHROPIC_AUTH_TOKEN")),
    ("claude_code", "subscription", _by_environment("CLAUDE_CODE_OAUTH_TOKEN")),
    ("claude_code", "subscription", _logged_in("claude_code")),
    ("codex", "api_key", _by_environment("CODEX_API_KEY")),
    ("codex", "api_key", _by_environment("OPENAI_API_KEY")),
    ("codex", "api_key", _key_in_a_file),
    ("codex", "subscription", _logged_in("codex")),
]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "choice", "log_in"), LOGINS)
def test_a_login_is_in_the_providers_header_and_nowhere_else(
    kind: str,
    choice: str,
    log_in: Callable[[pytest.MonkeyPatch, Path], str],
    make_agent: Callable[..., Any],  # noqa: F811  # the fixture
    make_provider: Callable[[Script], FakeProvider],
    make_view: Callable[..., View],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """A program that looks for it everywhere finds a placeholder; transcript, bill and scratch files are clean."""
    home = tmp_path / "home"
    home.mkdir()
    turns = [shell(LOOK, EDIT, WORDS), Turn("done")]
    provider = make_provider(lambda number, _: turns[min(number, 1)])
    agent = make_agent(kind, provider)
    monkeypatch.setattr(keys, "_taken", {})
    for variable in _VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(home))
    header = log_in(monkeypatch, home)
    make = logins.claude_code if kind == "claude_code" else logins.codex
    agent._login = make(choice, lambda: None)
    proposal = agent.propose(make_view())
    assert proposal.problem == ""
    assert b"BATCH = 16" in proposal.files["train.py"]
    name, said = (
        ("x-api-key", SECRET) if (kind, choice) == ("claude_code", "api_key") else ("authorization", header)
    )
    assert {seen.headers[name] for seen in provider.seen} == {said}
    if (kind, choice) == ("codex", "subscription"):
        assert {seen.headers["chatgpt-account-id"] for seen in provider.seen} == {"account-7"}
    bodies = "".join(seen.raw.decode() for seen in provider.seen)
    assert logins.PLACEHOLDER in bodies  # the program did look
    assert SECRET not in bodies + repr(proposal)
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and home not in path.parents]
    assert any("transcripts" in str(path) for path in kept)
    assert not [path for path in kept if SECRET.encode() in path.read_bytes()]
