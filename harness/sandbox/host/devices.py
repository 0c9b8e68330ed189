"""The one GPU of a trial: its device nodes, the driver's libraries, and the variables that name them."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import UserError

_CONTROL_NODES = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools")
_SYSTEM_LIBRARIES = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib")
_OTHER_LIBRARIES = ("/usr/local/nvidia/lib64", "/usr/lib/wsl/lib")
_DEV, _CARDS = (
    Path("/dev"),
    Path("/proc/driver/nvidia/gpus"),
)  # the latter: a folder a card, by its place on the bus


@dataclass(frozen=True, slots=True)
class Devices:
    nodes: tuple[str, ...] = ()
    readable: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)


def visible_gpus() -> list[str]:
    """Device nodes of the GPUs that this machine or container has: /dev/nvidia0, ...

    By their places on the bus, as nvidia-smi counts them; a node's own number may be another.
    """
    nodes = [str(path) for path in _DEV.glob("nvidia[0-9]*") if re.fullmatch(r"nvidia\d+", path.name)]
    places = {minor: place for place, minor, _ in _cards()}
    return sorted(nodes, key=lambda node: (places.get(_minor(node), "~"), int(_minor(node))))


def permitted_gpus() -> list[int]:
    """Indices among the visible ones that CUDA_VISIBLE_DEVICES leaves to us, in its order; all without it.

    As CUDA reads it: what follows a word that names none of them does not count, and the beginning of a name will do.
    """
    nodes, said = visible_gpus(), os.environ.get("CUDA_VISIBLE_DEVICES")
    if said is None:
        return list(range(len(nodes)))
    names = [_unique_name(node) for node in nodes]
    found = []
    for word in filter(None, (word.strip() for word in said.split(","))):
        index = int(word) if word.isdigit() else _named(word, names)
        if index is None or index >= len(nodes):
            break
        found.append(index)
    return found


def _named(word: str, names: list[str]) -> int | None:
    """The only one of the names that begins so."""
    found = [index for index, name in enumerate(names) if word.startswith("GPU-") and name.startswith(word)]
    return found[0] if len(found) == 1 else None


def why_none() -> str:
    """Why `permitted_gpus` is empty, and what to look at."""
    if "MIG-" in os.environ.get("CUDA_VISIBLE_DEVICES", ""):
        return "CUDA_VISIBLE_DEVICES names a slice of a card (MIG), and trials get whole cards: name a card, GPU-..."
    return "this machine shows none (see nvidia-smi and CUDA_VISIBLE_DEVICES)"


def devices(gpu: int | None) -> Devices:
    """What the `gpu`-th visible GPU needs; nothing for None. Raises UserError when there is no such GPU."""
    if gpu is None:
        return Devices()
    gpus = visible_gpus()
    if gpu >= len(gpus):
        raise UserError(f"gpu={gpu}: this machine shows {len(gpus)} NVIDIA GPUs")
    nodes = [gpus[gpu], *(node for node in _CONTROL_NODES if os.path.exists(node))]
    nodes += [str(path) for path in Path("/dev/nvidia-caps").glob("*")]
    environment = {}
    if name := _unique_name(gpus[gpu]):
        environment["CUDA_VISIBLE_DEVICES"] = name
    folder = _driver_folder()
    if folder:
        environment["LD_LIBRARY_PATH"] = folder
    return Devices(tuple(nodes), (folder,) if folder else (), environment)


def outside(gpu: int | None) -> dict[str, str]:
    """Variables for a process of ours on that GPU. It is in no sandbox and sees the other cards, too."""
    if gpu is None:
        return {}
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": str(gpu), **devices(gpu).environment}


def _unique_name(node: str) -> str:
    """The GPU's UUID, which means the same card however many others the driver can see; "" if not told."""
    names = [name for _, minor, name in _cards() if minor == _minor(node)]
    return names[0] if names and re.fullmatch(r"GPU-[0-9a-f-]{36}", names[0]) else ""


def _minor(node: str) -> str:
    return os.path.basename(node).removeprefix("nvidia")


def _cards() -> list[tuple[str, str, str]]:
    """What the driver says of each card: its place on the bus, the number of its node, its UUID."""
    found = []
    for file in sorted(_CARDS.glob("*/information")):
        facts: dict[str, str] = dict(re.findall(r"^([^:\n]+):\s*(.+)$", file.read_text(), re.MULTILINE))
        minor, name = (facts.get(key, "").strip() for key in ("Device Minor", "GPU UUID"))
        found.append((file.parent.name, minor, name))
    return found


def _driver_folder() -> str:
    """Where libcuda.so.1 is when it is not among the system's libraries (as in many rented containers)."""
    if any(os.path.exists(f"{folder}/libcuda.so.1") for folder in _SYSTEM_LIBRARIES):
        return ""
    named = [path for path in os.environ.get("LD_LIBRARY_PATH", "").split(":") if path.startswith("/")]
    for folder in (*named, *_OTHER_LIBRARIES):
        if os.path.exists(f"{folder}/libcuda.so.1"):
            return os.path.normpath(folder)
    return ""
