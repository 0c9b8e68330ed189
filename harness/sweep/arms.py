"""Arms of a sweep: the product over every argument that gives several values, in Hydra's own grammar. Pure."""

import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, ValueType
from hydra.errors import HydraException

from harness.config.choices import Group, groups
from harness.config.compose import OF_SWEEPS
from harness.config.hydra_arguments import translated
from harness.config.options import options
from harness.errors import UserError

MOST_ARMS = 1000
_UNSAFE = re.compile(r"[^A-Za-z0-9.-]+")


@dataclass(frozen=True, slots=True)
class Arm:
    """One session of a sweep. name: of its folder. choices: what tells it apart; arguments: the whole command."""

    name: str
    choices: dict[str, str]
    arguments: tuple[str, ...]

    @property
    def label(self) -> str:
        return " ".join(f"{key}={value}" for key, value in self.choices.items())


@dataclass(frozen=True, slots=True)
class Sweep:
    """folder: of the sweep, the same whenever the same command is given. slots, abreast: None asks the machine.

    merged: labels of arms that were left out, because they are the same session as another one.
    """

    folder: Path
    arms: tuple[Arm, ...]
    slots: int | None = None
    abreast: int | None = None
    retry_failed: bool = False
    merged: tuple[str, ...] = ()


def sweep_of(arguments: Sequence[str]) -> Sweep:
    """What the arguments ask for, Hydra's options that say where choices come from included. Arms of one repeat stand
    together: r0 of every arm, then r1.

    Raises UserError for arguments that cannot be read, for more than a thousand arms, and for none to compare.
    """
    names = (*OF_SWEEPS, "session.folder", "session.tag")
    own = {**dict.fromkeys(names, ""), "session.folder": "sessions"}
    given = options(arguments)
    known = groups(given.config_dirs)
    fixed = [*given.where()]
    swept: dict[str, list[str]] = {}
    for argument in translated(given.overrides, known["executor"].choices):
        key, values = _read(argument, known)
        if key in own:
            own[key] = _single(key, values)
        elif len(values) > 1:
            swept[key] = values
        else:  # of a sweep with one value, such as a glob with one match, the value
            is_whole = argument.partition("=")[2] == values[0]
            fixed.append(argument if is_whole else f"{key}={values[0]}")
    if not swept:
        raise UserError(
            "a sweep needs an argument with several values, e.g. -m agent=random,optuna repeat=0,1,2"
        )
    arms = tuple(_arms(swept, fixed))
    tag = own["session.tag"] or f"sweep-{_short(sorted(arguments))}"
    folder = Path(own["session.folder"].strip("\"'")) / tag
    slots, abreast = (_number(name, own[name]) for name in ("sweep.slots", "sweep.abreast"))
    return Sweep(folder, arms, slots, abreast, own["sweep.retry_failed"].lower() == "true")


def _read(argument: str, known: Mapping[str, Group]) -> tuple[str, list[str]]:
    try:
        override = OverridesParser.create().parse_override(argument)
    except HydraException:
        raise UserError(
            f"cannot read {argument!r}: give key=value or key=value,value, with quotes around names that hold = or ,"
        ) from None
    key = override.key_or_group
    if not override.is_sweep_override():
        return key, [argument.partition("=")[2]]
    if override.value_type is ValueType.GLOB_CHOICE_SWEEP:
        return key, _matching(argument, override, known)
    if override.value_type is ValueType.INTERVAL_SWEEP:
        raise UserError(
            f"{argument!r}: an interval has no end of values; give some of them, key=1,2,3 or key=range(1,10), "
            "or let agent=optuna search"
        )
    try:
        return key, [str(value) for value in override.sweep_string_iterator()]
    except HydraException:
        raise UserError(f"{argument!r}: give the values one by one, with commas, or as range(...)") from None


def _matching(argument: str, override: Override, known: Mapping[str, Group]) -> list[str]:
    """glob(*) stands for the choices of a group whose names match."""
    group = known.get(override.key_or_group)
    if group is None:
        raise UserError(f"{argument!r}: glob chooses among a group's choices; groups: {', '.join(known)}")
    pattern = override.value()
    assert isinstance(pattern, Glob)
    found = pattern.filter(sorted(group.choices))
    if not found:
        raise UserError(f"{argument!r}: no choice matches; choices: {', '.join(group.choices)}")
    return found


def _single(key: str, values: list[str]) -> str:
    if len(values) != 1:
        raise UserError(f"{key} takes one value in a sweep")
    return values[0]


def _number(name: str, text: str) -> int | None:
    if not text:
        return None
    if not text.isdigit() or int(text) < 1:
        raise UserError(f"{name}={text}: give a number above 0")
    return int(text)


def _arms(swept: dict[str, list[str]], fixed: list[str]) -> list[Arm]:
    keys = sorted(swept, key=lambda key: key != "repeat")  # the outermost loop
    for key in keys:
        if len(set(swept[key])) < len(swept[key]):
            raise UserError(f"{key} names a value twice: a second session of the same arm is another repeat")
    count = 1
    for key in keys:
        count *= len(swept[key])
    if count > MOST_ARMS:
        raise UserError(f"{count} arms are more than {MOST_ARMS}")
    found = []
    for values in itertools.product(*(swept[key] for key in keys)):
        by_key = dict(zip(keys, values, strict=True))
        choices = {key: by_key[key] for key in swept}
        given = tuple(fixed) + tuple(f"{key}={value}" for key, value in choices.items())
        found.append(Arm(_name(choices), choices, given))
    return found


def _name(choices: dict[str, str]) -> str:
    """Readable where it can be, distinct always."""
    parts = [f"{key.split('.')[-1]}-{value}" for key, value in choices.items()]
    plain = "_".join(_UNSAFE.sub("-", part).strip("-.") for part in parts)
    exact = all(not _UNSAFE.search(part) for part in parts) and len(plain) <= 100
    return plain if exact else f"{plain[:100]}_{_short(sorted(choices.items()))}"


def _short(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:8]
