"""Claude Code, headless: `claude -p`, in the sandbox, through the referee's proxy. Key: ANTHROPIC_API_KEY."""

from typing import Any

from harness.agents import keys
from harness.agents.api.claude import KEY
from harness.agents.command_line.agent import CommandLineAgent, Invocation
from harness.agents.command_line.proxy import Upstream
from harness.records import Json

_TOOLS = "Bash,Edit,Read,Write,Glob,Grep"


class ClaudeCode(CommandLineAgent):
    what = "agent=claude_code"
    key = KEY

    def upstream(self) -> Upstream:
        return Upstream(
            self._base_url,
            {"x-api-key": keys.take(KEY)},
            paths=("/v1/messages", "/v1/messages/count_tokens"),
            counted=("/v1/messages",),
            output_key="max_tokens",
            model=self._model,
        )

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
        argv += (
            "--max-turns",
            str(self._limits.turns),
            "--dangerously-skip-permissions",
            "--strict-mcp-config",
        )
        argv += ("--tools", _TOOLS, "--disable-slash-commands")
        models = ("ANTHROPIC_SMALL_FAST_MODEL", "ANTHROPIC_DEFAULT_HAIKU_MODEL", "CLAUDE_CODE_SUBAGENT_MODEL")
        return Invocation(
            argv,
            {
                "ANTHROPIC_BASE_URL": "http://127.0.0.1:{port}",
                "ANTHROPIC_API_KEY": "the-harness-has-it",
                "CLAUDE_CONFIG_DIR": "{home}/.claude",
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
                "CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(self._limits.output_tokens),
                "DISABLE_AUTOUPDATER": "1",
                "DISABLE_TELEMETRY": "1",
                "IS_SANDBOX": "1",
                **dict.fromkeys(models, self._model),
            },
        )

    def claimed(self, events: list[dict[str, Any]]) -> dict[str, Json]:
        last: dict[str, Any] = next((e for e in reversed(events) if e.get("type") == "result"), {})
        names = ("subtype", "is_error", "num_turns", "total_cost_usd")
        said: dict[str, Json] = {name: last[name] for name in names if name in last}
        usage = last.get("usage")
        if isinstance(usage, dict):
            said["usage"] = {name: value for name, value in usage.items() if isinstance(value, int)}
        return said
