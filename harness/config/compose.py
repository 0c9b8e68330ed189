"""From command-line arguments to one plain configuration. Hydra composes; the words of error are ours."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from harness.config.choices import Group, did_you_mean, groups
from harness.config.hydra_arguments import translated
from harness.config.locations import config_folders, tasks_folders
from harness.config.options import OPTIONS, HydraOptions, options
from harness.config.search import Composer, check_not_shadowed, opened
from harness.config.target import make_importable
from harness.errors import UserError

OF_SWEEPS = ("sweep.slots", "sweep.abreast", "sweep.retry_failed")  # read by sweeps, no part of a session
_ERRORS = (HydraException, OmegaConfBaseException, YAMLError, UnicodeDecodeError)


def composed(arguments: Sequence[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The configuration that the arguments give, interpolations resolved, as plain dicts and lists;
    and which choice was made in each group.

    Raises UserError, in one line, for everything that can be wrong with an argument or a file.
    """
    given = options(arguments)
    make_importable(folder.resolve().parent for folder in given.config_dirs)
    known = groups(given.config_dirs)
    said = translated(given.overrides, known["executor"].choices)
    programs = [path for path in (_program_path(each, known) for each in said) if path]
    try:
        with opened(given) as hydra:
            hydra.search_paths = tuple(each for each in said if each.startswith("hydra.searchpath="))
            overrides = [_override(each, known, hydra) for each in said if not _program_path(each, known)]
            config = hydra.compose_config(given.config_name, overrides, RunMode.RUN, from_shell=False)
            made = {**config.hydra.runtime.choices, **_lists(overrides)}
            choices = {group: str(made.get(group)) for group in known}
            if given.config_path is None and config_folders(given.config_dirs):
                check_not_shadowed(hydra, choices)
            _check_hydras(config)
        with open_dict(config):
            del config["hydra"]
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except _ERRORS as error:
        raise UserError(f"configuration: {innermost(error)}") from error
    assert isinstance(plain, dict)
    if programs:
        plain["program"]["path"] = programs[-1]
    return {str(key): value for key, value in plain.items()}, choices


def sweeper_params(arguments: Sequence[str]) -> list[str]:
    """Sweeps that files ask for, as Hydra's own sweeper reads them (`hydra.sweeper.params`), as further arguments.

    A key that the command line sets itself is not among them. Raises UserError.
    """
    given = options(arguments)
    known = groups(given.config_dirs)
    said = [
        each
        for each in translated(given.overrides, known["executor"].choices)
        if not _program_path(each, known)
    ]
    typed = {each.lstrip("+~").partition("=")[0] for each in given.overrides}
    try:
        with opened(given) as hydra:
            plain = [each for each in said if not _gives_several(each)]
            overrides = [
                _override(each, known, hydra) for each in plain if each.partition("=")[0] not in OF_SWEEPS
            ]
            config = hydra.compose_config(given.config_name, overrides, RunMode.MULTIRUN, from_shell=False)
    except _ERRORS as error:
        raise UserError(f"configuration: {innermost(error)}") from error
    params = OmegaConf.select(config, "hydra.sweeper.params") or {}
    return [f"{key}={value}" for key, value in params.items() if key not in typed]


def _gives_several(argument: str) -> bool:
    try:
        return bool(OverridesParser.create().parse_override(argument).is_sweep_override())
    except HydraException:
        return True  # whoever reads it as a sweep says what is wrong with it


def _lists(overrides: Sequence[str]) -> dict[str, str]:
    """Groups of which several choices were made, as in guards=[default,mine]; Hydra's own account leaves them out."""
    found = {}
    for parsed in (_parsed(each, {}) for each in overrides if "=[" in each):
        value = parsed.value()
        if isinstance(value, list):
            found[parsed.key_or_group] = ",".join(map(str, value))
    return found


def _check_hydras(config: DictConfig) -> None:
    """A launcher or sweeper that a file chose would be passed over in silence. Raises UserError."""
    for name, instead in (("launcher", "executor=CHOICE"), ("sweeper", "-m with the values")):
        choice = config.hydra.runtime.choices.get(f"hydra/{name}")
        if choice not in ("basic", None):
            raise UserError(
                f"the configuration chooses hydra/{name}: {choice}, which no session uses; give {instead}"
            )


def prepared(hydra: Composer, given: HydraOptions) -> list[str]:
    """The overrides as they are handed to Hydra for showing: as they were typed, where Hydra takes them so."""
    known = groups(given.config_dirs)
    programs = [path for path in (_program_path(each, known) for each in given.overrides) if path]
    hydra.program_path = programs[-1] if programs else ""
    said = [each for each in given.overrides if not _program_path(each, known)]
    try:
        hydra.compose_config(given.config_name, said, RunMode.RUN, from_shell=False)
    except _ERRORS:
        return [each if _is_hydras(each) else _override(each, known, hydra) for each in said]
    return said


def _is_hydras(argument: str) -> bool:
    return argument.lstrip("+~").startswith(("hydra.", "hydra/"))


def innermost(error: BaseException) -> str:
    """Hydra wraps the message that says most in ones that say less."""
    said = type(error).__name__
    cause: BaseException | None = error
    while cause is not None:
        text = " ".join(str(cause).split())
        said = text if text not in ("", "None") else said
        cause = cause.__cause__
    return said


def _override(argument: str, known: Mapping[str, Group], hydra: Composer) -> str:
    """The argument as Hydra takes it. A key that the YAML leaves out is added: the constructor decides."""
    override = _parsed(argument, known)
    key = override.key_or_group
    if key in known:
        _check_choice(override, argument, known[key], hydra)
        return argument
    if key == "hydra.searchpath" or (
        key.split(".")[0] not in ("hydra", "_target_") and hydra.options_of(key)
    ):
        return argument
    if override.package is not None or key.split(".")[0] in ("hydra", "_target_") or "/" in key:
        raise UserError(f"{argument!r}: {key} cannot be set here; {_known_keys(key, known)}")
    return f"++{argument}" if override.is_add() is False and not override.is_delete() else argument


def _program_path(argument: str, known: Mapping[str, Group]) -> str:
    """The file that `program=my_program.md` names, "" for anything else.

    As it stands where there is such a file, else as Hydra's grammar reads it (quotes, escapes): a sweep hands names on
    in that spelling.
    """
    key, _, value = argument.partition("=")
    if key != "program" or value in known["program"].choices:
        return ""
    path = value if Path(value).exists() else _read_by_hydra(argument, value)
    return path if path.endswith(".md") or "/" in path else ""


def _read_by_hydra(argument: str, otherwise: str) -> str:
    try:
        override = OverridesParser.create().parse_override(argument)
        value = "" if override.is_sweep_override() else override.value()
    except HydraException:
        return otherwise
    return value if isinstance(value, str) and value else otherwise


def _known_keys(wrong: str, known: Mapping[str, Group]) -> str:
    return did_you_mean(wrong.split(".")[0], [*known, "session", "repeat", "sandbox"])


def _meant(argument: str, known: Mapping[str, Group]) -> str:
    """A choice that was given without its group, or else the keys there are."""
    full = [f"{group.name}={argument}" for group in known.values() if argument in group.choices]
    return f"did you mean {' or '.join(full)}?" if full else _known_keys(argument, known)


def _parsed(argument: str, known: Mapping[str, Group]) -> Override:
    if argument.startswith("-"):
        raise UserError(f"unknown option {argument!r}; options: {OPTIONS}")
    try:
        override = OverridesParser.create().parse_override(argument)
    except HydraException as error:
        if "=" not in argument:
            raise UserError(f"{argument!r} is not key=value; {_meant(argument, known)}") from error
        raise UserError(f"cannot read {argument!r}: {innermost(error)}") from error
    if not override.key_or_group:
        raise UserError(f"{argument!r} is not key=value; {_known_keys(argument, known)}")
    if override.is_sweep_override():
        raise UserError(
            f"{argument!r} gives several values; start a sweep with -m: python -m harness -m {argument}"
        )
    return override


def _check_choice(override: Override, argument: str, group: Group, hydra: Composer) -> None:
    value = override.value()
    if override.package is not None or override.is_add() or override.is_delete():
        raise UserError(f"{argument!r}: a group is always there; give {group.name}=choice")
    for choice in value if isinstance(value, list) and value else [value]:
        if isinstance(choice, str) and (choice in group.choices or choice in hydra.options_of(group.name)):
            continue
        path = ", or a path that ends in .md" if group.name == "program" else ""
        path += _looked_in() if group.name == "task" else ""
        raise UserError(
            f"{group.name}={choice}: no such choice; {did_you_mean(str(choice), group.choices)}{path}"
        )


def _looked_in() -> str:
    """Tasks of one's own lie in a folder `tasks` of where one is: elsewhere they are not found."""
    folders = ", ".join(map(str, tasks_folders()))
    here = "" if (Path.cwd() / "tasks").is_dir() else "; there is no ./tasks here"
    return f" (looked in {folders}{here}; others: HARNESS_TASKS=FOLDER)"


def as_yaml(config: Mapping[str, Any]) -> str:
    """A configuration as it would be written in a file."""
    return OmegaConf.to_yaml(OmegaConf.create(dict(config)))


def plain_yaml(file: Path) -> dict[str, Any]:
    """What a YAML file says by itself, interpolations as they are written; {} where it holds no keys."""
    found = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
    return {str(key): value for key, value in found.items()} if isinstance(found, dict) else {}
