"""The composition root: arguments in, checked and built parts out. Only `config*` modules know Hydra."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.config.choices import did_you_mean
from harness.config.compose import composed
from harness.config.locations import config_folders
from harness.config.options import options
from harness.config.program import Program
from harness.config.schema import Part, check_arguments, check_part, check_value, own_files, shown
from harness.errors import UserError
from harness.protocols import Agent, Guard, KeepRule
from harness.records import Files

if TYPE_CHECKING:
    from harness.keep.early_stop import EarlyStop
    from harness.keep.promotion import Promotion
    from harness.ledger.tracker import Tracker
    from harness.sandbox.open import Sandbox
    from harness.scoring.evaluator import Scoring
    from harness.task.budget import Budget
    from harness.task.task import Task
    from harness.trial.local import Local

_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")
_PARTS = (
    "task",
    "agent",
    "program",
    "keep",
    "budget",
    "executor",
    "tracking",
    "sandbox",
    "scoring",
    "promotion",
    "early_stop",
)
UNJUDGING = ("agent", "tracking")  # parts that decide nothing: their code may be mended while a session rests
WHERE = ("slots", "gpus")  # of the executor: how many trials are under way bears on no result
SESSION_LIMITS = ("proposals", "trials", "hours", "dollars", "tokens")


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """folder: where sessions are kept, seen from the current folder. tag: name, None: made from the parts."""

    folder: str = "sessions"
    tag: str | int | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for a tag that cannot name a folder and a git branch."""
        if self.tag is not None and not _TAG.fullmatch(str(self.tag)):
            raise ValueError(f"tag {self.tag!r} may hold letters, digits and -, up to 64 of them")


@dataclass(frozen=True, slots=True)
class Setup:
    """Everything a session is made of.

    guards: in the order in which they are asked. open_sandbox: opens the isolation that the config asks for;
    raises SandboxUnavailable. program: text of the human program. repeat: tells apart sessions of one
    configuration. data: the user's choices for the task's prepare.py. config: the resolved configuration, plain.
    choices: group -> the choice that was made. arguments: what `load` was given, folders of choices as absolute paths.
    own_files: key of a part of the user's own -> the file of its class; own_code: its SHA-256 when it was loaded.
    fingerprint: SHA-256 of what bears on results.
    """

    task: "Task"
    agent: Agent
    guards: tuple[Guard, ...]
    keep: KeepRule
    budget: "Budget"
    executor: "Local"
    tracking: "Tracker"
    scoring: "Scoring"
    promotion: "Promotion"
    early_stop: "EarlyStop"
    open_sandbox: "Callable[[], Sandbox]"
    program: str
    session: SessionSettings
    repeat: int
    data: Mapping[str, Any]
    config: Mapping[str, Any]
    choices: Mapping[str, str]
    arguments: tuple[str, ...]
    own_files: Mapping[str, Path]
    own_code: Mapping[str, str]
    fingerprint: str


def load(arguments: list[str], *, proposing: bool = True) -> Setup:
    """Composes, checks everything, then builds everything.

    proposing: whether the agent will be asked; else the task is the same whichever agent that is.
    Raises UserError, one line, for any mistake in the arguments or in a file that they name.
    """
    config, choices = composed(arguments)
    _check_keys(config)
    guards = [
        check_part(f"guards.{name}", node) for name, node in _mapping("guards", config["guards"]).items()
    ]
    parts = {name: check_part(name, config[name]) for name in _PARTS}
    session = _mapping("session", config["session"])
    settings = Part("session", SessionSettings, check_arguments("session", SessionSettings, session)).build()
    built = {name: part.build() for name, part in parts.items() if name not in ("sandbox", "program")}
    built["task"] = built["task"].for_profile(built["budget"].profile)
    if proposing:
        built["task"] = built["task"].begun_at(getattr(built["agent"], "begins_at", ""))
    program: Program = parts["program"].build()
    files = own_files([*guards, *parts.values()])
    code = {key: hashlib.sha256(file.read_bytes()).hexdigest() for key, file in files.items()}
    return Setup(
        **built,
        guards=tuple(guard.build() for guard in guards),
        open_sandbox=parts["sandbox"].build,
        program=program.text,
        session=settings,
        repeat=check_value("repeat", int, config["repeat"]),
        data=_mapping("data", config["data"]),
        config=config,
        choices=choices,
        arguments=_lasting(arguments),
        own_files=files,
        own_code=code,
        fingerprint=fingerprint(
            config, program.text, {**built["task"].fixed_files(), **built["task"].source()}, code
        ),
    )


def _lasting(arguments: list[str]) -> tuple[str, ...]:
    """The same arguments from any current folder: `conf/` in this one is named."""
    given = options(arguments)
    here = [folder for folder, by in config_folders(given.config_dirs).items() if by == "current-folder"]
    return (*replace(given, config_dirs=(*given.config_dirs, *here)).where(), *given.overrides)


def fingerprint(
    config: Mapping[str, Any], program: str, source: Files, code: Mapping[str, str] | None = None
) -> str:
    """SHA-256 over all that bears on results: not where things lie, what a session is called or when it ends."""
    kept = {key: value for key, value in config.items() if key not in ("tracking", "session", "program")}
    kept["task"] = {key: value for key, value in config["task"].items() if key != "folder"}
    kept["budget"] = {key: value for key, value in config["budget"].items() if key not in SESSION_LIMITS}
    kept["executor"] = {key: value for key, value in config["executor"].items() if key not in WHERE}
    kept["guards"] = [*config["guards"].items()]  # their order counts
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in source.items()}
    judging = {key: digest for key, digest in (code or {}).items() if not key.startswith(UNJUDGING)}
    everything = [kept, program, digests, *([judging] if judging else [])]
    text = json.dumps(everything, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _check_keys(config: Mapping[str, Any]) -> None:
    expected = [*_PARTS, "guards", "session", "repeat", "data"]
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
