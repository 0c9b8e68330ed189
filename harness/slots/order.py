"""What a slot is asked for and what it answers: plain facts, so that a slot may be on another machine."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from harness.errors import InfrastructureError
from harness.protocols import Stop
from harness.records import Files, Observation, Score, Split, TrialResult, TrialSpec

MOST_SCORINGS = 3  # of one artefact, while the evaluator fails for reasons of ours


@dataclass(frozen=True, slots=True)
class Order:
    """A trial and its scoring. id: of this attempt at it, never used twice in a session; also names files.

    spec.commit may be "" for a program that has not been proposed yet. baseline: what bounds the cost of answers, see
    Evaluator. pair: trials with the same one are compared with each other, "" for none. stop: see Executor.
    alone: nothing else may be under way.
    """

    id: str
    spec: TrialSpec
    source: Files
    split: Split = Split.VAL
    proposal: int | None = None
    attempt: int = 1
    baseline: tuple[Observation, ...] = ()
    pair: str = ""
    stop: Stop | None = None
    alone: bool = False
    source_sha256: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Measured:
    """The answer. result.artefact: already in the session's folder. scores: all of them; the last one counts.

    beside: what the machine probe found. place: where it was made.
    """

    id: str
    result: TrialResult
    scores: tuple[Score, ...] = ()
    beside: dict[str, float] = field(default_factory=dict)
    place: str = ""


class Slots(Protocol):
    """Makes trials side by side. One thread may call it; nothing here blocks but `finished` and `close`."""

    @property
    def count(self) -> int:
        """How many trials may be under way."""

    @property
    def elsewhere(self) -> bool:
        """Whether trials go on without the harness, as on other machines: then its death is none of their doing."""

    def open_to(self, order: Order) -> bool:
        """Whether it could be started now."""

    def start(self, order: Order) -> None: ...

    def cancel(self, order_id: str) -> None:
        """It is no longer wanted: ends soon, as INFRA_FAILED with the reason "not_wanted"."""

    def finished(self, timeout_seconds: float) -> Sequence[Measured]:
        """What has ended since the last call; waits for the first one so long."""

    def find_again(self, order_id: str) -> bool:
        """After a restart: whether that trial is still under way, or ended meanwhile; it is then told as any other."""

    def notices(self) -> Sequence[str]:
        """Said once: what people should know about the places."""

    def close(self) -> None:
        """Ends what is under way on this machine; where trials outlive us they go on."""


def following(order: Order, orders: Sequence[Order]) -> Order | None:
    """The one after it among them, whichever attempt it is; None, too, for a program that was not proposed yet."""
    names = [each.id.partition("~")[0] for each in orders]
    place = names.index(name) + 1 if (name := order.id.partition("~")[0]) in names else len(names)
    return next((each for each in orders[place : place + 1] if each.spec.commit), None)


class Elsewhere:
    """Stands where a session has its own executor and evaluator, while slots have theirs."""

    def run(self, *_: object, **__: object) -> TrialResult:
        raise InfrastructureError("this session's trials are made in slots")

    def score(self, *_: object, **__: object) -> Score:
        raise InfrastructureError("this session's trials are scored in slots")


def digest(source: Files) -> str:
    """Of a program: names and contents of all its files."""
    whole = hashlib.sha256()
    for name in sorted(source):
        content = source[name]
        whole.update(f"{len(name.encode('utf-8', 'surrogateescape'))} {len(content)} ".encode())
        whole.update(name.encode("utf-8", "surrogateescape"))
        whole.update(content)
    return whole.hexdigest()
