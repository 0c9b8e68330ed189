"""safetensors files that no library would write."""

import json
import struct


def safetensors_bytes(header: object, body: bytes) -> bytes:
    """header: a value, or the JSON text itself."""
    text = header.encode() if isinstance(header, str) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body
