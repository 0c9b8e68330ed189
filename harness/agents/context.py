"""What a session tells its agent once, before the first proposal."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness.records import Files, Limits, Usage
from harness.task.task import Profile, Task, TaskData

if TYPE_CHECKING:
    from harness.sandbox.open import Sandbox


@dataclass(frozen=True, slots=True)
class AgentContext:
    """An agent with a method `open(context)` gets this; one without needs nothing of it.

    sandbox: starts smoke tests and command-line agents; None: there are none. gpu: for smoke tests.
    folder: scratch space that is the agent's alone. limits: of a trial, and so of a smoke test.
    spent: by the earlier part of a resumed session. dollars, tokens: what the whole session may spend, None: no
    limit. seconds_left: of the session's hours, None: no limit. quiet: held by the session while it measures on a wall
    clock; a smoke test then waits, because it would slow the trial down. baseline: the editable files that the session
    began with, also where it is resumed and the task's folder has changed since.
    """

    sandbox: "Sandbox | None"
    task: Task
    data: TaskData
    profile: Profile
    folder: Path
    gpu: int | None = None
    limits: Limits = field(default_factory=Limits)
    spent: Usage = field(default_factory=Usage)
    dollars: float | None = None
    tokens: int | None = None
    seconds_left: Callable[[], float | None] = lambda: None
    quiet: threading.Lock = field(default_factory=threading.Lock)
    baseline: Files = field(default_factory=dict)
