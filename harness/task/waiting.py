"""Something long goes on that says nothing by itself: a line on stderr now and then, and one at its end."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

EVERY_SECONDS = 30.0
BEFORE_FIRST = "(before it, once: an interpreter with the task's libraries is started and attacked)"


@contextmanager
def told(what: str, every_seconds: float = EVERY_SECONDS, at_once: bool = True) -> Iterator[None]:
    """`what`, as in "preparing the data of task digits", is said at once, if wanted; its end if its beginning was and
    it took a second or more.
    """
    started, over = time.monotonic(), threading.Event()
    if at_once:
        _say(f"{what} ...")

    def tick() -> None:
        while not over.wait(every_seconds):
            _say(f"still {what}, {time.monotonic() - started:.0f} s")

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if at_once and (seconds := time.monotonic() - started) >= 1.0:
        _say(f"done {what}, {seconds:.0f} s")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
