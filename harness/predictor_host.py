"""Answers for the candidate's model, inside a sandbox. Untrusted: the candidate's code shares this process.

    python predictor_host.py CHANNEL_DESCRIPTOR [MODULE_TO_IMPORT_EARLY ...]

Travels into the sandbox beside predictor_wire.py and imports nothing else of ours. It starts before a candidate
is known, so that slow imports are over when one is; source and weights then arrive as sealed files.
What it may do (no labels, no network, no training data) is the sandbox's business and the evaluator's, not its own.
"""

import contextlib
import importlib
import importlib.util
import json
import mmap
import os
import socket
import sys
import tempfile
import traceback
from types import ModuleType
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import predictor_wire as wire  # type: ignore[import-not-found] # beside this file, in the sandbox

_DETAIL_CHARACTERS = 2000


def main() -> None:
    channel = socket.socket(fileno=int(sys.argv[1]))
    for name in sys.argv[2:]:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    with contextlib.suppress(wire.ChannelClosed):
        serve(channel)


def serve(channel: socket.socket) -> None:
    """Load, then answer until the other side hangs up. A failing model is reported and ends this process."""
    message, descriptors = wire.receive_with_files(channel, 4)
    try:
        model = load(message, *descriptors[:2])
        memory = SharedMemory(descriptors[2], descriptors[3], pinned=bool(message["pinned"]))
        wire.send(channel, {"op": "loaded"})
        while True:
            wire.send(channel, answer(wire.receive(channel), model, memory))
    except wire.ChannelClosed:
        raise
    except BaseException as error:  # noqa: BLE001 -- whatever the candidate raises, SystemExit too, is told
        detail = "".join(traceback.format_exception(error))[-_DETAIL_CHARACTERS:]
        wire.send(channel, {"op": "failed", "kind": type(error).__name__, "detail": detail})


def load(message: dict[str, Any], source: int, artefact: int) -> Any:
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
    return module.load_predictor(f"/proc/self/fd/{artefact}", os.path.abspath(message["data"]))


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


class SharedMemory:
    """The two buffers. With a GPU the answers' pages are pinned, so that copies run at full bus speed."""

    def __init__(self, questions: int, answers: int, *, pinned: bool) -> None:
        self.questions: mmap.mmap = wire.mapped(questions)
        self.answers: mmap.mmap = wire.mapped(answers)
        self._pinned = pinned

    def tokens(self, offset: int, rows: int, length: int) -> Any:
        """int64 tensor [rows, length]."""
        import torch

        flat = torch.frombuffer(self.questions, dtype=torch.int32, count=rows * length, offset=offset)
        return flat.view(rows, length).long()

    def put(self, logits: Any, offset: int, dtype: str) -> None:
        import torch

        if self._pinned:
            self._pin()
        room = torch.frombuffer(self.answers, dtype=getattr(torch, dtype), count=logits.numel(), offset=offset)
        room.view(logits.shape).copy_(logits, non_blocking=True)
        if logits.is_cuda:
            torch.cuda.current_stream(logits.device).synchronize()

    def _pin(self) -> None:
        import torch

        whole = torch.frombuffer(self.answers, dtype=torch.uint8)
        if torch.cuda.is_available():
            torch.cuda.cudart().cudaHostRegister(whole.data_ptr(), whole.numel(), 0)
        self._pinned = False


def answer(message: dict[str, Any], model: Any, memory: SharedMemory) -> dict[str, Any]:
    """One question, one answer."""
    if message["op"] == "tokens":
        return _answer_tokens(message, model, memory)
    items = json.loads(memory.questions[: message["bytes"]])
    text = json.dumps(model(items)).encode()
    if len(text) > len(memory.answers):
        return {"op": "failed", "kind": "TooLong", "detail": f"an answer of {len(text)} bytes"}
    memory.answers[: len(text)] = text
    return {"op": "items", "bytes": len(text)}


def _answer_tokens(message: dict[str, Any], model: Any, memory: SharedMemory) -> dict[str, Any]:
    import torch

    with torch.inference_mode():
        logits = model(memory.tokens(message["offset"], message["rows"], message["length"]))
        shape = list(logits.shape)
        expected = [message["rows"], message["length"]]
        if shape[:-1] == expected and shape[-1] <= message["most_classes"]:
            memory.put(logits, message["answer_offset"], message["dtype"])
    return {"op": "logits", "shape": shape}


if __name__ == "__main__":
    main()
