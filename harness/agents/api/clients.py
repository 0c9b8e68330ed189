"""Logins for Claude's API: a key, a gateway's token, or a cloud, each through the SDK's own client.

What signs requests is taken out of the environment first: no child process inherits it.
"""

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.agents import keys
from harness.agents.api.watch import watched
from harness.errors import UserError

KEY, TOKEN = "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"
SUBSCRIPTION = "CLAUDE_CODE_OAUTH_TOKEN"
_CLOUDS = {
    "bedrock": ("AWS_BEARER_TOKEN_BEDROCK", "AWS_ACCESS_KEY_ID", "AWS_PROFILE"),
    "vertex": ("ANTHROPIC_VERTEX_PROJECT_ID", "GOOGLE_CLOUD_PROJECT", "GOOGLE_APPLICATION_CREDENTIALS"),
    "foundry": ("ANTHROPIC_FOUNDRY_API_KEY",),
}
_NEEDS = {"bedrock": "boto3", "vertex": "google.auth"}


@dataclass(frozen=True, slots=True)
class ApiLogin:
    """kind: "api_key", "auth_token", "bedrock", "vertex" or "foundry"."""

    kind: str


def claude_login(kind: str | None, what: str = "agent=claude") -> ApiLogin:
    """The login that is asked for, or (None) the first that the environment has. Raises UserError in one line."""
    kinds: dict[str, tuple[str, ...]] = {"api_key": (KEY,), "auth_token": (TOKEN,), **_CLOUDS}
    if kind is None:
        kind = next((name for name in ("api_key", "auth_token") if keys.present(kinds[name][0])), None)
    if kind is None and keys.present(SUBSCRIPTION):
        raise UserError(
            f"{what} cannot use a subscription: {SUBSCRIPTION} is for Claude Code alone; choose agent=claude_code, "
            f"or set {KEY}"
        )
    if kind is None:
        raise UserError(
            f"{what} needs a key: set {KEY} in the environment of this command "
            f"(or {TOKEN} with agent.base_url, or agent.login=bedrock, vertex or foundry)"
        )
    if kind not in kinds:
        raise UserError(f"agent.login must be one of {', '.join(kinds)}, not {kind!r}")
    if not any(keys.present(variable) for variable in kinds[kind]):
        raise UserError(f"agent.login={kind} needs one of {', '.join(kinds[kind])} in the environment")
    if kind in _NEEDS and not _importable(_NEEDS[kind]):
        raise UserError(f"agent.login={kind} needs more packages: pip install 'harness[{kind}]'")
    return ApiLogin(kind)


def plain_headers(login: ApiLogin) -> Callable[[bool], dict[str, str]] | None:
    """What the SDK's client would send; None where it would sign, or add what we do not know."""
    variable = {"api_key": KEY, "auth_token": TOKEN}.get(login.kind)
    if variable is None or os.environ.get("ANTHROPIC_CUSTOM_HEADERS"):
        return None
    return lambda _: {"authorization": f"Bearer {keys.take(variable)}", "anthropic-version": "2023-06-01"}


def claude_address(base_url: str | None) -> str:
    """Where the SDK's client would send a message."""
    base = base_url or os.environ.get("ANTHROPIC_BASE_URL") or "https://api.anthropic.com"
    return f"{base.rstrip('/')}/v1/messages"


def claude_client(login: ApiLogin, base_url: str | None, silence_seconds: float) -> Any:
    """The SDK's client, watched; it never retries by itself."""
    import anthropic

    common: dict[str, Any] = {
        "base_url": base_url,
        "max_retries": 0,
        "timeout": silence_seconds,
        "http_client": watched(anthropic.DefaultHttpxClient, timeout=silence_seconds),
    }
    makers: dict[str, Callable[[], Any]] = {
        "api_key": lambda: anthropic.Anthropic(api_key=keys.take(KEY), **common),
        "auth_token": lambda: anthropic.Anthropic(auth_token=keys.take(TOKEN), **common),
        "bedrock": lambda: anthropic.AnthropicBedrock(**_aws(), **common),
        "vertex": lambda: anthropic.AnthropicVertex(**_google(), **common),
        "foundry": lambda: anthropic.AnthropicFoundry(
            api_key=keys.take("ANTHROPIC_FOUNDRY_API_KEY"), **{**common, "base_url": _foundry(base_url)}
        ),
    }
    try:
        return makers[login.kind]()
    except (ValueError, anthropic.AnthropicError) as error:
        raise UserError(f"agent.login={login.kind}: {keys.redacted(str(error))}") from None


def _aws() -> dict[str, Any]:
    """A bearer token, else a key pair, else what the profile says (read by boto3 when it is needed)."""
    settings = {
        "api_key": keys.take("AWS_BEARER_TOKEN_BEDROCK"),
        "aws_region": os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
    }
    if not settings["api_key"]:
        settings |= {
            "aws_access_key": keys.take("AWS_ACCESS_KEY_ID"),
            "aws_secret_key": keys.take("AWS_SECRET_ACCESS_KEY"),
            "aws_session_token": keys.take("AWS_SESSION_TOKEN"),
            "aws_profile": os.environ.get("AWS_PROFILE", ""),
        }
    return {name: value for name, value in settings.items() if value}


def _google() -> dict[str, Any]:
    """google-auth finds the credentials and refreshes them; the project is asked for here."""
    project = os.environ.get("ANTHROPIC_VERTEX_PROJECT_ID") or os.environ.get("GOOGLE_CLOUD_PROJECT")
    if not project:
        raise ValueError("set ANTHROPIC_VERTEX_PROJECT_ID to your project")
    return {"project_id": project, "region": os.environ.get("CLOUD_ML_REGION", "global")}


def _foundry(base_url: str | None) -> str:
    resource = os.environ.get("ANTHROPIC_FOUNDRY_RESOURCE")
    if base_url is None and not resource:
        raise ValueError("set ANTHROPIC_FOUNDRY_RESOURCE to the name of your resource, or agent.base_url")
    return base_url or f"https://{resource}.services.ai.azure.com/anthropic/"


def _importable(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True
