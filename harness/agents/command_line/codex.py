"""Codex, headless: `codex exec --json`, in the sandbox, through the referee's proxy. Logins: logins.py."""

import json

from harness.agents.command_line import logins
from harness.agents.command_line.agent import CommandLineAgent, Invocation
from harness.agents.command_line.logins import Login
from harness.agents.command_line.proxy import Upstream
from harness.agents.command_line.renew import renew
from harness.agents.command_line.stream import Event, Spoken, texts
from harness.records import Json

_SETTINGS = """\
model_provider = "harness"
web_search = "disabled"
check_for_update_on_startup = false
[analytics]
enabled = false
[model_providers.harness]
name = "harness"
base_url = "http://127.0.0.1:{port}/v1"
env_key = "HARNESS_NO_KEY"
wire_api = "responses"
supports_websockets = false
"""


class Codex(CommandLineAgent):
    what = "agent=codex"
    provider = "openai"

    def login(self, choice: str | None) -> Login:
        program = self._program
        argv = (program, "exec", "--skip-git-repo-check", "--sandbox", "read-only", "Say ok.")
        return logins.codex(choice, lambda: renew(argv))

    def upstream(self) -> Upstream:
        return Upstream(
            self._base_url,
            self._login.headers,
            paths=("/v1/responses",),
            counted=("/v1/responses",),
            output_key=""
            if self._login.subscription
            else "max_output_tokens",  # that address knows no such field
            model=self._model,
            prefix=self._login.prefix,
            subscription=self._login.subscription,
        )

    def question(self) -> dict[str, Json]:
        return {
            "model": self._model,
            "max_output_tokens": 64,
            "input": "Are you there? One word.",
            "store": False,
        }

    def invocation(self, program: str) -> Invocation:
        """Codex's own sandbox is off: it cannot be set up inside ours, which is the stricter one."""
        argv: tuple[str, ...] = (program, "exec", "--json", "--skip-git-repo-check", "--model", self._model)
        argv += ("-c", f"model_reasoning_effort={json.dumps(self._effort)}") if self._effort else ()
        argv += ("--dangerously-bypass-approvals-and-sandbox", "-")
        environment = {"CODEX_HOME": "{home}/.codex", **self._login.inside}
        return Invocation(argv, environment, {"{home}/.codex/config.toml": _SETTINGS})

    def claimed(self, events: list[Event]) -> dict[str, Json]:
        said: dict[str, Json] = {"turns": sum(e.get("type") == "turn.completed" for e in events)}
        usage = next((e.get("usage") for e in reversed(events) if e.get("type") == "turn.completed"), None)
        if isinstance(usage, dict):
            said["usage"] = {name: value for name, value in usage.items() if isinstance(value, int)}
        return said

    def is_final(self, event: Event) -> bool:
        return event.get("type") in ("turn.completed", "turn.failed")

    def failure(self, events: list[Event]) -> str:
        """A failed turn, also where the program ends with status 0; errors that it got over are none."""
        last = next((e for e in reversed(events) if self.is_final(e) or e.get("type") == "error"), {})
        if last.get("type") == "turn.failed":
            return texts(last.get("error"), "message") or texts(last, "message") or "the turn failed"
        return texts(last, "message") or "an error" if last.get("type") == "error" else ""

    def spoken(self, event: Event) -> list[Spoken]:
        item = event.get("item")
        if event.get("type") != "item.completed" or not isinstance(item, dict):
            return []
        kind = item.get("type")
        if kind == "agent_message":
            return [Spoken("text", texts(item, "text"))]
        if kind == "reasoning":
            return [Spoken("thinking", texts(item, "text"))]
        if kind == "command_execution":
            output = texts(item, "aggregated_output")
            return [Spoken("call", texts(item, "command"), "shell"), Spoken("result", output, "shell")]
        rest = {name: value for name, value in item.items() if name not in ("id", "type")}
        return [Spoken("call", json.dumps(rest), str(kind))]
