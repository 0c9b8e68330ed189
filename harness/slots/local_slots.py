"""Several places on this machine, a thread each."""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from harness.errors import HarnessError, UserError
from harness.slots.order import Measured, Order
from harness.slots.slot import Slot, nothing

_LOOK_SECONDS = 0.2
_END_SECONDS = 15.0


@dataclass
class _Seat:
    """A place and what it is at."""

    place: Callable[[], Slot]
    name: str
    orders: "queue.SimpleQueue[Order | None]" = field(default_factory=queue.SimpleQueue)
    at: Order | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None


class LocalSlots:
    """Implements Slots. paired: whether trials that are compared must be made in the same place."""

    def __init__(self, places: Sequence[tuple[str, Callable[[], Slot]]], paired: bool = False) -> None:
        """places: name of each, and what opens it, called in the thread that works there."""
        self._paired = paired
        self._seats = [_Seat(place, name) for name, place in places]
        self._pairs: dict[str, _Seat] = {}
        self._done: queue.SimpleQueue[Measured | BaseException] = queue.SimpleQueue()
        for seat in self._seats:
            seat.thread = threading.Thread(target=self._work, args=(seat,), name=seat.name, daemon=True)
            seat.thread.start()

    @property
    def count(self) -> int:
        return len(self._seats)

    @property
    def elsewhere(self) -> bool:
        return False

    def open_to(self, order: Order) -> bool:
        return self._seat_for(order) is not None

    def _seat_for(self, order: Order) -> _Seat | None:
        if order.alone and any(seat.at for seat in self._seats):
            return None
        if self._paired and order.pair in self._pairs:
            bound = self._pairs[order.pair]
            return None if bound.at else bound
        return next((seat for seat in self._seats if not seat.at), None)

    def start(self, order: Order) -> None:
        seat = self._seat_for(order)
        assert seat is not None, "ask open_to first"
        if order.pair:
            self._pairs[order.pair] = seat
        seat.at, seat.cancelled = order, threading.Event()
        seat.orders.put(order)

    def cancel(self, order_id: str) -> None:
        for seat in self._seats:
            if seat.at and seat.at.id == order_id:
                seat.cancelled.set()

    def finished(self, timeout_seconds: float) -> list[Measured]:
        """Raises UserError where a place cannot be opened or used as asked."""
        found: list[Measured] = []
        end = time.monotonic() + timeout_seconds
        while not found and (left := end - time.monotonic()) > 0:
            try:  # in short waits: a signal's handler runs in between
                found.append(self._told(self._done.get(timeout=min(left, _LOOK_SECONDS))))
            except queue.Empty:
                continue
        while not self._done.empty():
            found.append(self._told(self._done.get()))
        return found

    def _told(self, ended: Measured | BaseException) -> Measured:
        if isinstance(ended, BaseException):
            raise ended
        for seat in self._seats:
            if seat.at and seat.at.id == ended.id:
                seat.at = None
        return ended

    def find_again(self, order_id: str) -> bool:  # noqa: ARG002 -- what runs on this machine ends with the harness
        return False

    def notices(self) -> Sequence[str]:
        return ()

    def close(self) -> None:
        for seat in self._seats:
            seat.cancelled.set()
            seat.orders.put(None)
        end = time.monotonic() + _END_SECONDS
        for seat in self._seats:
            assert seat.thread is not None
            seat.thread.join(max(0.0, end - time.monotonic()))

    def _work(self, seat: _Seat) -> None:
        place: Slot | None = None
        try:
            while (order := seat.orders.get()) is not None:
                cancelled = seat.cancelled
                try:
                    if place is None:
                        place = seat.place()
                        place.pin()
                    self._done.put(place.measure(order, cancelled))
                except UserError as error:
                    self._done.put(error)
                except HarnessError as error:
                    self._done.put(Measured(order.id, nothing(order, "slot", str(error)), place=seat.name))
                except OSError as error:
                    reason = f"os_error_{error.errno}"
                    self._done.put(Measured(order.id, nothing(order, reason, str(error)), place=seat.name))
                except Exception as error:  # noqa: BLE001 -- raised again where the trial is wanted
                    self._done.put(error)
        finally:
            if place is not None:
                place.close()
