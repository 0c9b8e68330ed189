"""The plan that the referee hands to the launcher: one JSON object on standard input.

A named tuple, not a dataclass: importing `dataclasses` would be a tenth of the launcher's start-up.
"""

import binascii
import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple


class Plan(NamedTuple):
    """Everything the launcher does, decided beforehand by the referee.

    level: 3, 2, 1 or 0, see harness.records.Level.
    uid: become this user and group, or None to stay who we are.
    folder: where tree, data, out and tmp lie; inside the new root at levels 2 and 3.
    tree: file name -> base64 of its bytes.
    readable: folders of the machine that stay visible, read-only, at their own paths.
    concealed: paths inside those folders that must not be seen (levels 2 and 3).
    linked: folders of links to make, by name -> what is in them (level 1).
    device_nodes: nodes under /dev that are bound besides the harmless ones.
    public: the referee's folder of public data, "" for none; its child `hidden` is left out.
    most_files: in tmp, in shm and in out, each (level 1 and below: in tmp and out together).
    memory_bytes: more than this, and everything is killed.
    keep_capabilities: bit mask, for reading an interpreter that other users cannot reach (level 1 only).
    rlimits: resource number -> limit.
    landlock: the version of Landlock to use (level 1).
    packages: folders of libraries on the path, as `argv` has them.
    prelude: a file that is run before the program, "" for none (only where `warm`; else `argv` says it).
    warm: the program is to go on in this interpreter, see warm.py.
    cores: of the processor, where they are not inherited; () for what is.
    loopback: bring up the network's own loopback and let the program use it, and nothing else of a network.
    control, kept, caches: descriptors: control socket, what the program inherits, packed files that are written into
    its folder of caches, the later ones over the earlier.
    """

    level: int
    argv: Sequence[str]
    environment: dict[str, str]
    folder: str
    tree: dict[str, str]
    uid: int | None = None
    readable: Sequence[str] = ()
    concealed: Sequence[str] = ()
    linked: Mapping[str, Sequence[str]] = MappingProxyType({})
    device_nodes: Sequence[str] = ()
    public: str = ""
    hidden: str = "train"
    out_bytes: int = 1 << 30
    temporary_bytes: int = 1 << 30
    most_files: int = 65536
    memory_bytes: int = 8 << 30
    keep_capabilities: int = 0
    rlimits: Mapping[str, int] = MappingProxyType({})
    landlock: int = 0
    packages: Sequence[str] = ()
    prelude: str = ""
    warm: bool = False
    cores: Sequence[int] = ()
    loopback: bool = False
    control: int = -1
    kept: Sequence[int] = ()
    caches: Sequence[int] = ()
    sample_seconds: float = 0.05

    def to_json(self) -> bytes:
        return json.dumps(self._asdict()).encode()

    def place(self, name: str) -> str:
        return f"{self.folder}/{name}"


def read_plan(text: bytes) -> Plan:
    return Plan(**json.loads(text))


def encode_tree(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: binascii.b2a_base64(content, newline=False).decode() for name, content in files.items()}
