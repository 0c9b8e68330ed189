"""Claude Code, headless: `claude -p`, in the sandbox, through the referee's proxy. Logins: logins.py."""

import json
from typing import Any

from harness.agents.command_line import logins
from harness.agents.command_line.agent import CommandLineAgent, Invocation
from harness.agents.command_line.logins import Login
from harness.agents.command_line.proxy import Upstream
from harness.agents.command_line.renew import renew
from harness.agents.command_line.stream import Event, Spoken, texts
from harness.records import Json

_TOOLS = "Bash,Edit,Read,Write,Glob,Grep"


class ClaudeCode(CommandLineAgent):
    what = "agent=claude_code"
    provider = "anthropic"

    def login(self, choice: str | None) -> Login:
        program = self._program
        return logins.claude_code(
            choice, lambda: renew((program, "-p", "Say ok.", "--max-turns", "1", "--tools", ""))
        )

    def upstream(self) -> Upstream:
        return Upstream(
            self._base_url,
            self._login.headers,
            paths=("/v1/messages", "/v1/messages/count_tokens"),
            counted=("/v1/messages",),
            output_key="max_tokens",
            model=self._model,
            subscription=self._login.subscription,
        )

    def question(self) -> dict[str, Json]:
        return {
            "model": self._model,
            "max_tokens": 64,
            "messages": [{"role": "user", "content": "Are you there? One word."}],
        }

    def invocation(self, program: str) -> Invocation:
        argv: tuple[str, ...] = (
            program,
            "-p",
            "--output-format",
            "stream-json",
            "--verbose",
            "--model",
            self._model,
        )
        argv += ("--max-turns", str(self._limits.turns), "--dangerously-skip-permissions")
        argv += ("--strict-mcp-config", "--tools", _TOOLS, "--disable-slash-commands")
        argv += ("--effort", self._effort) if self._effort else ()
        models = ("ANTHROPIC_SMALL_FAST_MODEL", "ANTHROPIC_DEFAULT_HAIKU_MODEL", "CLAUDE_CODE_SUBAGENT_MODEL")
        return Invocation(
            argv,
            {
                "ANTHROPIC_BASE_URL": "http://127.0.0.1:{port}",
                "CLAUDE_CONFIG_DIR": "{home}/.claude",
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
                "CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(self._limits.output_tokens),
                "DISABLE_AUTOUPDATER": "1",
                "DISABLE_TELEMETRY": "1",
                "IS_SANDBOX": "1",
                **dict.fromkeys(models, self._model),
                **self._login.inside,
            },
        )

    def claimed(self, events: list[Event]) -> dict[str, Json]:
        last = _result(events)
        names = ("subtype", "is_error", "num_turns", "total_cost_usd")
        said: dict[str, Json] = {name: last[name] for name in names if name in last}
        usage = last.get("usage")
        if isinstance(usage, dict):
            said["usage"] = {name: value for name, value in usage.items() if isinstance(value, int)}
        return said

    def is_final(self, event: Event) -> bool:
        return event.get("type") == "result"

    def failure(self, events: list[Event]) -> str:
        """A result that is an error, also where it calls itself a success, as an API error's does."""
        last = _result(events)
        if not last or not (last.get("is_error") or last.get("subtype") != "success"):
            return ""
        errors = last.get("errors")
        words = texts(last, "result") or ("; ".join(map(str, errors)) if isinstance(errors, list) else "")
        subtype = texts(last, "subtype")
        return (
            " ".join(part for part in (words, "" if subtype == "success" else subtype) if part) or "an error"
        )

    def spoken(self, event: Event) -> list[Spoken]:
        content = (
            (event.get("message") or {}).get("content") if isinstance(event.get("message"), dict) else None
        )
        return (
            [said for block in content if isinstance(block, dict) and (said := _block(block))]
            if isinstance(content, list)
            else []
        )


def _block(block: dict[str, Any]) -> Spoken | None:
    kind = block.get("type")
    if kind in ("thinking", "text"):
        return Spoken(str(kind), texts(block, str(kind)))
    if kind == "tool_use":
        return Spoken("call", json.dumps(block.get("input")), texts(block, "name"))
    if kind == "tool_result":
        said = block.get("content")
        return Spoken("result", said if isinstance(said, str) else json.dumps(said))
    return None


def _result(events: list[Event]) -> Event:
    return next((event for event in reversed(events) if event.get("type") == "result"), {})
