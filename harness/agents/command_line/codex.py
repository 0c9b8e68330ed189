"""Codex, headless: `codex exec --json`, in the sandbox, through the referee's proxy. Key: OPENAI_API_KEY."""

from typing import Any

from harness.agents import keys
from harness.agents.command_line.agent import CommandLineAgent, Invocation
from harness.agents.command_line.proxy import Upstream
from harness.records import Json

KEY = "OPENAI_API_KEY"
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
    key = KEY

    def upstream(self) -> Upstream:
        return Upstream(
            self._base_url,
            {"authorization": f"Bearer {keys.take(KEY)}"},
            paths=("/v1/responses",),
            counted=("/v1/responses",),
            output_key="max_output_tokens",
            model=self._model,
        )

    def invocation(self, program: str) -> Invocation:
        """Codex's own sandbox is off: it cannot be set up inside ours, which is the stricter one."""
        argv: tuple[str, ...] = (program, "exec", "--json", "--skip-git-repo-check", "--model", self._model)
        argv += ("--dangerously-bypass-approvals-and-sandbox", "-")
        environment = {"HARNESS_NO_KEY": "the-harness-has-it", "CODEX_HOME": "{home}/.codex"}
        return Invocation(argv, environment, {"{home}/.codex/config.toml": _SETTINGS})

    def claimed(self, events: list[dict[str, Any]]) -> dict[str, Json]:
        said: dict[str, Json] = {"turns": sum(e.get("type") == "turn.completed" for e in events)}
        usage = next((e.get("usage") for e in reversed(events) if e.get("type") == "turn.completed"), None)
        if isinstance(usage, dict):
            said["usage"] = {name: value for name, value in usage.items() if isinstance(value, int)}
        return said
