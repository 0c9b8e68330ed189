"""Slots on other machines: an order's folder out, its answer back. Queues differ in how they are asked only."""

import contextlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from harness.errors import HarnessError, InfrastructureError
from harness.ledger.ahead import NOT_WANTED
from harness.slots.node import ISOLATION
from harness.slots.order import Measured, Order
from harness.slots.parcel import (
    KIT,
    ORDER,
    RESULT,
    Kit,
    folder_name,
    new_nonce,
    order_bytes,
    order_of,
    received,
    write,
)
from harness.slots.slot import nothing
from harness.trial.turns import Turn

FOLDER = "slots"
_NAME = "name"
_AGAIN_SECONDS = 5.0
_PLACE = re.compile(r"[\w.-]{1,100}", re.ASCII)


@dataclass(frozen=True, slots=True)
class State:
    """over: it will not answer any more, if it has not. reason: one word for why. place: where it was.

    log: what people should know of it. waits: why it has not begun, where that is unusual.
    """

    over: bool = False
    reason: str = ""
    place: str = ""
    log: str = ""
    waits: str = ""


class NotNow(InfrastructureError):
    """Whoever takes orders is silent; it is asked again."""


class Transport(Protocol):
    """How orders get to where they are made. An order's handle survives the harness in its folder."""

    @property
    def most(self) -> int:
        """How many orders it takes in one call."""

    def send(self, orders: Sequence[tuple[Order, Path]]) -> None:
        """Start all of them or none. Raises InfrastructureError where they are refused, NotNow where nobody answers."""

    def states(self, folders: Mapping[str, Path]) -> Mapping[str, State]:
        """Of orders that have not answered, by id; {} for those of which nothing is known now.

        Raises InfrastructureError where nobody answers now, another HarnessError where nobody will any more.
        """

    def end(self, order_id: str, folder: Path) -> None:
        """It is not wanted any more. Raises InfrastructureError where nobody answers now; it is tried again then."""

    def find_again(self, order_id: str, folder: Path) -> bool:
        """After a restart: whether it was really sent."""

    def avoid(self, place: str) -> None:
        """Send nothing more there."""

    def kinds(self) -> Mapping[str, str]:
        """What nodes there are, in words, and the name of one of each kind. Raises InfrastructureError."""

    def only_on(self, place: str) -> None:
        """Send what comes next there and nowhere else."""

    def close(self) -> None: ...


@dataclass(eq=False)
class _SentOrder:
    """avoided: places that took no orders when it was sent. pinned: to one place."""

    order: Order
    folder: Path
    nonce: str
    turn: Turn = field(default_factory=Turn)
    over: State | None = None
    over_since: float = 0.0
    avoided: frozenset[str] = frozenset()
    pinned: bool = False


class RemoteSlots:
    """Implements Slots over a transport. grace_seconds: how long an answer may be on its way over a shared folder.

    patience_seconds: how long it may be silent when a session is resumed whose orders it has.
    """

    def __init__(
        self,
        kit: Kit,
        session: Path,
        transport: Transport,
        count: int,
        poll_seconds: float = 2.0,
        grace_seconds: float = 15.0,
        patience_seconds: float = 300.0,
    ) -> None:
        self._kit, self._session, self._transport = kit, session, transport
        self._count, self._poll, self._grace = count, poll_seconds, grace_seconds
        self._patience = patience_seconds
        self._folder = session / FOLDER
        self._folder.mkdir(exist_ok=True, mode=0o700)
        write(self._folder / KIT, kit.to_bytes())
        self._sent: dict[str, _SentOrder] = {}
        self._unsent: list[_SentOrder] = []
        self._refused: list[Measured] = []
        self._said: list[str] = []
        self._ever_said: set[str] = set()
        self._avoided: set[str] = set()
        self._asked = self._silent_until = 0.0

    @property
    def count(self) -> int:
        return self._count

    @property
    def elsewhere(self) -> bool:
        return True

    def open_to(self, order: Order) -> bool:
        return len(self._sent) < (1 if order.alone else self._count)

    def start(self, order: Order) -> None:
        self._sent[order.id] = sent = _SentOrder(order, self._folder / folder_name(order.id), new_nonce())
        self._prepare(sent)

    def _prepare(self, sent: _SentOrder) -> None:
        """Its folder, fresh; it is sent with the next ones. Where that cannot be written the trial has failed."""
        try:
            shutil.rmtree(sent.folder, ignore_errors=True)
            sent.folder.mkdir(mode=0o700)
            write(sent.folder / ORDER, order_bytes(sent.order, sent.nonce))
        except OSError as error:
            self._refused.append(self._failed(sent, f"os_error_{error.errno}", str(error)))
            return
        self._unsent.append(sent)

    def kinds(self) -> Mapping[str, str]:
        """See Transport."""
        return self._transport.kinds()

    def start_on(self, place: str, order: Order) -> None:
        """For looking at one node: there and nowhere else."""
        self._transport.only_on(place)
        self.start(order)
        self._sent[order.id].pinned = True
        self._send()

    def cancel(self, order_id: str) -> None:
        sent = self._sent.get(order_id)
        if sent is None or sent.over is not None:
            return
        if sent in self._unsent:
            self._unsent.remove(sent)
        else:
            with contextlib.suppress(HarnessError):
                self._transport.end(order_id, sent.folder)
        sent.over, sent.over_since = State(over=True, reason=NOT_WANTED), -self._grace

    def finished(self, timeout_seconds: float) -> list[Measured]:
        end = time.monotonic() + timeout_seconds
        self._send()
        while not (found := self._answers()) and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, self._poll, 0.2))
            self._send()
        return found

    def _send(self) -> None:
        """All that were started since and have their turn, together: a queue may take them as one array."""
        if time.monotonic() < self._silent_until:
            return
        unsent = [sent for sent in self._unsent if sent.turn.granted()]
        for start in range(0, len(unsent), self._transport.most):
            self._send_together(unsent[start : start + self._transport.most])

    def _send_together(self, orders: Sequence[_SentOrder]) -> None:
        try:
            for sent in orders:
                sent.avoided = frozenset(self._avoided)
            self._transport.send([(sent.order, sent.folder) for sent in orders])
        except NotNow as error:
            self._silent_until = time.monotonic() + _AGAIN_SECONDS
            self._say(f"{error}; it is tried again")
            return
        except InfrastructureError as error:
            self._refused += [self._failed(sent, "not_sent", str(error)) for sent in orders]
        self._unsent = [sent for sent in self._unsent if sent not in orders]

    def _answers(self) -> list[Measured]:
        found, self._refused = self._refused, []
        for sent in list(self._sent.values()):
            if (sent.folder / RESULT).exists() and not self._sent_elsewhere(
                measured := self._received(sent), sent
            ):
                found.append(measured)
        self._ask()
        now = time.monotonic()
        for sent in list(self._sent.values()):
            if sent.over is not None and now - sent.over_since >= self._grace:
                where = f"on {sent.over.place}: " if sent.over.place else ""
                found.append(
                    self._failed(sent, sent.over.reason, f"{where}{sent.over.log}".removesuffix(": "))
                )
        return found

    def _ask(self) -> None:
        """Now and then: is there something that will never answer?"""
        now = time.monotonic()
        if now - self._asked < self._poll:
            return
        self._asked = now
        waiting = {
            sent.order.id: sent.folder
            for sent in self._sent.values()
            if sent.over is None and sent not in self._unsent
        }
        try:
            states = self._transport.states(waiting) if waiting else {}
        except InfrastructureError as error:
            self._say(f"{error}; answers are waited for all the same")
            return
        for order_id, state in states.items():
            if state.waits:
                self._say(state.waits)
            if state.over:
                self._sent[order_id].over, self._sent[order_id].over_since = state, now

    def _received(self, sent: _SentOrder) -> Measured:
        order, kit = sent.order, self._kit
        try:
            measured = received(
                sent.folder, order.id, sent.nonce, kit.profile.limits(), kit.task.artefact, self._session
            )
        except InfrastructureError as error:
            return self._failed(sent, "bad_answer", str(error))
        self._copy_logs(sent.folder)
        self._forget(sent)
        return measured

    def _copy_logs(self, folder: Path) -> None:
        """What predictors said, for people."""
        for file in (folder / "logs").glob("*.log"):
            (self._session / "logs").mkdir(exist_ok=True)
            with contextlib.suppress(OSError):
                shutil.copyfile(file, self._session / "logs" / file.name, follow_symlinks=False)

    def _sent_elsewhere(self, measured: Measured, sent: _SentOrder) -> bool:
        """An order that a place could not take costs its trial nothing, unless that place was to be left alone."""
        place = measured.place
        if measured.result.reason != ISOLATION or not _PLACE.fullmatch(place):
            return False
        if place not in self._avoided:
            self._avoided.add(place)
            self._transport.avoid(place)
            self._say(f"{place} gets no trial: {measured.result.log}")
        if sent.pinned or sent.over is not None or place in sent.avoided:
            return False
        again = _SentOrder(sent.order, sent.folder, new_nonce())
        self._sent[sent.order.id] = again
        self._prepare(again)
        return True

    def _failed(self, sent: _SentOrder, reason: str, log: str) -> Measured:
        self._forget(sent)
        return Measured(sent.order.id, nothing(sent.order, reason, log))

    def _forget(self, sent: _SentOrder) -> None:
        self._sent.pop(sent.order.id, None)
        sent.turn.close()
        shutil.rmtree(sent.folder, ignore_errors=True)

    def find_again(self, order_id: str) -> bool:
        folder = self._folder / folder_name(order_id)
        sent = (folder / ORDER).exists()
        if not sent or not ((folder / RESULT).exists() or self._goes_on(order_id, folder)):
            shutil.rmtree(folder, ignore_errors=True)  # half written, too
            return False
        order, nonce = order_of((folder / ORDER).read_bytes())
        self._sent[order_id] = _SentOrder(order, folder, nonce)
        return True

    def _goes_on(self, order_id: str, folder: Path) -> bool:
        """Whether it was really sent. Raises NotNow where nobody says so for longer than our patience."""
        end = time.monotonic() + self._patience
        while True:
            try:
                return self._transport.find_again(order_id, folder)
            except NotNow as error:
                if time.monotonic() >= end:
                    raise NotNow(
                        f"{error}. Resume the session when it does: its trials go on meanwhile"
                    ) from error
            time.sleep(self._poll)

    def _say(self, text: str) -> None:
        if text not in self._ever_said:
            self._ever_said.add(text)
            self._said.append(text)

    def notices(self) -> Sequence[str]:
        told, self._said = self._said, []
        return told

    def close(self) -> None:
        """What is under way goes on; the next start finds it again. What was cancelled leaves nothing."""
        for sent in [sent for sent in self._sent.values() if sent.over is not None]:
            self._forget(sent)
        self._transport.close()


def job_name(session: Path) -> str:
    """Of a session in a queue: the same whenever it is resumed, and no other session has it."""
    file = session / FOLDER / _NAME
    if not file.exists():
        file.parent.mkdir(exist_ok=True, mode=0o700)
        write(file, secrets.token_hex(4).encode())
    return f"harness-{file.read_text()}"


SAFE_VARIABLES = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH",
    "TMPDIR",
)  # fmt: skip
"""All that a node learns of our environment: keys and tokens stay here."""


def safe_environment() -> dict[str, str]:
    return {name: os.environ[name] for name in SAFE_VARIABLES if name in os.environ}
