"""Arms of a sweep: the product over every argument that gives several values, in Hydra's own grammar. Pure."""

import hashlib
import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

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
    """folder: of the sweep, the same whenever the same command is given. slots, abreast: None asks the machine."""

    folder: Path
    arms: tuple[Arm, ...]
    slots: int | None = None
    abreast: int | None = None
    retry_failed: bool = False


def sweep_of(arguments: Sequence[str]) -> Sweep:
    """What the arguments ask for. Arms of one repeat stand together: r0 of every arm, then r1.

    Raises UserError for arguments that cannot be read, for more than a thousand arms, and for none to compare.
    """
    names = ("sweep.slots", "sweep.abreast", "sweep.retry_failed", "session.folder", "session.tag")
    own = {**dict.fromkeys(names, ""), "session.folder": "sessions"}
    fixed: list[str] = []
    swept: dict[str, list[str]] = {}
    for argument in arguments:
        key, values = _read(argument)
        if key in own:
            own[key] = _single(key, values)
        elif len(values) > 1:
            swept[key] = values
        else:
            fixed.append(argument)
    if not swept:
        raise UserError(
            "a sweep needs an argument with several values, e.g. -m agent=random,optuna repeat=0,1,2"
        )
    arms = tuple(_arms(swept, fixed))
    tag = own["session.tag"] or f"sweep-{_short(sorted(arguments))}"
    folder = Path(own["session.folder"].strip("\"'")) / tag
    slots, abreast = (_number(name, own[name]) for name in ("sweep.slots", "sweep.abreast"))
    return Sweep(folder, arms, slots, abreast, own["sweep.retry_failed"].lower() == "true")


def _read(argument: str) -> tuple[str, list[str]]:
    try:
        override = OverridesParser.create().parse_override(argument)
    except HydraException:
        raise UserError(
            f"cannot read {argument!r}: give key=value or key=value,value, with quotes around names that hold = or ,"
        ) from None
    key = override.key_or_group
    if not override.is_sweep_override():
        return key, [argument.partition("=")[2]]
    try:
        return key, [str(value) for value in override.sweep_string_iterator()]
    except HydraException:
        raise UserError(f"{argument!r}: give the values one by one, with commas, or as range(...)") from None


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
