"""Answers for the candidate's model, inside a sandbox. Untrusted: the candidate's code shares this process.

    python predictor_host.py CHANNEL_DESCRIPTOR PUBLIC_DATA_FOLDER

Travels into the sandbox beside predictor_wire.py and predictor_memory.py and imports nothing else of ours. It starts
before a candidate is known, when slow imports are over; source and weights then arrive as sealed files.
What it may do (no labels, no network, no training data) is the sandbox's business and the evaluator's, not its own.
"""

import contextlib
import ctypes
import importlib
import importlib.util
import json
import mmap
import os
import resource
import select
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import predictor_memory as memory_of_gpu  # type: ignore[import-not-found] # beside this file, in the sandbox
import predictor_wire as wire  # type: ignore[import-not-found]

_DETAIL_CHARACTERS = 2000
_MOST_FILES = 5
_FLOATS = ("float32", "bfloat16", "float16")
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt
_KEPT_BYTES, _LARGEST_KEPT_BYTES = 1 << 30, 32 << 20  # the second is the most that glibc takes


def main() -> None:
    channel = socket.socket(fileno=int(sys.argv[1]))
    keep_freed_memory()
    warm_device()
    with contextlib.suppress(wire.ChannelClosed):
        wire.send(channel, {"op": "ready"})
        serve(channel, sys.argv[2])


def keep_freed_memory() -> None:
    """A batch lies where the one before did: else every page of its logits is asked for, and zeroed, anew."""
    with contextlib.suppress(AttributeError, OSError):  # not glibc
        libc = ctypes.CDLL(None)
        libc.mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
        libc.mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)


def import_early(names: list[str]) -> None:
    """Packages that are installed. No line of the candidate's is here yet, so this is nobody's time."""
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def warm_device() -> None:
    """What CUDA and cuBLAS do at their first use, where there is a GPU: seconds, and nobody's either."""
    torch = sys.modules.get("torch")
    with contextlib.suppress(Exception):
        if torch and torch.cuda.is_available():
            ones = torch.ones(64, 64, device="cuda", dtype=torch.bfloat16)
            (ones @ ones).sum().item()


def serve(channel: socket.socket, data: str) -> None:
    """Load, then answer until the other side hangs up. A failing model is reported and ends this process.

    helpers: whether it had processes of its own. One may have been ended by somebody else, and its absence be the
    failure: then the score is made once more.
    """
    message, descriptors = wire.receive_with_files(channel, _MOST_FILES)
    if message["op"] == "import":
        import_early(message["modules"])
        warm_device()
        wire.send(channel, {"op": "imported"})
        message, descriptors = wire.receive_with_files(channel, _MOST_FILES)
    try:
        model = load(message, data, *descriptors[:2])
        pinned, device_bytes = bool(message["pinned"]), int(message.get("device_bytes", 0))
        memory = SharedBuffers(channel, descriptors[2:], pinned=pinned, device_bytes=device_bytes)
        wire.send(channel, {"op": "loaded"})
        _answer_all(channel, model, memory)
    except wire.ChannelClosed:
        raise
    except BaseException as error:  # noqa: BLE001 -- whatever the candidate raises, SystemExit too, is told
        detail = "".join(traceback.format_exception(error))[-_DETAIL_CHARACTERS:]
        told = {"op": "failed", "kind": type(error).__name__, "detail": detail, "helpers": had_helpers()}
        wire.send(channel, told)


def had_helpers() -> bool:
    """Whether this process ever started another: one that it has waited for, or one that is still there."""
    if resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss:
        return True
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return True
    return False


def _answer_all(channel: socket.socket, model: Any, memory: "SharedBuffers") -> None:
    """Until the other side hangs up. A question that waits is begun while a GPU is still at the one before."""
    poller = select.poll()
    poller.register(channel, select.POLLIN)
    unsent: Callable[[], None] | None = None
    while True:
        if unsent and not poller.poll(0):
            unsent()
            unsent = None
        question = wire.receive(channel)
        answer = _answer_tokens if question["op"] == "tokens" else _answer_items
        try:
            begun = answer(question, model, memory)
        finally:
            if unsent:
                unsent()
        unsent = begun


def load(message: dict[str, Any], data: str, source: int, artefact: int) -> Any:
    """Write the candidate's files into a private folder, import its entry file, call `load_predictor`."""
    folder = tempfile.mkdtemp(prefix="source")
    with open(source, "rb", closefd=False) as file:
        for name, size in json.loads(file.readline()):
            path = os.path.join(folder, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as target:
                target.write(file.read(size))
    if message["threads"] and "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(message["threads"])
    module = _import_entry(folder, message["entry"])
    return module.load_predictor(f"/proc/self/fd/{artefact}", os.path.abspath(data))


def _import_entry(folder: str, entry: str) -> ModuleType:
    sys.path.insert(0, folder)
    name = os.path.splitext(os.path.basename(entry))[0]
    spec = importlib.util.spec_from_file_location(name, os.path.join(folder, entry))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


class SharedBuffers:
    """Where questions and answers lie: two shared buffers, or packets where there are none.

    With a GPU answers lie in its memory; where that cannot be shared, the buffer's pages are pinned, so that copies
    run at full bus speed.
    """

    def __init__(self, channel: socket.socket, files: list[int], *, pinned: bool, device_bytes: int) -> None:
        """files: of questions, of answers, and with device_bytes of a GPU's memory for answers."""
        self.channel = channel
        self._buffers: list[mmap.mmap] = [wire.mapped(file) for file in files[:2]]
        self._device = _device_memory(files[2], device_bytes) if device_bytes else None
        if pinned and files and not self._device:
            _pin(self._buffers[1])

    def question(self, message: dict[str, Any]) -> bytearray:
        """The question's bytes, our own copy."""
        size = message["bytes"]
        if self._buffers:
            offset = message.get("offset", 0)
            return bytearray(self._buffers[0][offset : offset + size])
        content = bytearray(size)
        wire.receive_bytes(self.channel, memoryview(content))
        return content

    def ready(self, tokens: Any) -> Any:
        """Where a GPU can fetch them without being waited for."""
        return tokens.pin_memory() if self._device else tokens

    def to_device(self, tensor: Any, offset: int) -> Callable[[], None] | None:
        """Copies on the GPU; what is returned waits for it. None where the answer has to cross the bus."""
        if not (self._device and tensor.is_cuda):
            return None
        import torch

        flat = tensor.detach().contiguous().view(-1).view(torch.uint8)
        place = self._device.array_interface(offset, (flat.numel(),), "|u1")
        torch.as_tensor(place, device=flat.device).copy_(flat, non_blocking=True)
        done = torch.cuda.Event()  # type: ignore[no-untyped-call] # torch's own lack
        done.record()
        wait: Callable[[], None] = done.synchronize
        return wait

    def put_tensor(self, tensor: Any, offset: int) -> None:
        import torch

        flat = tensor.detach().contiguous().view(-1)
        if self._buffers:
            room = torch.frombuffer(self._buffers[1], dtype=flat.dtype, count=flat.numel(), offset=offset)
            room.copy_(flat, non_blocking=True)
            if flat.is_cuda:
                torch.cuda.current_stream(flat.device).synchronize()

    def send_tensor(self, tensor: Any) -> None:
        """The packets that follow the answer's message, if memory is not shared."""
        import torch

        if not self._buffers:
            content = tensor.detach().contiguous().view(-1).view(torch.uint8).cpu()
            wire.send_bytes(self.channel, content.numpy().data)

    def put_text(self, text: bytes) -> None:
        if self._buffers:
            self._buffers[1][: len(text)] = text

    def send_text(self, text: bytes) -> None:
        if not self._buffers:
            wire.send_bytes(self.channel, text)


def _device_memory(file: int, size_bytes: int) -> Any:
    try:
        return memory_of_gpu.DeviceMemory(size_bytes, file)
    except memory_of_gpu.DeviceMemoryUnavailable as error:
        print(f"logits cross the bus: {error}", file=sys.stderr)
        return None
    finally:
        os.close(file)


def _pin(buffer: mmap.mmap) -> None:
    import torch

    if torch.cuda.is_available():
        whole = torch.frombuffer(buffer, dtype=torch.uint8)
        torch.cuda.cudart().cudaHostRegister(whole.data_ptr(), whole.numel(), 0)  # type: ignore[no-untyped-call] # torch's own lack


def _answer_tokens(message: dict[str, Any], model: Any, memory: SharedBuffers) -> Callable[[], None] | None:
    """Raw logits in the model's own float type (wider ones as float32); a wrong shape is told without content.

    Returns what sends the answer once a GPU is done, None if it was sent.
    """
    import torch

    flat = torch.frombuffer(memory.question(message), dtype=torch.int32)
    tokens = memory.ready(flat.view(message["rows"], message["length"]).long())
    with torch.inference_mode():
        logits = model(tokens)
        shape, dtype = list(logits.shape), str(logits.dtype).removeprefix("torch.")
        if dtype not in _FLOATS:
            logits, dtype = logits.float(), "float32"
        expected = [message["rows"], message["length"]]
        fits = len(shape) == 3 and shape[:-1] == expected and 0 < shape[-1] <= message["most_classes"]
        answer = {"op": "logits", "shape": shape, "dtype": dtype}
        if fits and (wait := memory.to_device(logits, message["answer_offset"])):

            def send() -> None:
                wait()
                wire.send(memory.channel, {**answer, "on_device": True})

            return send
        if fits:
            memory.put_tensor(logits, message["answer_offset"])
        wire.send(memory.channel, answer)
        if fits:
            memory.send_tensor(logits)
    return None


def _answer_items(message: dict[str, Any], model: Any, memory: SharedBuffers) -> None:
    text = json.dumps(model(json.loads(memory.question(message)))).encode()
    fits = len(text) <= message["most_bytes"]
    if fits:
        memory.put_text(text)
    wire.send(memory.channel, {"op": "items", "bytes": len(text)})
    if fits:
        memory.send_text(text)


if __name__ == "__main__":
    main()
