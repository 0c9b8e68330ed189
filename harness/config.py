"""The composition root: arguments in, checked and built parts out. Only `config*` modules know Hydra."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.config_choices import did_you_mean
from harness.config_compose import composed
from harness.config_program import Program
from harness.config_schema import check_arguments, check_part, shown
from harness.errors import UserError
from harness.protocols import Agent, Guard, KeepRule, Tracker

if TYPE_CHECKING:
    from harness.budget import Budget
    from harness.executors.local import Local
    from harness.sandbox import Sandbox
    from harness.task import Task

_PARTS = ("task", "agent", "program", "keep", "budget", "executor", "tracking", "sandbox")


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """folder: where sessions are kept, relative to the current folder. tag: its name, None: made from the parts.
    repeat: tells apart sessions of one configuration."""

    folder: str = "sessions"
    tag: str | int | None = None
    repeat: int = 0


@dataclass(frozen=True, slots=True)
class Setup:
    """Everything a session is made of.

    guards: in the order in which they are asked. open_sandbox: opens the isolation that the config asks for;
    raises SandboxUnavailable. program: text of the human program. choices: group -> the choice that was made.
    config: the resolved configuration, plain. fingerprint: SHA-256 of what in it bears on results.
    """

    task: "Task"
    agent: Agent
    guards: tuple[Guard, ...]
    keep: KeepRule
    budget: "Budget"
    executor: "Local"
    tracking: Tracker
    open_sandbox: "Callable[[], Sandbox]"
    program: str
    session: SessionSettings
    config: Mapping[str, Any]
    choices: Mapping[str, str]
    fingerprint: str


def load(arguments: list[str]) -> Setup:
    """Composes, checks everything, then builds everything.

    Raises UserError, one line, for any mistake in the arguments or in a file that they name.
    """
    config, choices = composed(arguments)
    _check_keys(config)
    guards = [
        check_part(f"guards.{name}", node) for name, node in _mapping("guards", config["guards"]).items()
    ]
    parts = {name: check_part(name, config[name]) for name in _PARTS}
    session = _session_settings(config)
    built = {name: part.build() for name, part in parts.items() if name not in ("sandbox", "program")}
    program: Program = parts["program"].build()
    return Setup(
        **built,
        guards=tuple(guard.build() for guard in guards),
        open_sandbox=parts["sandbox"].build,
        program=program.text,
        session=session,
        config=config,
        choices=choices,
        fingerprint=fingerprint(config, program.text),
    )


def fingerprint(config: Mapping[str, Any], program: str) -> str:
    """SHA-256 over all that bears on results: not where things lie, what a session is called or where it is shown."""
    kept = {key: value for key, value in config.items() if key not in ("tracking", "session", "program")}
    kept["task"] = {key: value for key, value in config["task"].items() if key != "folder"}
    kept["guards"] = [*config["guards"].items()]  # their order counts
    text = json.dumps([kept, program], sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _session_settings(config: Mapping[str, Any]) -> SessionSettings:
    values = {**_mapping("session", config["session"]), "repeat": config["repeat"]}
    return SessionSettings(**check_arguments("session", SessionSettings, values))


def _check_keys(config: Mapping[str, Any]) -> None:
    expected = [*_PARTS, "guards", "session", "repeat"]
    for key in config:
        if key not in expected:
            raise UserError(f"{key}: no such key; {did_you_mean(key, [*expected, 'preset'])}")
    for key in expected:
        if key not in config:
            raise UserError(f"{key}: missing from the configuration")


def _mapping(where: str, node: object) -> Mapping[str, Any]:
    if not isinstance(node, Mapping):
        raise UserError(f"{where}: expected keys and values, got {shown(node)}")
    return node
