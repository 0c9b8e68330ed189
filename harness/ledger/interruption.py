"""Ctrl-C, SIGTERM and SIGHUP end a session in order, and never in the middle of a row.

A Python handler may run between any two instructions of the main thread, whichever thread the kernel chose for the
signal; blocking signals in one thread is therefore not enough, and the handler itself has to wait.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

HOW_IS_SAID = "how to go on is said"  # in a KeyboardInterrupt: the session told what to type
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_AGAIN_SECONDS = 0.02
_held = 0  # how many blocks the main thread is in that must not be interrupted
_waiting = False


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _waiting
    if _held:
        _waiting = True
        return
    if _finalizes(frame):  # Python swallows what is raised there: ask again soon
        again = threading.Timer(_AGAIN_SECONDS, os.kill, (os.getpid(), number))
        again.daemon = True
        again.start()
        return
    raise KeyboardInterrupt


def _finalizes(frame: FrameType | None) -> bool:
    """Whether it runs for some object's `__del__`, as GitPython's repositories have one."""
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Inside, a signal that ends processes raises KeyboardInterrupt. One that was ignored stays ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _ENDING}
    mine = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    try:
        for number in mine:
            signal.signal(number, _interrupt)
        yield
    finally:
        for number in mine:
            signal.signal(number, before[number] or signal.SIG_DFL)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """What ends the session waits until the block is done. For short blocks. Other threads are never interrupted."""
    global _held, _waiting
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _held += 1
    try:
        yield
    finally:
        _held -= 1
        if _waiting and not _held:
            _waiting = False
            raise KeyboardInterrupt
