"""Reads an artefact that is data: a JSON value, or named arrays. It is the candidate's, so nothing is believed."""

import mmap
import os
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.sandbox.safetensors_header import ArrayPlace, arrays_in
from harness.sandbox.strict_json import NotStrictJson, parsed

_TYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U8": np.uint8,
    "U16": np.uint16,
    "U32": np.uint32,
    "U64": np.uint64,
    "BOOL": np.bool_,
}


class BadArtefact(Exception):
    """Not what its name says; one line."""


def read_artefact(name: str, descriptor: int) -> Any:
    """The artefact behind an open file: arrays by name for *.safetensors, else the JSON value.

    Raises BadArtefact. JSON is bounded and holds finite numbers of 64 bits (strict_json); arrays may hold NaN.
    """
    size = os.fstat(descriptor).st_size
    if not size:
        raise BadArtefact("it is empty")
    content = mmap.mmap(descriptor, size, access=mmap.ACCESS_READ)
    return _arrays(content) if name.endswith(".safetensors") else _json(content.read())


def _json(content: bytes) -> Any:
    try:
        return parsed(content)
    except NotStrictJson as error:
        raise BadArtefact(f"not JSON as it must be: {error}") from None


def _arrays(content: mmap.mmap) -> dict[str, npt.NDArray[Any]]:
    try:
        places = arrays_in(content.read, len(content))
        return {name: _array(place, memoryview(content)) for name, place in places.items()}
    except (ValueError, KeyError, OverflowError) as error:
        raise BadArtefact(f"a damaged safetensors file: {error}") from None


def _array(place: ArrayPlace, content: memoryview) -> npt.NDArray[Any]:
    """A copy of one array; bfloat16 becomes float32."""
    body = content[place.start : place.end]
    if place.dtype == "BF16":
        wide = np.frombuffer(body, np.uint16).astype(np.uint32) << np.uint32(16)
        return wide.view(np.float32).reshape(place.shape)
    return np.frombuffer(body, _TYPES[place.dtype]).reshape(place.shape).copy()
