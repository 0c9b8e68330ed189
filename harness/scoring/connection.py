"""The trusted end of one predictor: questions go out, raw bytes come back, everything is checked.

Slots of shared memory: while the predictor computes a batch, its previous answer is being used here. On a GPU they
lie in its own memory, so that logits never cross the bus; an answer says where it is, as a predictor may not be able
to reach them there. Memory is bounded by these slots. Where memory cannot be shared, the bytes travel as packets, one
batch at a time. Whatever is wrong with an answer is the candidate's fault (PredictorFault).
"""

import contextlib
import json
import mmap
import os
import socket
import time
from collections import deque
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from harness.records import Json
from harness.sandbox import wire
from harness.sandbox.device_memory import DeviceArray, DeviceMemory
from harness.sandbox.strict_json import NotStrictJson, parsed
from harness.scoring.inference import Allowance, AnswerMeter
from harness.scoring.limits import PredictorLimits
from harness.scoring.reasons import PredictorFault

WIRE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_LARGEST_BYTES = 4
_SLOTS, _SLOTS_ON_DEVICE = 2, 3  # two processes take turns on a GPU: one batch more bridges a turn
_LOOK_SECONDS = 0.25  # between two looks at what a predictor has used while it lets us wait
IDLE_FACTOR, IDLE_SECONDS = 10.0, 60.0  # most waiting, in times of the work that is allowed, as in a trial
_VALUE_BYTES = 16  # of text, on average, that a value of an answer takes at least


class Connection:
    """One running predictor. Not reusable after a fault."""

    def __init__(
        self,
        channel: socket.socket,
        limits: PredictorLimits,
        *,
        question_bytes: int,
        answer_bytes: int,
        shared: bool = True,
        meter: AnswerMeter | None = None,
        allowed: Allowance | None = None,
        device: DeviceMemory | None = None,
    ) -> None:
        """question_bytes, answer_bytes: size of one slot. shared: memory is shared, else packets are sent.

        meter: of the predictor's time, where that is billed. allowed: of that time; it bounds how long one that sleeps
        may keep us waiting, too. device: `slots_on_device(answer_bytes)` of memory on a GPU, for answers; ours from
        now on.
        """
        self._channel, self._limits, self._meter = channel, limits, meter
        self.question_bytes, self.answer_bytes = question_bytes, answer_bytes
        self._files: list[int] = []
        self._buffers: list[mmap.mmap] = []
        self._device, self._slots = device if shared else None, _SLOTS_ON_DEVICE if device else _SLOTS
        if shared:
            self._files = [wire.shared_file(self._slots * size) for size in (question_bytes, answer_bytes)]
            self._buffers = [wire.mapped(file) for file in self._files]
        self._loaded = False
        self._waiting: deque[tuple[int, int, int]] = deque()  # answer's offset, rows, length
        self._slot = 0
        self._seconds_left, self._allowed = limits.seconds_in_all, allowed
        self._questions = 0
        self.classes: int | None = None
        self.dtype: str | None = None
        self.questions_sent = 0

    def load(self, message: dict[str, Any], source: int, artefact: int) -> None:
        """Hand over source and artefact (sealed files) and the buffers; the answer is awaited at first use."""
        if self._meter:
            self._meter.start()
        told, files = {**message, "op": "load"}, [source, artefact, *self._files]
        with contextlib.ExitStack() as stack:
            if self._device:
                files.append(self._device.export())
                stack.callback(os.close, files[-1])
                told["device_bytes"] = self._device.size_bytes
            self._send(told, tuple(files))

    def _send(
        self, message: dict[str, Any], descriptors: tuple[int, ...] = (), content: bytes | None = None
    ) -> None:
        try:
            wire.send(self._channel, message, descriptors)
            if content is not None and not self._buffers:
                wire.send_bytes(self._channel, content)
        except wire.ChannelClosed:
            self._receive(1.0)  # it may have said why before it went
            raise PredictorFault("predictor.crashed", "the predictor ended", struck=None) from None

    def _receive(self, seconds: float) -> dict[str, Any]:
        start = time.monotonic()
        allowed = min(seconds, max(self._patience(), 0.001))
        try:
            message = self._receive_within(allowed)
        except wire.ChannelClosed:
            text = "the predictor ended without an answer"
            raise PredictorFault("predictor.crashed", text, struck=None) from None
        except TimeoutError:
            raise PredictorFault("predictor.timeout", f"no answer within {allowed:.0f} s") from None
        except wire.BadMessage as error:
            raise PredictorFault("predictor.bad_message", str(error)) from None
        finally:
            self._seconds_left -= time.monotonic() - start
        if message.get("op") == "failed":
            self._fail(message)
        return message

    def _patience(self) -> float:
        """Seconds of waiting that are left: where CPU time is billed, who sleeps uses none of it."""
        if self._allowed is None:
            return self._seconds_left
        work = self._allowed.load_seconds + self._allowed.answer_seconds(self._questions)
        waited = self._limits.seconds_in_all - self._seconds_left
        return min(self._seconds_left, IDLE_FACTOR * work + IDLE_SECONDS - waited)

    def _receive_within(self, seconds: float) -> dict[str, Any]:
        """As wire.receive, but the wait ends as soon as the predictor has used what it may."""
        end = time.monotonic() + seconds
        while self._meter:
            left = end - time.monotonic()
            try:
                return wire.receive(self._channel, max(0.001, min(left, _LOOK_SECONDS)))
            except TimeoutError:
                if left <= _LOOK_SECONDS:
                    raise
            self._meter.look()
        return wire.receive(self._channel, seconds)

    def _fail(self, message: dict[str, Any]) -> NoReturn:
        words = f"{message.get('kind', '')}: {message.get('detail', '')}"[:4000]
        seen_inputs = self.questions_sent > 0
        detail = "the predictor failed on held-out input" if seen_inputs else words
        reason = "predictor.crashed" if self._loaded else "predictor.not_loaded"
        raise PredictorFault(reason, detail, words, struck=message.get("helpers") is True)

    def _await_loaded(self) -> None:
        if not self._loaded:
            if self._receive(self._limits.startup_seconds).get("op") != "loaded":
                _bad("an answer before the model was loaded")
            self._loaded = True

    @property
    def room(self) -> bool:
        """Whether another batch may be sent before an answer is taken."""
        return len(self._waiting) < (self._slots if self._buffers else 1)

    def ask(self, tokens: npt.NDArray[np.int32], most_classes: int) -> None:
        """Send a batch of tokens, int32 [rows, length]."""
        assert self.room
        self._await_loaded()
        rows, length = tokens.shape
        assert rows * length * most_classes * _LARGEST_BYTES <= self.answer_bytes
        offset, answer_offset = self._slot * self.question_bytes, self._slot * self.answer_bytes
        content = np.ascontiguousarray(tokens).tobytes()
        self._write(content, offset)
        message = {"op": "tokens", "rows": rows, "length": length, "most_classes": most_classes}
        places = {"offset": offset, "answer_offset": answer_offset, "bytes": len(content)}
        self._count(rows, rows * length)
        self._send({**message, **places}, content=content)
        self._waiting.append((answer_offset, rows, length))
        self._slot = (self._slot + 1) % self._slots

    def _count(self, sent: int, questions: int) -> None:
        self.questions_sent += sent
        self._questions += questions
        if self._meter:
            self._meter.asked += questions

    def _answered(self, questions: int) -> None:
        if self._meter:
            self._meter.answered(questions)

    @property
    def answers(self) -> mmap.mmap | None:
        """The shared buffer of answers, if memory is shared."""
        return self._buffers[1] if self._buffers else None

    def _write(self, content: bytes, offset: int) -> None:
        assert len(content) <= self.question_bytes
        if self._buffers:
            self._buffers[0][offset : offset + len(content)] = content

    def _read(self, offset: int, size: int, seconds: float) -> memoryview:
        if self._buffers:
            return memoryview(self._buffers[1])[offset : offset + size]
        target = memoryview(bytearray(size))
        try:
            wire.receive_bytes(self._channel, target, seconds)
        except wire.ChannelClosed:
            text = "the predictor ended within an answer"
            raise PredictorFault("predictor.crashed", text, struck=None) from None
        except TimeoutError:
            raise PredictorFault("predictor.timeout", f"no whole answer within {seconds:.0f} s") from None
        return target

    def logits(self, most_classes: int) -> tuple[memoryview | DeviceArray, tuple[int, int, int], str]:
        """Bytes of the oldest batch's logits, here or on the GPU, their shape [rows, length, classes] and their type.

        The bytes are shared: the other side can still change them, so copy before use. Raises PredictorFault.
        """
        answer_offset, rows, length = self._waiting.popleft()
        cap = self._limits.batch_seconds + rows * length * self._limits.seconds_per_token
        cap += self._limits.startup_seconds if self.classes is None else 0.0
        message = self._receive(cap * (1 + len(self._waiting)))
        shape, dtype = message.get("shape"), message.get("dtype")
        if message.get("op") != "logits" or not _is_shape(shape) or not isinstance(dtype, str):
            _bad("expected logits")
        assert isinstance(shape, list)
        if len(shape) != 3 or shape[:-1] != [rows, length]:
            raise PredictorFault("predictor.shape", f"logits {shape} for tokens {[rows, length]}")
        if dtype not in WIRE_BYTES or self.dtype not in (None, dtype):
            raise PredictorFault(
                "predictor.dtype", "logits are one of float32, bfloat16, float16, always the same"
            )
        classes = shape[-1]
        if classes > most_classes or self.classes not in (None, classes):
            raise PredictorFault(
                "predictor.shape", f"{classes} classes, at most {most_classes} and never changing"
            )
        self.classes, self.dtype = classes, dtype
        size = rows * length * classes * WIRE_BYTES[dtype]
        content: memoryview | DeviceArray
        if self._device and message.get("on_device") is True:
            content = self._device.array_interface(answer_offset, (size,), "|u1")
        else:
            content = self._read(answer_offset, size, cap)
        self._answered(rows * length)
        return content, (rows, length, classes), dtype

    def items(self, items: list[Json]) -> list[Json]:
        """The answers to a batch of items, in order: plain JSON, bounded. Raises PredictorFault."""
        self._await_loaded()
        content = json.dumps(items).encode()
        if len(content) > self.question_bytes:
            raise OverflowError(
                f"a batch of items takes {len(content)} bytes, more than {self.question_bytes}"
            )
        self._write(content, 0)
        self._count(len(items), len(items))
        most = min(self.answer_bytes, len(items) * self._limits.bytes_per_item)
        self._send({"op": "items", "bytes": len(content), "most_bytes": most}, content=content)
        cap = self._limits.batch_seconds + len(items) * self._limits.seconds_per_item
        message = self._receive(cap)
        size = message.get("bytes")
        if message.get("op") != "items" or type(size) is not int or size < 0:
            _bad("expected items")
        assert isinstance(size, int)
        if size > most:
            raise PredictorFault(
                "predictor.answer_size", f"{size} bytes for {len(items)} items, {most} are allowed"
            )
        try:
            answers = parsed(bytes(self._read(0, size, cap)), most // _VALUE_BYTES)
        except NotStrictJson as error:
            _bad(str(error))
        self._answered(len(items))
        if not isinstance(answers, list) or len(answers) != len(items):
            raise PredictorFault("predictor.shape", f"expected a list of {len(items)} answers")
        return answers

    def close(self) -> None:
        """Hang up; the predictor ends."""
        self._channel.close()
        for buffer in self._buffers:
            try:
                buffer.close()
            except BufferError:
                continue  # a caller still holds a view of an answer: freed with it
        while self._files:
            os.close(self._files.pop())
        if self._device:
            self._device.close()
            self._device = None


def slots_on_device(answer_bytes: int) -> int:
    """Bytes of a GPU's memory for the answers of one connection."""
    return _SLOTS_ON_DEVICE * answer_bytes


def _is_shape(shape: object) -> bool:
    return isinstance(shape, list) and len(shape) < 9 and all(type(n) is int and n >= 0 for n in shape)


def _bad(detail: str) -> NoReturn:
    raise PredictorFault("predictor.bad_message", detail)
