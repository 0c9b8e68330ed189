"""A pickled vocabulary as JSON. The pickle is opened in a sandbox only: unpickling runs what it says."""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.records import Json, Limits
from harness.sandbox.open import Command, Sandbox

NAMES = ("tokenizer.pkl", "tokenizer.pickle", "encoding.pkl")
_SECONDS = 120.0
_MOST_BYTES = 64 << 20
_EXPORT = """\
import json, os, pickle, sys
with open(os.path.join(sys.argv[1], "tokenizer.pkl"), "rb") as file:
    found = pickle.load(file)
encoding = getattr(found, "enc", found)
pieces = encoding._mergeable_ranks.items()
content = {
    "pattern": encoding._pat_str,
    "ranks": [[piece.hex(), rank] for rank, piece in sorted((rank, piece) for piece, rank in pieces)],
    "special": dict(encoding._special_tokens),
}
with open(os.path.join(sys.argv[2], "tokenizer.json"), "w") as file:
    json.dump(content, file)
"""


def exported(folder: Path, sandbox: Sandbox) -> dict[str, Json]:
    """pattern, ranks [[bytes in hex, rank], ...] and special {name: rank} of the vocabulary in a folder.

    Raises UserError, one line, for a folder without a pickled tiktoken Encoding.
    """
    file = next((folder / name for name in NAMES if (folder / name).is_file()), None)
    if file is None:
        raise UserError(
            f"{folder} has no {NAMES[0]}: run the checkout's own prepare.py once, it makes the vocabulary"
        )
    with tempfile.TemporaryDirectory(prefix="vocabulary-") as place:
        public = Path(place)
        public.chmod(0o755)
        shutil.copyfile(file, public / "tokenizer.pkl")
        content, log = _run(public, sandbox)
    try:
        return _checked(json.loads(content))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        words = " ".join(log.split())[-200:]
        raise UserError(
            f"{file} is no pickled tiktoken Encoding, which is what autoresearch writes: {words}"
        ) from None


def odd_pieces(content: Mapping[str, Json]) -> int:
    """How many pieces have another number of bytes once they are decoded and encoded: those that are no whole UTF-8."""
    ranks = content["ranks"]
    assert isinstance(ranks, list)
    pieces = (bytes.fromhex(str(entry[0])) for entry in ranks if isinstance(entry, list))
    return sum(len(piece.decode(errors="replace").encode()) != len(piece) for piece in pieces)


def _run(public: Path, sandbox: Sandbox) -> tuple[bytes, str]:
    command = Command(
        script="export.py",
        arguments=("{data}", "{out}"),
        tree={"export.py": _EXPORT.encode()},
        public=public,
        limits=Limits(memory_bytes=4 << 30, processes=16, out_bytes=_MOST_BYTES, artefact_bytes=_MOST_BYTES),
    )
    with sandbox.start(command) as process:
        process.wait(_SECONDS)
        process.kill()
        assert process.out is not None
        try:
            descriptor = os.open(
                "tokenizer.json", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=process.out
            )
        except OSError:
            return b"", process.log
        with open(descriptor, "rb") as file:
            return file.read(_MOST_BYTES), process.log


def _checked(found: Any) -> dict[str, Json]:
    """Raises ValueError and the like for what is no vocabulary."""
    pattern, ranks, special = found["pattern"], found["ranks"], found["special"]
    pieces = {bytes.fromhex(piece): int(rank) for piece, rank in ranks}
    names = {str(name): int(rank) for name, rank in special.items()}
    if not isinstance(pattern, str) or not pieces or len(pieces) != len(ranks):
        raise ValueError("no pattern, no pieces, or a piece twice")
    if sorted([*pieces.values(), *names.values()]) != list(range(len(pieces) + len(names))):
        raise ValueError("ranks are not 0 to n")
    return {
        "pattern": pattern,
        "ranks": [[piece.hex(), rank] for piece, rank in pieces.items()],
        "special": dict(names),
    }
