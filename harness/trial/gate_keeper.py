"""The referee's side of the data gate: who asks gets the training data, and its time runs from then on."""

import contextlib
import json
import mmap
import os
import select
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from harness.gate import MOST_FILES_A_PACKET
from harness.records import Clock
from harness.sandbox.wire import make_channel, reopened, sealed_file

_MOST_ANSWERS = 64
_CALM_SECONDS = 0.005


class TrainingFiles:
    """Training data as sealed memory files, made once for all trials; nobody can change them."""

    def __init__(self, folder: Path) -> None:
        """Every regular file in `folder`, by name; a folder that is not there has none."""
        names = sorted(path.name for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
        self.files: dict[str, int] = {}
        try:
            for name in names:
                self.files[name] = _sealed_copy(folder / name)
        except BaseException:
            self.close()
            raise

    def for_one_trial(self) -> dict[str, int]:
        """Each file under a description of its own, its times set back: what one trial leaves there no other finds."""
        return {name: reopened(file) for name, file in self.files.items()}

    def close(self) -> None:
        _close(self.files)


class GateKeeper:
    """One trial's gate. `candidate` is the end that goes along; close it once the trial was started."""

    def __init__(self, training: TrainingFiles, clock: Clock, opening: Callable[[], None]) -> None:
        """opening: called at the first request, before anything is handed over."""
        self._ours, self.candidate = make_channel()
        self._ours.setblocking(False)
        self._poller = select.poll()
        self._poller.register(self._ours, select.POLLIN)
        self._opening = opening
        self._answers = 0
        self._files = training.for_one_trial()
        self._packets = _packets(self._files, clock)

    def asked(self, seconds: float) -> bool:
        """Whether there is a request, or the end of all requests; waits for it up to so long, and answers nothing."""
        return bool(self._poller.poll(seconds * 1000))

    def serve(self, seconds: float) -> bool:
        """Wait up to so long for a request and answer it. False when nobody will ask any more (returns at once)."""
        if self._ours.fileno() < 0:
            return False
        if not self._poller.poll(seconds * 1000):
            return True
        try:
            asked = self._ours.recv(16)  # open files that came along are dropped by the kernel
        except OSError:
            asked = b""
        if not asked or self._answers == _MOST_ANSWERS:
            self.close()
            return False
        if self._answers == 0:
            self._opening()
        self._answers += 1
        with contextlib.suppress(OSError):  # it does not read, or has gone: its own loss
            for packet, files in self._packets:
                socket.send_fds(self._ours, [packet], files)
        time.sleep(_CALM_SECONDS)  # a flood of requests costs us little
        return True

    def close(self) -> None:
        self._ours.close()
        self.candidate.close()
        _close(self._files)


def _close(files: dict[str, int]) -> None:
    while files:
        os.close(files.popitem()[1])


def _packets(files: Mapping[str, int], clock: Clock) -> list[tuple[bytes, list[int]]]:
    fixed = clock.steps is not None or clock.tokens is not None
    budget = [None if fixed else clock.seconds, clock.steps, clock.tokens]
    names = list(files)
    groups = [names[i : i + MOST_FILES_A_PACKET] for i in range(0, len(names), MOST_FILES_A_PACKET)] or [[]]
    packets = []
    for group in groups:
        message = {"names": group, "budget": budget, "more": group is not groups[-1]}
        packets.append((json.dumps(message).encode(), [files[name] for name in group]))
    return packets


def _sealed_copy(path: Path) -> int:
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return sealed_file(b"", path.name)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content, memoryview(content) as view:
            return sealed_file(view, path.name)
