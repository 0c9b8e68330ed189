"""A constructor is the schema of its node."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.config.program import Program
from harness.config.schema import check_arguments, check_part
from harness.config.target import locate
from harness.errors import UserError


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Inner:
    seconds: float = 1.0
    clock: str = "cpu"


class Friend(Protocol):
    def greet(self) -> None: ...


@dataclass
class Outer:
    name: str
    count: int = 0
    limit: float | None = None
    colour: Colour = Colour.RED
    names: tuple[str, ...] = ()
    profiles: Mapping[str, Inner] = field(default_factory=dict)
    friend: Friend | None = None
    on: bool = False


def checked(**values: Any) -> dict[str, Any]:
    return check_arguments("outer", Outer, values)


def complaint(**values: Any) -> str:
    with pytest.raises(UserError) as caught:
        checked(**values)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_values_become_what_the_hints_say() -> None:
    """Lists become tuples, names enumerations, mappings dataclasses; whole floats (1e6) are good integers."""
    values = checked(
        name="a", count=1e6, colour="red", names=["x"], profiles={"cpu": {"seconds": 3}}, limit=2
    )
    outer = Outer(**values)
    assert outer.count == 1_000_000
    assert outer.colour is Colour.RED
    assert outer.names == ("x",)
    assert outer.profiles == {"cpu": Inner(seconds=3.0)}
    assert outer.limit == 2.0


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "outer.name: missing"),
        ({"name": "a", "cuont": 1}, "outer.cuont: no such key; did you mean count?"),
        ({"name": "a", "count": "many"}, "outer.count: 'many'"),
        ({"name": "a", "count": 1.5}, "outer.count: 1.5"),
        ({"name": "a", "count": True}, "outer.count: True is not a number"),
        ({"name": "a", "limit": True}, "outer.limit: True is not a number"),
        ({"name": 5}, "outer.name: 5"),
        ({"name": None}, "outer.name: None"),
        ({"name": "a", "colour": "blue"}, "outer.colour: 'blue' should be 'red'"),
        ({"name": "a", "names": ["x", 3]}, "outer.names.1: 3"),
        ({"name": "a", "names": "x"}, "outer.names: 'x'"),
        (
            {"name": "a", "profiles": {"cpu": {"second": 3}}},
            "outer.profiles.cpu.second: no such key; did you mean",
        ),
        ({"name": "a", "profiles": {"cpu": {"seconds": "x"}}}, "outer.profiles.cpu.seconds: 'x'"),
        ({"name": "a", "friend": 3}, "outer.friend: expected keys with a _target_, got 3"),
        ({"name": "a", "on": "perhaps"}, "outer.on: 'perhaps'"),
    ],
)
def test_a_mistake_is_named_with_its_key(values: dict[str, Any], said: str) -> None:
    """Typing errors, missing keys and wrong types are told in one line that starts with the dotted key."""
    assert complaint(**values).startswith(said)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*Outer.__dataclass_fields__, "odd", ""]), json_values))
def test_any_values_are_checked_or_refused_in_one_line(values: dict[str, Any]) -> None:
    """Whatever stands in a config, the answer is good arguments or one UserError of one line."""
    try:
        arguments = checked(**values)
    except UserError as error:
        said = str(error).splitlines()
    else:
        said = [repr(Outer(**arguments).name)]
    assert len(said) == 1


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.eval",
        "harness",
        "harness.",
        ".harness",
        "harness..x",
        "harness.config.locations.os.system",
        "harness.config.target.importlib.import_module",
        "harness.config.schema.TypeAdapter",
        "harness.config.schema.Part.nothing",
        "harness.nowhere.Thing",
        "harness.config.locations.PACKAGE",
        "guardsman.Thing",
        "json.JSONDecoder",
        "pydantic.create_model",
        "harness.nowhere",
        "pydantic.main.typing.Any",
        None,
        3,
    ],
)
def test_what_can_never_be_named(target: object) -> None:
    """No function that is not ours, nothing of the standard library, not even through a module that imports it."""
    with pytest.raises(UserError, match=r"^agent\._target_: "):
        locate("agent._target_", target)


def test_our_own_class_can_be_named() -> None:
    """The honest twin: a class of ours is found, and built with checked arguments."""
    assert locate("x", "harness.config.program.Program") is Program
    part = check_part("program", {"_target_": "harness.config.program.Program", "path": None})
    assert "referee" in part.build().text


def test_what_the_constructor_refuses_is_the_users_mistake(tmp_path: Any) -> None:
    """A constructor's own complaint reaches the user as one line."""
    (tmp_path / "empty.md").write_text(" \n")
    for name, said in [
        ("empty.md", "is empty"),
        ("missing.md", "does not exist"),
        (".", "not a regular file"),
    ]:
        node = {"_target_": "harness.config.program.Program", "path": str(tmp_path / name)}
        with pytest.raises(UserError, match=said):
            check_part("program", node).build()
