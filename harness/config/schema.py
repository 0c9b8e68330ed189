"""A constructor is the schema of its config node: checked against its type hints before it is called."""

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import SchemaError

from harness.config.choices import did_you_mean
from harness.config.roles import check_built, check_class
from harness.config.target import is_ours, locate, place_of
from harness.errors import UserError

Config = Mapping[str, Any]
_STRICT_KEYS = ConfigDict(arbitrary_types_allowed=True, extra="forbid")  # also for dataclasses inside


@dataclass(frozen=True, slots=True)
class Part:
    """A checked node: calling `build` can only fail for what the constructor itself checks."""

    where: str
    target: Callable[..., Any]
    arguments: dict[str, Any]

    def build(self) -> Any:
        """Calls the constructor, inner parts first. Raises UserError for what it does not accept."""
        arguments = {
            key: value.build() if isinstance(value, Part) else value for key, value in self.arguments.items()
        }
        try:
            built = self.target(**arguments)
        except UserError:
            raise
        except (ValueError, OSError) as error:
            raise UserError(f"{self.where}: {error}") from error
        except ImportError as error:
            raise UserError(f"{self.where} needs a package that is not installed: {error.name}") from error
        except Exception as error:
            if is_ours(self.target):
                raise
            raise UserError(
                f"{self.where}: {self.target.__name__} cannot be built: {place_of(error)}"
            ) from error
        if not is_ours(self.target):
            check_built(self.where, built)
        return built


def own_files(parts: Iterable[Part]) -> dict[str, Path]:
    """Key -> the file that defines its class, for every part of the user's own, parts inside parts included."""
    found: dict[str, Path] = {}
    for part in parts:
        file = None if is_ours(part.target) else inspect.getsourcefile(part.target)
        found |= {part.where: Path(file)} if file else {}
        found |= own_files(value for value in part.arguments.values() if isinstance(value, Part))
    return found


def check_part(where: str, node: object) -> Part:
    """Checks a node with a `_target_` (and the nodes inside it); `where` is its dotted key.

    Raises UserError that names the key: no or bad target, unknown or missing key, wrong type.
    """
    if not isinstance(node, Mapping) or "_target_" not in node:
        raise UserError(f"{where}: expected a choice or keys with a _target_, got {shown(node)}")
    target = locate(f"{where}._target_", node["_target_"])
    if not is_ours(target):
        check_class(where, target)
    values = {key: value for key, value in node.items() if key != "_target_"}
    return Part(where, target, check_arguments(where, target, values))


def check_arguments(where: str, target: Callable[..., Any], values: Config) -> dict[str, Any]:
    """`values` as the target's keyword arguments, converted to the hinted types."""
    parameters = {
        name: parameter
        for name, parameter in inspect.signature(target).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    for key in values:
        if key not in parameters:
            raise UserError(f"{where}.{_plain(key)}: no such key; {did_you_mean(str(key), parameters)}")
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in values:
            raise UserError(f"{where}.{name}: missing; it has no default")
    hints = _hints(where, target)
    return {key: check_value(f"{where}.{key}", hints.get(key, Any), value) for key, value in values.items()}


def _hints(where: str, target: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except NameError as error:
        raise UserError(f"{where}: a type hint of {target.__name__} cannot be read: {error}") from error


def check_value(where: str, hint: Any, value: Any) -> Any:
    """`value` converted to the hinted type; raises UserError that names the key."""
    if isinstance(value, Mapping) and "_target_" in value:
        return check_part(where, value)
    try:  # in a tuple, because pydantic takes no settings for a dataclass at the top
        (converted,) = TypeAdapter(tuple[hint], config=_STRICT_KEYS).validate_python((value,))
    except ValidationError as error:
        raise UserError(_sentence(where, hint, error)) from None
    except SchemaError:  # a Protocol: only a node of its own can be that
        raise UserError(f"{where}: expected keys with a _target_, got {shown(value)}") from None
    if isinstance(value, bool) and not isinstance(converted, bool):
        raise UserError(f"{where}: {shown(value)} is not a number")
    return converted


def _sentence(where: str, hint: Any, error: ValidationError) -> str:
    """The first of pydantic's complaints, in one line that names the key."""
    first = error.errors(include_url=False)[0]
    keys = [str(part) for part in first["loc"][1:] if _is_key(part)]
    path = ".".join([where, *keys])
    if first["type"] == "unexpected_keyword_argument":
        wrong = str(first["loc"][-1])
        known = did_you_mean(wrong, _field_names(hint))
        return f"{path if _is_key(wrong) else f'{path}.{wrong!r}'}: no such key; {known}"
    message = first["msg"].removeprefix("Value error, ").replace("Input should be", "should be")
    return f"{path}: {shown(first['input'])} {message}"


def _is_key(part: int | str) -> bool:
    """Pydantic's location also names members of unions ("int", "function-after[...]"): no keys of a user."""
    return isinstance(part, int) or (part.isidentifier() and part not in {"int", "float", "str", "bool"})


def _field_names(hint: Any) -> list[str]:
    if dataclasses.is_dataclass(hint):
        return [field.name for field in dataclasses.fields(hint) if field.init]
    return [name for part in get_args(hint) for name in _field_names(part)]


def _plain(key: object) -> str:
    return key if isinstance(key, str) and key.isidentifier() else repr(key)


def shown(value: object) -> str:
    """A value for a message: short, and on one line."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
