"""Files from the open internet with pinned content: fetched once, whole or not at all."""

import hashlib
import http.client
import os
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHUNK_BYTES = 1 << 20
SHOWN_BYTES = 32 << 20  # larger files show how far they have got
PATIENCE_SECONDS = 60  # without a byte


@dataclass(frozen=True)
class Pinned:
    """name: of the file in the folder of downloads, where people may put it by hand."""

    name: str
    address: str
    sha256: str


def downloads() -> Path:
    folder = Path(os.environ.get("HARNESS_CACHE") or Path.home() / ".cache" / "harness") / "downloads"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def has_digest(path: Path, sha256: str) -> bool:
    return path.is_file() and digest(path) == sha256


def fetched(file: Pinned, profile: str, other: str = "cpu") -> Path:
    """The file with its pinned content, from the folder of downloads or now. SystemExit says in one line what to do.

    It gets its name when it is whole and right: what a broken connection or a kill leaves has another one.
    """
    path = downloads() / file.name
    if has_digest(path, file.sha256):
        return path
    part = path.with_name(f".{file.name}.{os.getpid()}.part")
    advice = f"put the file into {path.parent} as {file.name}, or use the profile {other}"
    try:
        with part.open("wb") as target:
            for chunk in chunks(file):
                target.write(chunk)
        if (found := digest(part)) != file.sha256:
            raise SystemExit(
                f"profile {profile} needs {file.address}, which has another content than the pinned one"
                f" (SHA-256 {found}, not {file.sha256}): {advice}"
            )
        part.replace(path)
    except (OSError, http.client.HTTPException) as error:
        there = f" ({path} has another content than the pinned one)" if path.exists() else ""
        raise SystemExit(
            f"profile {profile} needs {file.address}, which cannot be fetched ({error}){there}: {advice}"
        ) from None
    finally:
        part.unlink(missing_ok=True)
    return path


def chunks(file: Pinned) -> Iterator[bytes]:
    """The bytes behind an address; every tenth of a large file is told. OSError if there are fewer than promised."""
    with urllib.request.urlopen(file.address, timeout=PATIENCE_SECONDS) as answer:
        promised = int(answer.headers.get("Content-Length") or 0)
        done = tenths = 0
        while chunk := answer.read(CHUNK_BYTES):
            yield chunk
            done += len(chunk)
            if promised >= SHOWN_BYTES and done * 10 // promised > tenths:
                tenths = done * 10 // promised
                print(f"{file.name}: {done / 1e6:.0f} of {promised / 1e6:.0f} MB", flush=True)
        if done < promised:
            raise OSError(f"the connection ended after {done} of {promised} bytes")
