"""The tail of what an untrusted program printed: bounded in memory, harmless on a terminal."""

import unicodedata

_ROOM = 2  # times the limit, before the front is cut off


class LogTail:
    """Keeps the last `limit` bytes."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._bytes = bytearray()
        self.total_bytes = 0

    def add(self, chunk: bytes) -> None:
        self.total_bytes += len(chunk)
        self._bytes += chunk
        if len(self._bytes) > _ROOM * self._limit:
            del self._bytes[: -self._limit]

    def last(self, most_bytes: int) -> str:
        """The very end as it was printed, for programs: it may move cursors."""
        return bytes(self._bytes[-most_bytes:]).decode("utf-8", "replace")

    def text(self) -> str:
        """Escaped; says how much was cut off."""
        tail = bytes(self._bytes[-self._limit :])
        cut = self.total_bytes - len(tail)
        return (f"[{cut} bytes cut off]\n" if cut else "") + escaped(tail.decode("utf-8", "backslashreplace"))


def escaped(text: str) -> str:
    """Nothing that moves a cursor, colours, overwrites or reorders: such characters become visible escapes."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if _harmless(character) else ascii(character)[1:-1] for character in text)


def _harmless(character: str) -> bool:
    return character in "\n\t" or unicodedata.category(character)[0] not in "CZ" or character == " "
