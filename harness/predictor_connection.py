"""The trusted end of one predictor: questions go out, raw bytes come back, everything is checked.

Two slots of shared memory: while the predictor computes a batch, its previous answer is being used here.
Memory is bounded by these slots. Whatever is wrong with an answer is the candidate's fault (PredictorFault).
"""

import json
import mmap
import os
import socket
from collections import deque
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from harness import predictor_wire as wire
from harness.records import Json

WIRE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_SLOTS = 2


class PredictorFault(Exception):
    """The predictor broke the contract. reason: a stable code "predictor.case" or "audit.case"."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class PredictorLimits:
    """Caps on the predictor's wall-clock time. A batch may take `batch_seconds` + its tokens (or items) * cap."""

    startup_seconds: float = 300.0
    batch_seconds: float = 20.0
    seconds_per_token: float = 0.002
    seconds_per_item: float = 0.5


class Connection:
    """One running predictor. Not reusable after a fault."""

    def __init__(
        self, channel: socket.socket, limits: PredictorLimits, *, question_bytes: int, answer_bytes: int, dtype: str
    ) -> None:
        """question_bytes, answer_bytes: size of one slot. dtype: what logits travel as, see WIRE_BYTES."""
        self._channel, self._limits, self._dtype = channel, limits, dtype
        self.question_bytes, self.answer_bytes = question_bytes, answer_bytes
        self._files = [wire.shared_file(_SLOTS * size) for size in (question_bytes, answer_bytes)]
        self.questions: mmap.mmap = wire.mapped(self._files[0])
        self.answers: mmap.mmap = wire.mapped(self._files[1])
        self._loaded = False
        self._waiting: deque[tuple[int, int, int]] = deque()  # slot, rows, length
        self._slot = 0
        self.classes: int | None = None
        self.rows_sent = 0

    def load(self, message: dict[str, Any], source: int, artefact: int) -> None:
        """Hand over source and artefact (sealed files) and the buffers; the answer is awaited at first use."""
        self._send(message, (source, artefact, *self._files))

    def _send(self, message: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
        try:
            wire.send(self._channel, message, descriptors)
        except wire.ChannelClosed:
            self._receive(1.0)  # it may have said why before it went
            raise PredictorFault("predictor.crashed", "the predictor ended") from None

    def _receive(self, seconds: float) -> dict[str, Any]:
        try:
            message = wire.receive(self._channel, seconds)
        except wire.ChannelClosed:
            raise PredictorFault("predictor.crashed", "the predictor ended without an answer") from None
        except TimeoutError:
            raise PredictorFault("predictor.timeout", f"no answer within {seconds:.0f} s") from None
        except wire.BadMessage as error:
            raise PredictorFault("predictor.bad_message", str(error)) from None
        if message.get("op") == "failed":
            detail = str(message.get("detail", ""))[:4000]
            raise PredictorFault("predictor.crashed", detail or str(message.get("kind", "")))
        return message

    def _await_loaded(self) -> None:
        if not self._loaded:
            if self._receive(self._limits.startup_seconds).get("op") != "loaded":
                _bad("an answer before the model was loaded")
            self._loaded = True

    @property
    def room(self) -> bool:
        """Whether another batch may be sent before an answer is taken."""
        return len(self._waiting) < _SLOTS

    def ask(self, tokens: npt.NDArray[np.int32], most_classes: int) -> None:
        """Send a batch of tokens, int32 [rows, length]."""
        assert self.room
        self._await_loaded()
        rows, length = tokens.shape
        offset, answer_offset = self._slot * self.question_bytes, self._slot * self.answer_bytes
        content = np.ascontiguousarray(tokens).tobytes()
        assert len(content) <= self.question_bytes
        self.questions[offset : offset + len(content)] = content
        places = {"offset": offset, "answer_offset": answer_offset, "dtype": self._dtype}
        self._send({"op": "tokens", "rows": rows, "length": length, "most_classes": most_classes, **places})
        self._waiting.append((answer_offset, rows, length))
        self._slot = (self._slot + 1) % _SLOTS
        self.rows_sent += rows

    def logits(self, most_classes: int) -> tuple[memoryview, tuple[int, int, int]]:
        """Bytes of the oldest batch's logits and their shape [rows, length, classes].

        The bytes are shared: the other side can still change them, so copy before use. Raises PredictorFault.
        """
        answer_offset, rows, length = self._waiting.popleft()
        cap = self._limits.batch_seconds + rows * length * self._limits.seconds_per_token
        message = self._receive(cap * (1 + len(self._waiting)))
        shape = message.get("shape")
        if message.get("op") != "logits" or not _is_shape(shape):
            _bad("expected logits")
        assert isinstance(shape, list)
        if shape[:-1] != [rows, length]:
            raise PredictorFault("predictor.shape", f"logits {shape} for tokens {[rows, length]}")
        classes = shape[-1]
        if self.classes is None:
            self.classes = classes
        if classes != self.classes or classes > most_classes:
            raise PredictorFault("predictor.shape", f"{classes} classes, at most {most_classes} and never changing")
        size = rows * length * classes * WIRE_BYTES[self._dtype]
        return memoryview(self.answers)[answer_offset : answer_offset + size], (rows, length, classes)

    def items(self, items: list[Json]) -> list[Json]:
        """The answers to a batch of items, in order. Raises PredictorFault."""
        self._await_loaded()
        content = json.dumps(items).encode()
        if len(content) > self.question_bytes:
            raise ValueError(f"a batch of items takes {len(content)} bytes, more than {self.question_bytes}")
        self.questions[: len(content)] = content
        self._send({"op": "items", "bytes": len(content)})
        message = self._receive(self._limits.batch_seconds + len(items) * self._limits.seconds_per_item)
        size = message.get("bytes")
        if message.get("op") != "items" or type(size) is not int or not 0 <= size <= len(self.answers):
            _bad("expected items")
        try:
            answers = json.loads(self.answers[:size], parse_constant=_no_constant)
        except (ValueError, RecursionError):
            _bad("an answer is not JSON, or not finite")
        if not isinstance(answers, list) or len(answers) != len(items):
            raise PredictorFault("predictor.shape", f"expected a list of {len(items)} answers")
        return answers

    def close(self) -> None:
        """Hang up; the predictor ends."""
        self._channel.close()
        for buffer in (self.questions, self.answers):
            try:
                buffer.close()
            except BufferError:
                continue  # a caller still holds a view of an answer: freed with it
        while self._files:
            os.close(self._files.pop())


def _is_shape(shape: object) -> bool:
    return isinstance(shape, list) and len(shape) == 3 and all(type(size) is int and size > 0 for size in shape)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not allowed")


def _bad(detail: str) -> NoReturn:
    raise PredictorFault("predictor.bad_message", detail)
