"""What a sweep writes down about its arms, and what a later call of the same command learns from it."""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FILE_NAME = "sweep.jsonl"


class Record:
    """Append-only JSON lines beside the arms' folders. A torn last line (kill) is passed over."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / FILE_NAME
        self.rows = read(folder)

    def add(self, kind: str, **values: Any) -> None:
        """On the disk when this returns."""
        row = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "kind": kind, **values}
        with self._file.open("ab") as stream:
            if stream.tell() and not self._ends_whole():
                stream.write(b"\n")
            stream.write(json.dumps(row).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        self.rows.append(row)

    def _ends_whole(self) -> bool:
        with self._file.open("rb") as stream:
            stream.seek(-1, os.SEEK_END)
            return stream.read(1) == b"\n"

    def ended(self) -> dict[str, Mapping[str, Any]]:
        """Arm -> the row of its end. Interrupted arms have none."""
        return {str(row["arm"]): row for row in self.rows if row.get("kind") == "arm_ended"}

    def gpus(self) -> dict[str, int]:
        """Arm -> the GPU that it was started on: it stays there when it is resumed."""
        started = [
            row for row in self.rows if row.get("kind") == "arm_started" and row.get("gpu") is not None
        ]
        return {str(row["arm"]): int(row["gpu"]) for row in started}


def read(folder: Path) -> list[dict[str, Any]]:
    """All whole rows, [] without a record."""
    try:
        lines = (folder / FILE_NAME).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    rows = []
    for line in lines:
        try:
            rows.append(json.loads(line))
        except (ValueError, RecursionError):
            continue
    return [row for row in rows if isinstance(row, dict)]
