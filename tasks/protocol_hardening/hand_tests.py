"""Fifty-five tests as an engineer writes them: one rule at a time, the good case and the bad one.

A reference line of the task. Here grants and holds are numbered in the order in which they are made; `traces()` names
them by the position of the operation that makes them, as campaign.py wants it.
"""

from campaign import Trace
from protocol import OPERATIONS

BOTH = ["food", "travel"]
ISSUE = ["issue", "alice", "bob", BOTH, 10, 10]
DELEGATE = ["delegate", "bob", 0, "carol", BOTH, 5, 8]


def hold(who: str, grant: int, scope: str, amount: int) -> list:
    return ["hold", who, grant, scope, amount]


TESTS = [
    [ISSUE],
    [ISSUE, DELEGATE],
    [ISSUE, hold("bob", 0, "food", 5)],
    [ISSUE, hold("bob", 0, "food", 11)],
    [ISSUE, hold("bob", 0, "ads", 1)],
    [ISSUE, hold("carol", 0, "food", 1)],
    [ISSUE, hold("bob", 0, "food", 10), hold("bob", 0, "food", 1)],
    [ISSUE, hold("bob", 0, "food", 5), ["capture", "bob", 0, 5, 1]],
    [ISSUE, hold("bob", 0, "food", 5), ["capture", "bob", 0, 6, 1]],
    [ISSUE, hold("bob", 0, "food", 5), ["capture", "carol", 0, 5, 1]],
    [ISSUE, hold("bob", 0, "food", 5), ["capture", "bob", 0, 2, 1], ["capture", "bob", 0, 2, 2]],
    [ISSUE, hold("bob", 0, "food", 5), ["capture", "bob", 0, 2, 1], ["capture", "bob", 0, 2, 1]],
    [ISSUE, hold("bob", 0, "food", 5), ["release", "bob", 0], ["capture", "bob", 0, 5, 1]],
    [ISSUE, hold("bob", 0, "food", 10), ["release", "bob", 0], hold("bob", 0, "food", 10)],
    [ISSUE, hold("bob", 0, "food", 10), ["release", "bob", 0], ["release", "bob", 0]],
    [ISSUE, hold("bob", 0, "food", 5), ["capture", "bob", 0, 5, 1], ["refund", "bob", 0, 5]],
    [ISSUE, hold("bob", 0, "food", 5), ["capture", "bob", 0, 5, 1], ["refund", "bob", 0, 6]],
    [ISSUE, hold("bob", 0, "food", 5), ["capture", "bob", 0, 5, 1], ["refund", "bob", 0, -1]],
    [
        ISSUE,
        hold("bob", 0, "food", 10),
        ["capture", "bob", 0, 10, 1],
        ["refund", "bob", 0, 10],
        hold("bob", 0, "food", 10),
    ],
    [ISSUE, ["revoke", "alice", 0], hold("bob", 0, "food", 1)],
    [ISSUE, ["revoke", "bob", 0]],
    [ISSUE, DELEGATE, ["revoke", "alice", 0], hold("carol", 1, "food", 1)],
    [ISSUE, DELEGATE, ["revoke", "bob", 1], hold("carol", 1, "food", 1)],
    [ISSUE, ["revoke", "alice", 0], ["reinstate", "alice", 0], hold("bob", 0, "food", 1)],
    [ISSUE, DELEGATE, ["revoke", "alice", 0], ["reinstate", "alice", 0], hold("carol", 1, "food", 1)],
    [ISSUE, ["tick", 5], ["tick", 5], hold("bob", 0, "food", 1)],
    [ISSUE, ["tick", 5], ["tick", 4], hold("bob", 0, "food", 1)],
    [ISSUE, ["tick", 5], ["tick", 5], ["tick", 1], hold("bob", 0, "food", 1)],
    [ISSUE, DELEGATE, ["tick", 5], ["tick", 4], hold("carol", 1, "food", 1)],
    [ISSUE, ["narrow", "alice", 0, ["food"]], hold("bob", 0, "travel", 1)],
    [ISSUE, DELEGATE, ["narrow", "alice", 0, ["food"]], hold("carol", 1, "travel", 1)],
    [ISSUE, DELEGATE, ["narrow", "bob", 1, ["food"]], hold("carol", 1, "travel", 1)],
    [
        ISSUE,
        DELEGATE,
        ["narrow", "bob", 1, ["food"]],
        ["widen", "bob", 1, BOTH],
        hold("carol", 1, "travel", 1),
    ],
    [ISSUE, DELEGATE, ["widen", "bob", 1, ["ads"]]],
    [ISSUE, ["set_limit", "alice", 0, 20], hold("bob", 0, "food", 20)],
    [ISSUE, ["set_limit", "alice", 0, 5], hold("bob", 0, "food", 6)],
    [ISSUE, ["set_limit", "bob", 0, 20]],
    [ISSUE, DELEGATE, ["set_limit", "bob", 1, 11]],
    [ISSUE, ["renew", "alice", 0, 15], ["tick", 5], ["tick", 5], hold("bob", 0, "food", 1)],
    [ISSUE, DELEGATE, ["renew", "bob", 1, 15], ["tick", 5], ["tick", 5], hold("carol", 1, "food", 1)],
    [ISSUE, ["delegate", "carol", 0, "dave", BOTH, 5, 8]],
    [ISSUE, ["delegate", "bob", 0, "carol", ["ads"], 5, 8]],
    [ISSUE, ["delegate", "bob", 0, "carol", BOTH, 11, 8]],
    [ISSUE, DELEGATE, hold("carol", 1, "food", 5)],
    [ISSUE, DELEGATE, hold("carol", 1, "food", 6)],
    [ISSUE, DELEGATE, ["delegate", "carol", 1, "dave", BOTH, 5, 5], hold("dave", 2, "food", 5)],
    [ISSUE, DELEGATE, hold("bob", 0, "food", 6)],
    [ISSUE, DELEGATE, ["delegate", "bob", 0, "dave", BOTH, 6, 8]],
    [ISSUE, ["transfer", "bob", 0, "carol"], hold("carol", 0, "food", 5)],
    [ISSUE, ["transfer", "bob", 0, "carol"], hold("bob", 0, "food", 5)],
    [ISSUE, ["transfer", "carol", 0, "dave"]],
    [ISSUE, DELEGATE, DELEGATE, ["merge", "carol", 1, 2], hold("carol", 3, "food", 10)],
    [ISSUE, DELEGATE, DELEGATE, ["merge", "carol", 1, 2], hold("carol", 1, "food", 1)],
    [ISSUE, DELEGATE, ["delegate", "bob", 0, "dave", BOTH, 5, 8], ["merge", "carol", 1, 2]],
    [
        ISSUE,
        DELEGATE,
        ["delegate", "carol", 1, "dave", BOTH, 4, 5],
        ["delegate", "dave", 2, "bob", BOTH, 3, 4],
        ["delegate", "bob", 3, "carol", BOTH, 2, 3],
        ["delegate", "carol", 4, "dave", BOTH, 1, 2],
    ],
]


def traces() -> list[Trace]:
    return [positioned(test) for test in TESTS]


def positioned(test: Trace) -> Trace:
    """Only the last operation of a test may be refused, so numbers and positions can be told from each other."""
    made: dict[str, list[int]] = {"grant": [], "hold": []}
    trace = []
    for position, (name, *arguments) in enumerate(test):
        kinds, makes = OPERATIONS[name]
        pairs = zip(kinds, arguments, strict=True)
        trace.append([name, *(made[kind][value] if kind in made else value for kind, value in pairs)])
        if makes:
            made[makes].append(position)
    return trace
