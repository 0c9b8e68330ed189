"""What a candidate leaves behind is parsed without trust: artefact, claims, log, file names."""

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save
from safetensors_bytes import safetensors_bytes

from harness.sandbox.host.log import LogTail, escaped
from harness.sandbox.host.plans import check_tree
from harness.sandbox.open import BadTree
from harness.trial.artefact import ArtefactRefused, open_regular, take_artefact
from harness.trial.claims import parse_claims


def taken(folder: Path, name: str, content: bytes, most_bytes: int = 1 << 20) -> str:
    """The reason for which this artefact is refused, "" when it is taken."""
    (folder / name).write_bytes(content)
    out = os.open(folder, os.O_RDONLY)
    try:
        take_artefact(out, name, most_bytes, folder / f"copy-{name}")
    except ArtefactRefused as refusal:
        assert not list(folder.glob(".copy*"))
        return refusal.reason
    finally:
        os.close(out)
    assert (folder / f"copy-{name}").read_bytes() == content
    return ""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("artefacts")


def test_what_the_library_writes_is_taken(folder: Path) -> None:
    """Every dtype and shape that safetensors itself writes passes, the empty file of no arrays too."""
    import numpy as np

    arrays = {
        str(kind): np.ones(shape, kind)
        for kind, shape in (
            ("float32", (2, 3)),
            ("int8", ()),
            ("bool", (5,)),
            ("float16", (0, 4)),
            ("int64", (1,)),
        )
    }
    assert taken(folder, "w.safetensors", save(arrays)) == ""
    assert taken(folder, "w.safetensors", save({}, {"note": "x"})) == ""


@settings(max_examples=60)
@given(
    header=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["F32", "dtype"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["w", "dtype", "shape", "data_offsets", "__metadata__"]), inner, max_size=4
            )
        ),
        max_leaves=12,
    ),
    body=st.binary(max_size=16),
)
def test_no_header_gets_an_exception_past_the_check(folder: Path, header: Any, body: bytes) -> None:
    """Whatever the header says, the artefact is taken or refused with a reason; nothing else is raised."""
    reason = taken(folder, "h.safetensors", safetensors_bytes(json.dumps(header), body))
    assert reason in {"", "artefact_malformed"}


@given(content=st.binary(max_size=64))
def test_any_bytes_are_taken_or_refused(folder: Path, content: bytes) -> None:
    """Arbitrary bytes under either name."""
    for name in ("x.json", "x.safetensors"):
        assert taken(folder, name, content) in {"", "artefact_malformed"}


@pytest.mark.parametrize(
    "header",
    [
        '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        '{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}',
        '{"a":{"dtype":"F32","shape":[true],"data_offsets":[0,4]}}',
        '{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}',
        '{"a":{"dtype":"F32","shape":[1e0],"data_offsets":[0,4]}}',
        '{"a":{"dtype":"U8","shape":[2,2],"data_offsets":[0,4.0]}}',
        '{"a":{"dtype":"U8","shape":[' + "4," * 70 + '0],"data_offsets":[0,0]}}',
        "[1]",
    ],
    ids=[
        "overlap",
        "twice",
        "negative",
        "boolean",
        "unknown-type",
        "float-shape",
        "float-offset",
        "many-dimensions",
        "no-object",
    ],
)
def test_headers_that_describe_another_file_are_refused(folder: Path, header: str) -> None:
    """Arrays that overlap, names that appear twice, sizes that are none."""
    assert taken(folder, "t.safetensors", safetensors_bytes(header, bytes(4))) in {"artefact_malformed"}


def test_size_is_capped(folder: Path) -> None:
    """Too large is refused, the exact limit is taken."""
    assert taken(folder, "s.json", b'"1234"', most_bytes=6) == ""
    assert taken(folder, "s.json", b'"12345"', most_bytes=6) == "artefact_too_large"


def test_device_nodes_are_not_even_opened() -> None:
    """A device under the artefact's name is refused by its kind."""
    out = os.open("/dev", os.O_RDONLY)
    try:
        with pytest.raises(ArtefactRefused, match="artefact_not_regular"):
            open_regular(out, "zero", 100)
    finally:
        os.close(out)


@given(st.binary(max_size=300))
def test_claims_from_any_bytes_are_finite_numbers(tail: bytes) -> None:
    """Arbitrary bytes give no exception and nothing but finite numbers."""
    for value in parse_claims(tail).values():
        numbers = value if isinstance(value, list) else [value]
        assert all(type(number) in (int, float) and math.isfinite(number) for number in numbers)


@settings(max_examples=50)
@given(
    st.lists(
        st.dictionaries(
            st.text(max_size=5), st.floats() | st.booleans() | st.text() | st.none() | st.integers()
        )
    )
)
def test_claims_keep_only_numbers(lines: list[dict[str, Any]]) -> None:
    """NaN, infinities, booleans, words and control characters in names are dropped."""
    claims = parse_claims("\n".join(json.dumps(line) for line in lines).encode())
    for name, value in claims.items():
        assert name.isprintable()
        assert isinstance(value, list) or (type(value) in (int, float) and abs(value) <= 1e300)


def test_claims_show_the_last_line_and_a_curve() -> None:
    """The last whole line's numbers, and the losses thinned to at most 200 points ending with the last."""
    lines = [json.dumps({"step": step, "loss": 5 - step / 1000}) for step in range(1000)]
    claims = parse_claims("\n".join([*lines, '{"step": 10']).encode())
    assert claims["step"] == 999
    curve = claims["curve"]
    assert isinstance(curve, list)
    assert len(curve) <= 200
    assert curve[-1] == claims["loss"] == 5 - 0.999


@given(st.text())
def test_escaped_text_moves_no_cursor(text: str) -> None:
    """After escaping there is no control, format, surrogate or line-separator character but newline and tab."""
    assert all(character in "\n\t" or character.isprintable() for character in escaped(text))


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=50))
def test_harmless_text_is_left_alone(text: str) -> None:
    """Letters, digits and signs of any script stay as they are."""
    assert escaped(text) == text


@given(st.lists(st.binary(max_size=40)), st.integers(1, 20))
def test_log_keeps_the_tail_in_bounded_memory(chunks: list[bytes], limit: int) -> None:
    """The last bytes are kept, however they arrive; the total is known."""
    log = LogTail(limit)
    for chunk in chunks:
        log.add(chunk)
        assert len(log._bytes) <= 2 * limit + len(chunk)
    whole = b"".join(chunks)
    assert log.total_bytes == len(whole)
    tail = escaped(whole[-limit:].decode("utf-8", "backslashreplace"))
    assert log.text().endswith(tail)


@given(st.dictionaries(st.text(max_size=6), st.just(b""), max_size=3))
def test_a_tree_that_passes_can_be_written(tree: dict[str, bytes]) -> None:
    """check_tree lets nothing through that leads outside or cannot be created."""
    try:
        check_tree(tree)
    except BadTree:
        return
    for name in tree:
        parts = name.split("/")
        assert not {"", ".", ".."} & set(parts)
        assert "\0" not in name
        assert not any("/".join(parts[:depth]) in tree for depth in range(1, len(parts)))
