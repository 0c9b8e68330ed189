"""What kind of failure a past proposal was, in words that say what to do about it."""

import re
from itertools import chain

from harness.records import PastProposal

_TAIL = 1500  # characters of the log, where the error stands
_BY_REASON = (
    (
        r"startup|slow_start",
        "slow start: the work before the data gate took too long; import less, compile less",
    ),
    (
        r"timed_out|deadline|late",
        "deadline: it was still at work when the time was over; do less, or stop by the clock",
    ),
    (r"memory", "memory: it used more than it may; smaller batches or a smaller model"),
    (
        r"artefact",
        "no artefact: it ended without a file that can be scored; write it before the time is over",
    ),
)
_BY_LOG = (
    (r"out of memory|MemoryError|Cannot allocate memory", _BY_REASON[2][1]),
    (
        r"shapes? .{0,40}(mismatch|cannot|invalid)|size mismatch|mat1 and mat2|must match the size|broadcast",
        "shape: two arrays do not fit together; follow the shapes through the change",
    ),
    (
        r"\b(nan|inf)\b.{0,40}(loss|gradient|value)|non-finite",
        "diverged: a value was not finite; lower the step size",
    ),
    (
        r"(ModuleNotFound|Import)Error",
        "import: a package or name that is not there; use what the file imports now",
    ),
)


def failure_class(past: PastProposal) -> str:
    """One of a fixed list of classes with advice; "" for what did not fail, or failed in no known way.

    The log is the candidate's own word: it chooses among fixed texts and is not repeated.
    """
    if not re.match(r"crashed|timed_out|invalid", past.reason):
        return ""
    log = past.log[-_TAIL:]
    by_log = (words for pattern, words in _BY_LOG if re.search(pattern, log, re.IGNORECASE))
    by_reason = (words for pattern, words in _BY_REASON if re.search(pattern, past.reason))
    return next(chain(by_reason, by_log), "")
