"""The header of a safetensors file that an untrusted program wrote: eight bytes of length, JSON, then the arrays.

Read here alone, whether the file is taken from a trial or its arrays are looked at. Standard library only.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from harness.sandbox.strict_json import parsed

MOST_HEADER_BYTES = 16 << 20
_LENGTH_BYTES = 8
_MOST_DIMENSIONS = 64
_ITEM_BYTES = {
    "F64": 8, "I64": 8, "U64": 8, "C64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2,
    "U16": 2, "I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1,
}  # fmt: skip


class ArrayPlace(NamedTuple):
    """Where an array lies: bytes start..end of the file; dtype in the format's own words."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def arrays_in(read: Callable[[int], bytes], file_bytes: int) -> dict[str, ArrayPlace]:
    """By name, in the order of their bytes. read: the next so many bytes of the file, from its beginning.

    Every byte after the header belongs to exactly one array. Raises ValueError with what is wrong otherwise.
    """
    header_bytes = int.from_bytes(read(_LENGTH_BYTES), "little")
    if file_bytes < _LENGTH_BYTES or not 2 <= header_bytes <= min(
        file_bytes - _LENGTH_BYTES, MOST_HEADER_BYTES
    ):
        raise ValueError("no safetensors header")
    header: Any = parsed(read(header_bytes))
    if not isinstance(header, dict):
        raise ValueError("the safetensors header is not an object")
    header.pop("__metadata__", None)
    try:
        return _places(header, _LENGTH_BYTES + header_bytes, file_bytes)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"safetensors header: {error}") from None


def _places(header: dict[str, Any], body: int, file_bytes: int) -> dict[str, ArrayPlace]:
    """Raises ValueError and what a wrong type raises."""
    found, end = {}, body
    for name, about in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        start, stop = about["data_offsets"]
        if type(start) is not int or type(stop) is not int:
            raise ValueError("offsets that are no whole numbers")
        shape = tuple(about["shape"])
        if body + start != end or stop - start != _bytes_of(about["dtype"], shape, file_bytes):
            raise ValueError("arrays that overlap, leave gaps or have another size than they say")
        end = body + stop
        found[name] = ArrayPlace(about["dtype"], shape, body + start, end)
    if end != file_bytes:
        raise ValueError(f"{file_bytes - body} bytes of arrays where {end - body} are described")
    return found


def _bytes_of(dtype: str, shape: tuple[Any, ...], most: int) -> int:
    if len(shape) > _MOST_DIMENSIONS:
        raise ValueError("too many dimensions")
    size = _ITEM_BYTES[dtype]
    for side in shape:
        if type(side) is not int or not 0 <= side <= most:
            raise ValueError("a shape that cannot be")
        size *= side
    return size
