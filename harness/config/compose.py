"""From command-line arguments to one plain configuration. Hydra composes; the words of error are ours."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from harness.config.choices import did_you_mean, groups
from harness.config.locations import conf_folder
from harness.config.tasks import TaskFolders
from harness.errors import UserError


def composed(arguments: list[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The configuration that the arguments give, interpolations resolved, as plain dicts and lists;
    and which choice was made in each group.

    Raises UserError, in one line, for everything that can be wrong with an argument or a file.
    """
    programs = [path for path in map(_program_path, arguments) if path]
    overrides = [_override(argument) for argument in arguments if not _program_path(argument)]
    SourcesRegistry.instance().register(TaskFolders)
    try:
        with initialize_config_dir(str(conf_folder()), version_base="1.3"):
            search = f"hydra.searchpath=[{TaskFolders.ADDRESS}]"
            config = compose("config", [search, *overrides], return_hydra_config=True)
        choices = {str(group): str(config.hydra.runtime.choices[group]) for group in groups()}
        with open_dict(config):
            del config["hydra"]
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException, YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"configuration: {_innermost(error)}") from error
    assert isinstance(plain, dict)
    if programs:
        plain["program"]["path"] = programs[-1]
    return {str(key): value for key, value in plain.items()}, choices


def _innermost(error: BaseException) -> str:
    """Hydra wraps the message that says most in ones that say less."""
    said = type(error).__name__
    cause: BaseException | None = error
    while cause is not None:
        text = " ".join(str(cause).split())
        said = text if text not in ("", "None") else said
        cause = cause.__cause__
    return said


def _override(argument: str) -> str:
    """The argument as Hydra takes it. A key that the YAML leaves out is added: the constructor decides."""
    override = _parsed(argument)
    key = override.key_or_group
    if key in groups():
        _check_choice(override, argument)
        return argument
    if override.package is not None or key.split(".")[0] in ("hydra", "_target_") or "/" in key:
        raise UserError(f"{argument!r}: {key} cannot be set here; {_known_keys(key)}")
    return f"++{argument}" if override.is_add() is False and not override.is_delete() else argument


def _program_path(argument: str) -> str:
    """The file that `program=my_program.md` names, "" for anything else.

    As it stands where there is such a file, else as Hydra's grammar reads it (quotes, escapes): a sweep hands names on
    in that spelling.
    """
    key, _, value = argument.partition("=")
    if key != "program" or value in groups()["program"].choices:
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


def _known_keys(wrong: str) -> str:
    return did_you_mean(wrong.split(".")[0], [*groups(), "session", "repeat", "sandbox"])


def _meant(argument: str) -> str:
    """A choice that was given without its group, or else the keys there are."""
    full = [f"{group.name}={argument}" for group in groups().values() if argument in group.choices]
    return f"did you mean {' or '.join(full)}?" if full else _known_keys(argument)


def _parsed(argument: str) -> Override:
    if argument.startswith("-"):
        raise UserError(f"unknown option {argument!r}; options: --help, --cfg, --version")
    try:
        override = OverridesParser.create().parse_override(argument)
    except HydraException as error:
        if "=" not in argument:
            raise UserError(f"{argument!r} is not key=value; {_meant(argument)}") from error
        raise UserError(f"cannot read {argument!r}: {_innermost(error)}") from error
    if not override.key_or_group:
        raise UserError(f"{argument!r} is not key=value; {_known_keys(argument)}")
    if override.is_sweep_override():
        raise UserError(
            f"{argument!r} gives several values; start a sweep with -m: python -m harness -m {argument}"
        )
    return override


def _check_choice(override: Override, argument: str) -> None:
    group = groups()[override.key_or_group]
    choice = override.value()
    if override.package is not None or override.is_add() or override.is_delete():
        raise UserError(f"{argument!r}: a group is always there; give {group.name}=choice")
    if not isinstance(choice, str) or choice not in group.choices:
        path = ", or a path that ends in .md" if group.name == "program" else ""
        raise UserError(
            f"{group.name}={choice}: no such choice; {did_you_mean(str(choice), group.choices)}{path}"
        )


def as_yaml(config: Mapping[str, Any]) -> str:
    """A configuration as it would be written in a file."""
    return OmegaConf.to_yaml(OmegaConf.create(dict(config)))


def plain_yaml(file: Path) -> dict[str, Any]:
    """What a YAML file says by itself, interpolations as they are written; {} where it holds no keys."""
    found = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
    return {str(key): value for key, value in found.items()} if isinstance(found, dict) else {}
