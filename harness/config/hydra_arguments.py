"""What people write for Hydra's own runs and sweeps, in the words of sessions: taken over, or refused with the words.

Hydra's launchers and folders have no part in a session: its folder is `session.folder`/`session.tag`, and trials are
executed where `executor` says. So that habits work, what has a counterpart becomes it.
"""

from collections.abc import Collection, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from harness.errors import UserError

LAUNCHERS = {  # of Hydra and its plugins -> the executor that does the same
    "basic": "local",
    "joblib": "local",
    "submitit_local": "local",
    "submitit_slurm": "slurm",
    "ray": "ray",
    "ray_aws": "ray",
}
_KEPT = ("hydra.searchpath",)
_INSTEAD = {
    "hydra.run": "a session's folder is session.folder=FOLDER session.tag=NAME",
    "hydra.sweep": "a sweep's folder is session.folder=FOLDER session.tag=NAME",
    "hydra.output_subdir": "the configuration is the first row of ledger.jsonl in the session's folder",
    "hydra.job.chdir": "leave it out: a session never changes its folder",
    "hydra.job": "leave it out: trials get no environment of yours; the session's name is session.tag=NAME",
    "hydra.launcher": "where trials are executed is executor=CHOICE and executor.KEY=VALUE",
    "hydra/sweeper": "write the values, as in -m agent=random,optuna repeat=0,1,2; to search numbers give agent=optuna",
    "hydra.sweeper": "write the values, as in -m agent=random,optuna repeat=0,1,2; to search numbers give agent=optuna",
    "hydra.callbacks": "a tracker of your own sees every row: tracking=CHOICE (docs/own_parts.md)",
    "hydra/callbacks": "a tracker of your own sees every row: tracking=CHOICE (docs/own_parts.md)",
    "hydra.verbose": "leave it out: --info shows how the configuration is composed",
}
_OTHERWISE = "leave it out: it has no effect on a session, whose logs and rows lie in its own folder"
PARAMS = "hydra.sweeper.params."


def translated(arguments: Sequence[str], executors: Collection[str]) -> list[str]:
    """The arguments with what belongs to Hydra as a session spells it. executors: the choices that there are.

    Raises UserError, with what to write instead, for what has no counterpart.
    """
    said: list[str] = []
    for argument in arguments:
        is_hydras = argument.lstrip("+~").startswith(("hydra.", "hydra/"))
        said += _ours(argument, executors) if is_hydras else [argument]
    return said


def _ours(argument: str, executors: Collection[str]) -> list[str]:
    key, _, value = argument.lstrip("+~").partition("=")
    if key in _KEPT:
        return [argument]
    if key in ("hydra.run.dir", "hydra.sweep.dir"):
        parent, _, name = _text(argument, value).rstrip("/").rpartition("/")
        folder = parent or ("/" if value.startswith("/") else ".")
        return [f'session.folder="{folder}"', f'session.tag="{name}"']
    if key == "hydra.job.name":
        return [f'session.tag="{_text(argument, value)}"']
    if key == "hydra/launcher":
        return [f"executor={_executor(argument, value, executors)}"]
    if key.startswith(PARAMS):
        return [f"{key.removeprefix(PARAMS)}={_text(argument, value)}"]
    raise UserError(f"{argument!r}: {key} cannot be set here; {_instead(key)}")


def _instead(key: str) -> str:
    for known, words in _INSTEAD.items():
        if key == known or key.startswith(f"{known}."):
            return words
    return _OTHERWISE


def _executor(argument: str, launcher: str, executors: Collection[str]) -> str:
    choice = LAUNCHERS.get(launcher, launcher)
    if choice in executors:
        return choice
    listed = ", ".join(sorted(executors))
    raise UserError(
        f"{argument!r}: no executor does what this launcher does; give executor=CHOICE, choices: {listed}"
    )


def _text(argument: str, value: str) -> str:
    """The value without Hydra's quotes and escapes. Raises UserError for an interpolation: it differs every time."""
    try:
        override = OverridesParser.create().parse_override(argument)
        said = value if override.is_sweep_override() else str(override.value())
    except HydraException:
        said = value
    if "${" in said or '"' in said:
        raise UserError(
            f"{argument!r}: give a plain name; the same command must find the same folder to go on with its session"
        )
    return said
