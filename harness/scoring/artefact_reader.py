"""Reads an artefact that is data: a JSON value, or named arrays. It is the candidate's, so nothing is believed."""

import mmap
import os
from typing import Any

import numpy as np
import numpy.typing as npt

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
_MOST_HEADER_BYTES = 16 << 20


class BadArtefact(Exception):
    """Not what its name says; one line."""


def read_artefact(name: str, descriptor: int) -> Any:
    """The artefact behind an open file: arrays by name for *.safetensors, else the JSON value.

    Raises BadArtefact. JSON is bounded and holds finite numbers of 64 bits (strict_json); arrays may hold NaN.
    """
    size = os.fstat(descriptor).st_size
    if not size:
        raise BadArtefact("it is empty")
    content = memoryview(mmap.mmap(descriptor, size, access=mmap.ACCESS_READ))
    return _arrays(content) if name.endswith(".safetensors") else _json(bytes(content))


def _json(content: bytes) -> Any:
    try:
        return parsed(content)
    except NotStrictJson as error:
        raise BadArtefact(f"not JSON as it must be: {error}") from None


def _arrays(content: memoryview) -> dict[str, npt.NDArray[Any]]:
    header_bytes = int.from_bytes(content[:8], "little") if len(content) >= 8 else 0
    if not 2 <= header_bytes <= min(len(content) - 8, _MOST_HEADER_BYTES):
        raise BadArtefact("not a safetensors file")
    header: Any = _json(bytes(content[8 : 8 + header_bytes]))
    if not isinstance(header, dict):
        raise BadArtefact("the safetensors header is not an object")
    header.pop("__metadata__", None)
    try:
        return {name: _array(about, content[8 + header_bytes :]) for name, about in header.items()}
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        raise BadArtefact(f"a damaged safetensors file: {error}") from None


def _array(about: dict[str, Any], body: memoryview) -> npt.NDArray[Any]:
    """A copy of one array; bfloat16 becomes float32."""
    start, end = about["data_offsets"]
    if not (type(start) is int and type(end) is int and 0 <= start <= end <= len(body)):
        raise ValueError("an array lies outside the file")
    shape = about["shape"]
    if not all(type(side) is int and side >= 0 for side in shape):
        raise ValueError("a negative shape")
    if about["dtype"] == "BF16":
        wide = np.frombuffer(body[start:end], np.uint16).astype(np.uint32) << np.uint32(16)
        return wide.view(np.float32).reshape(shape)
    return np.frombuffer(body[start:end], _TYPES[about["dtype"]]).reshape(shape).copy()
