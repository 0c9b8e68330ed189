"""Ctrl-C, SIGTERM and their kin end a session in order, and never in the middle of a row.

A Python handler may run between any two instructions of the main thread, whichever thread the kernel chose for the
signal; blocking signals in one thread is therefore not enough, and the handler itself has to wait.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

HOW_IS_SAID = "how to go on is said"  # in a KeyboardInterrupt: the session told what to type
# Ctrl-C, a service's stop, a closed terminal, Ctrl-\, a limit of CPU time, what batch systems send before they kill.
# Without a handler they would look like a death in the candidate's trial, which answers for two.
_ENDING = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGXCPU,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
_OFTEN_TAKEN = (signal.SIGXCPU, signal.SIGUSR1, signal.SIGUSR2)  # by libraries of batch systems
_AGAIN_SECONDS = 0.02
_held = 0  # how many blocks the main thread is in that must not be interrupted
_waiting = False
_last: int = signal.SIGINT  # what came last
_again: threading.Timer | None = None  # sends it once more
_others: "Callable[[sys.UnraisableHookArgs], object] | None" = None  # tells of what else Python swallows


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _waiting, _last
    _last = number
    if number == signal.SIGQUIT:  # who presses Ctrl-\ again wants no order any more
        signal.signal(number, signal.SIG_DFL)
    if _held:
        _waiting = True
        return
    if _finalizes(frame):  # Python swallows what is raised there, and the object would be left half finalized
        _ask_again()
        return
    raise KeyboardInterrupt


def _ask_again() -> None:
    global _again
    _again = threading.Timer(_AGAIN_SECONDS, os.kill, (os.getpid(), _last))
    _again.daemon = True
    _again.start()


def _finalizes(frame: FrameType | None) -> bool:
    """Whether it runs for some object's `__del__`, as GitPython's repositories have one."""
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


@contextmanager
def _none_swallowed() -> Iterator[None]:
    """Python only prints what is raised where nobody can catch it: in what the garbage collector, a weak reference or
    ctypes calls. An interruption that comes there comes again, soon, unless all is over by then."""
    global _again, _others
    if _others is not None:
        yield
        return
    _others, sys.unraisablehook = sys.unraisablehook, _swallowed
    try:
        yield
    finally:
        sys.unraisablehook, _others = _others, None
        if _again is not None:
            again, _again = _again, None
            again.cancel()
            again.join()


def _swallowed(told: "sys.UnraisableHookArgs") -> None:
    if issubclass(told.exc_type, KeyboardInterrupt):
        _ask_again()
    elif _others is not None:
        _others(told)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Inside, a signal that ends processes raises KeyboardInterrupt. One that was ignored stays ignored, and those
    that somebody else uses stay theirs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _ENDING}
    mine = [number for number, handler in before.items() if _is_free(number, handler)]
    try:
        for number in mine:
            signal.signal(number, _interrupt)
        with _none_swallowed():
            yield
    finally:
        for number in mine:
            signal.signal(number, before[number] or signal.SIG_DFL)


def _is_free(number: int, handler: object) -> bool:
    if number in _OFTEN_TAKEN:
        return handler is signal.SIG_DFL
    return handler not in (signal.SIG_IGN, _interrupt)


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
