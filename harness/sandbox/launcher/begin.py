"""Starts the untrusted program as a child of this process. Standard library only."""

import os
import socket
from collections.abc import Callable
from typing import NoReturn

from harness.sandbox.launcher import kernel
from harness.sandbox.launcher.candidate import become, may_pin
from harness.sandbox.launcher.cpu_clock import open_cpu_clock
from harness.sandbox.launcher.plan import Plan
from harness.sandbox.launcher.requests import Requests
from harness.sandbox.launcher.supervise import Became, Wakeup, say

_COUNTED, _UNCOUNTED, _ASKS_HERE, _READY, _FAILED = b"c", b"u", b"a", b"r", b"!"


def begin(
    plan: Plan, control: socket.socket, wakeup: Wakeup, own: Callable[[], None]
) -> tuple[int, Requests | None]:
    """The program's process id, once it has been executed or has failed to be; what answers its questions.

    own: called by a program that goes on in this interpreter.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    child = os.fork()
    if child == 0:
        wakeup.close()
        ours.close()
        counted = theirs.recv(1) == _COUNTED  # our CPU clock is running now
        run_as_child(
            lambda: become(
                plan,
                counted,
                lambda number: socket.send_fds(theirs, [_ASKS_HERE], [number]),
                own,
                lambda: theirs.send(_READY),
            ),
            control,
            theirs,
        )
    theirs.close()
    with ours:
        clocks = _clocks(child)
        kernel.prctl(
            kernel.PR_SET_DUMPABLE, 0
        )  # the program may have our user; not before the clock was opened
        if plan.level < 2:
            send_handle(control, child)
        ours.send(_COUNTED if clocks else _UNCOUNTED)
        close_kept(plan)
        requests, words = None, [_ASKS_HERE]
        while words[-1] in (_ASKS_HERE, _READY):
            word, numbers, _, _ = socket.recv_fds(ours, 1, 1)
            words.append(word)
            requests = Requests(numbers[0], plan) if numbers else requests
    if words[-2:] == [_READY, b""]:  # exec has closed it
        say(control, clocks, event="started", exact=bool(clocks) or may_pin(plan))
    elif not words[-1]:
        say(control, event="failed", what="the program was ended before it could begin")
    return child, requests


def _clocks(child: int) -> tuple[int, ...]:
    """One that counts the child's CPU time and that of all its children, where the kernel lets us have it."""
    try:
        return (open_cpu_clock(child),)
    except OSError:
        return ()


def close_kept(plan: Plan) -> None:
    """Our copies: the other side must see the program's end."""
    for number in plan.kept:
        os.close(number)


def run_as_child(
    body: Callable[[], NoReturn], control: socket.socket, parent: socket.socket | None = None
) -> NoReturn:
    """Errors here are the launcher's, before any untrusted code has run. Raises Became in a program that goes on."""
    try:
        body()
    except Became:
        for end in filter(None, (control, parent)):
            end.detach()  # closed by its number, with all that the program may not have
        raise
    except BaseException as error:  # noqa: BLE001 -- a process of ours, about to end: whatever it was is told
        say(control, event="failed", what=f"{type(error).__name__}: {error}")
        if parent:
            parent.send(_FAILED)
    os._exit(70)


def send_handle(control: socket.socket, process: int) -> None:
    """With it the referee can kill the whole (at levels 0 and 1: the program itself) if it should lose us."""
    try:
        handle = os.pidfd_open(process)
    except OSError:
        return  # already gone, or a kernel before 5.3
    say(control, (handle,), event="handle")
    os.close(handle)
