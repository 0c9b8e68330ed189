"""What a model's API allows: thinking and effort. Source: platform.claude.com ("What's new in Claude Opus 5.5",
22 September 2026; "Thinking"; "Effort") and developers.openai.com (model pages, November 2026).

Models that are not named here get what the configuration says, and their provider answers for itself.
"""

import re
from typing import Any

EFFORTS = ("low", "medium", "high", "xhigh", "max")
_ALWAYS_THINKING = re.compile(r"claude-(opus-5-5|fable-5|mythos)")  # thinking cannot be disabled there
_NEVER_ADAPTIVE = re.compile(
    r"claude-(3|(haiku|sonnet|opus)-4(-[0-5])?(-|$))"
)  # they take a budget of tokens instead
_MEDIUM_BY_DEFAULT = re.compile(r"claude-opus-5-5")


def claude_settings(
    model: str, thinking: str | None, effort: str | None, display: str | None
) -> dict[str, Any]:
    """The request's fields for thinking and effort. thinking: "auto", "adaptive", "disabled" or None (not said).

    Tools are never forced: that is an error where thinking is always on. Raises ValueError, one line, for what the
    model refuses.
    """
    if effort is not None and effort not in EFFORTS:
        raise ValueError(f"effort must be one of {', '.join(EFFORTS)}, not {effort!r}")
    if thinking not in (None, "auto", "adaptive", "disabled"):
        raise ValueError(f"thinking must be auto, adaptive, disabled or null, not {thinking!r}")
    if thinking == "disabled" and _ALWAYS_THINKING.match(model):
        raise ValueError(f"thinking cannot be disabled for {model}: lower agent.effort instead")
    if thinking == "adaptive" and _NEVER_ADAPTIVE.match(model):
        raise ValueError(f"{model} has no adaptive thinking: set agent.thinking=auto")
    settings: dict[str, Any] = {}
    if thinking == "disabled":
        settings["thinking"] = {"type": "disabled"}
    elif thinking is not None and not _NEVER_ADAPTIVE.match(model):
        settings["thinking"] = {"type": "adaptive", **({"display": display} if display else {})}
    if effort is None and _MEDIUM_BY_DEFAULT.match(model):
        effort = (
            "medium"  # the provider's default, said: it stands in the ledger and does not change under us
        )
    if effort is not None:
        settings["output_config"] = {"effort": effort}
    return settings


def openai_reasoning(model: str, effort: str | None, summary: str | None) -> dict[str, Any]:
    """The field `reasoning` of the Responses API. Raises ValueError for what the model refuses."""
    if effort == "none" and re.match(r"gpt-6\.[1-9]", model):
        raise ValueError(f"{model} refuses effort none: the lowest is low")
    reasoning = {"effort": effort, "summary": summary}
    return {name: value for name, value in reasoning.items() if value is not None}


def speaks_responses(model: str, base_url: str | None) -> bool:
    """Whether to use the Responses API: for OpenAI's own models at OpenAI's own address."""
    return (base_url is None or "api.openai.com" in base_url) and re.match(
        r"(gpt-|o\d|codex)", model
    ) is not None
