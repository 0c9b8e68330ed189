"""The protocol hardening task: protocol, shadow checker, campaigns, and what an attack may say."""

import itertools
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from task_modules import TASKS, load_modules

FOLDER = TASKS / "protocol_hardening"
NAMES = (
    "protocol",
    "checker",
    "campaign",
    "defects_visible",
    "defects_hidden",
    "evaluate",
    "prepare",
    "attack",
)
task = load_modules(FOLDER, *NAMES, "references", "hand_tests", "train", "violations")
campaign, protocol, evaluate, references = task.campaign, task.protocol, task.evaluate, task.references
DEFECTS = {defect.__name__: defect for defect in (*task.defects_visible.VISIBLE, *task.defects_hidden.HIDDEN)}
ONE_POOL = [*task.defects_visible.VISIBLE, *(first for first, _ in task.defects_hidden.PAIRS)]

BOTH = ["food", "travel"]
CHAIN = [  # alice -> bob -> carol -> dave -> bob, each with both scopes
    ["issue", "alice", "bob", BOTH, 20, 10],
    ["delegate", "bob", 0, "carol", BOTH, 15, 10],
    ["delegate", "carol", 1, "dave", BOTH, 10, 10],
    ["delegate", "dave", 2, "bob", BOTH, 5, 10],
]


DELEGATED = [
    ["delegate", "bob", 0, "carol", BOTH, 10, 10],
    ["delegate", "carol", 1, "dave", BOTH, 8, 10],
]
HELD = [
    ["hold", "dave", 2, "food", 7],
    ["hold", "dave", 2, "food", 1],
    ["hold", "bob", 0, "food", 15],
    ["hold", "bob", 0, "food", 18],
]


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ph")
    task.prepare.prepare(folder / "public", folder / "private", b"secret")
    return folder / "private"


@pytest.fixture
def small(private: Path, tmp_path: Path) -> Path:
    """Two variants, 600 calls each."""
    variants = [{**variant, "calls": 600} for variant in json.loads((private / "val.json").read_text())[:2]]
    (tmp_path / "val.json").write_text(json.dumps(variants))
    return tmp_path


def plain(feedbacks: list[dict]) -> list[dict]:
    return [task.attack.propose(feedback, task.attack.PLAIN_WEIGHTS) for feedback in feedbacks]


def false_alarms(calls: int) -> list[Any]:
    """Violations that the checker sees on the correct protocol, under three kinds of traces."""
    chance, found, made = random.Random(5), [], 0
    sources = [
        lambda: task.attack.trace(chance, task.attack.PLAIN_WEIGHTS),
        lambda: references.state_aware(chance, references.WEIGHTS),
        lambda: references.naive(chance),
    ]
    for source in itertools.cycle(sources):
        trace = source()
        made += len(trace)
        found += campaign.execute(trace, protocol.Protocol)[1]
        if made >= calls:
            return found
    raise AssertionError


def test_the_correct_protocol_raises_no_alarm() -> None:
    """The checker is independent of the protocol and agrees with it."""
    assert false_alarms(6_000) == []


@pytest.mark.slow
def test_the_correct_protocol_raises_no_alarm_in_150_000_calls() -> None:
    assert false_alarms(150_000) == []


def test_two_defects_together_are_one_compound_violation() -> None:
    """A stale cache is harmless while the walk over the grants above is there; without it, scopes leak."""
    trace = [*CHAIN, ["narrow", "alice", 0, ["food"]], ["hold", "bob", 3, "travel", 1]]
    names = ("NarrowTwoLevels", "ScopeOfLeafOnly")
    both = [DEFECTS[name] for name in names]
    assert campaign.execute(trace, campaign.variant(both))[1] == [(5, "I1 scope")]
    for defect in both:
        assert campaign.execute(trace, campaign.variant([defect]))[1] == []
    assert campaign.cause(trace, ONE_POOL, "I1 scope") == frozenset(both)


def test_a_campaign_repairs_what_it_explains() -> None:
    """A compound violation retires both of its defects, once, and nothing else."""
    trace = [*CHAIN, ["narrow", "alice", 0, ["food"]], ["tick", 1], ["hold", "bob", 3, "travel", 1]]
    running = campaign.Campaign(ONE_POOL, 1000)
    first, second = running.run([trace, trace])
    assert first == "111111!"
    assert second == "1111110"
    ((invariant, guilty, shrunk),) = running.found
    assert (invariant, {defect.__name__ for defect in guilty}) == (
        "I1 scope",
        {"NarrowTwoLevels", "ScopeOfLeafOnly"},
    )
    assert [name for name, *_ in shrunk] == ["issue", "delegate", "delegate", "delegate", "narrow", "hold"]
    assert running.calls_left == 1000 - 2 * len(trace)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_shrunk_traces_fail_and_are_minimal(seed: int) -> None:
    """What remains breaks the same invariant, and no operation of it can be left out."""
    chance, kind = random.Random(seed), campaign.variant(ONE_POOL)
    trace = references.state_aware(chance, references.WEIGHTS)
    violations = campaign.execute(trace, kind)[1]
    if violations:
        fails = campaign.fails_with(violations[0][1], kind)
        small = campaign.shrunk(trace, fails)
        assert fails(small)
        shorter = [campaign.without(small, position) for position in range(len(small))]
        assert not any(fails(other) for other in shorter if other is not None)


def test_hand_written_tests_find_single_defects_only() -> None:
    """The story of the task: tests of one rule at a time miss every compound violation."""
    running = campaign.Campaign(ONE_POOL, 10_000)
    running.run(task.hand_tests.traces())
    assert {len(guilty) for _, guilty, _ in running.found} == {1}
    assert len(task.hand_tests.TESTS) == 55


@pytest.mark.slow
def test_a_state_aware_attack_finds_compound_violations() -> None:
    """What the hand-written tests miss can be found within 20,000 calls."""
    running = campaign.Campaign(ONE_POOL, 20_000)
    for trace in references.endless(references.state_aware, random.Random(0), references.WEIGHTS):
        running.run([trace])
        if running.over:
            break
    sizes = [len(guilty) for _, guilty, _ in running.found]
    assert sum(sizes) >= 9
    assert max(sizes) >= 2


def test_val_and_test_have_no_defect_in_common(private: Path) -> None:
    """Sixteen variants of ten of fourteen defects each; visible ones occur in neither, and only they in training."""
    pools = {}
    for split in ("val", "test"):
        variants = json.loads((private / f"{split}.json").read_text())
        pools[split] = {number for variant in variants for number in variant["defects"]}
        counts = [sum(number in variant["defects"] for variant in variants) for number in pools[split]]
        assert (len(variants), len(pools[split]), sum(counts)) == (16, 14, 160)
        assert max(counts) - min(counts) <= 1
    assert not pools["val"] & pools["test"]
    visible = task.defects_visible.VISIBLE
    assert min(pools["val"] | pools["test"]) >= len(visible)
    for variant in json.loads((private.parent / "public/train/variants.json").read_text()):
        assert set(variant["defects"]) <= {defect.__name__ for defect in visible}


def test_the_secret_decides_which_defect_of_a_pair_is_sealed(private: Path, tmp_path: Path) -> None:
    """Attack: prepare.py with a secret of one's own gives other variants, from other defects, for val and for test."""
    task.prepare.prepare(tmp_path / "public", tmp_path / "private", b"guessed")
    for split in ("val", "test"):
        ours, theirs = (
            json.loads((folder / f"{split}.json").read_text()) for folder in (private, tmp_path / "private")
        )
        assert not {variant["seed"] for variant in ours} & {variant["seed"] for variant in theirs}
        assert [variant["defects"] for variant in ours] != [variant["defects"] for variant in theirs]
    pairs = task.defects_hidden.PAIRS
    drawn = [task.prepare.pools(bytes([number]))["val"] for number in range(40)]
    assert all(len({tuple(val[n : n + 1]) for val in drawn}) == 2 for n in range(len(pairs)))


def test_a_page_says_what_was_found_and_what_not() -> None:
    """Shrunk traces with the invariant, the defects in words, the calls to each, and what is left."""
    trace = [*CHAIN, ["narrow", "alice", 0, ["food"]], ["tick", 1], ["hold", "bob", 3, "travel", 1]]
    running = campaign.Campaign(ONE_POOL, 1000)
    running.run([[["tick", 1]], trace])
    text = task.violations.page([running, campaign.Campaign(ONE_POOL[:1], 9)], "val")
    assert "## I1 scope: NarrowTwoLevels + ScopeOfLeafOnly" in text
    assert "Narrowing refreshes the cache of the grant and its children, and no further." in text
    assert "In 1 campaigns, at the soonest after 8 calls." in text
    assert "4. `narrow(alice, 0, ['food'])`" in text
    assert "tick" not in text
    assert f"| 1 | nothing | {ONE_POOL[0].__name__} |" in text


SHOWN_BY = [  # defects, and a trace that breaks an invariant with all of them and with none fewer
    (
        ["LimitOfRootOnly"],
        [*CHAIN[:1], DELEGATED[0], DELEGATED[1], ["set_limit", "bob", 1, 5], HELD[0]],
        "I2 limit",
    ),
    (["RevocationOneLevelUp"], [*CHAIN[:3], ["revoke", "alice", 0], HELD[1]], "I3 revocation"),
    (
        ["DelegateAfterExpiry"],
        [CHAIN[0], *[["tick", 5]] * 2, ["delegate", "bob", 0, "carol", BOTH, 1, 1]],
        "I4 expiry",
    ),
    (
        ["DelegatingToOneselfIsFree"],
        [CHAIN[0], *(["delegate", "bob", place, "bob", BOTH, 20, 10] for place in range(5))],
        "I7 depth",
    ),
    (
        ["CaptureAfterExpiry"],
        [
            ["issue", "alice", "bob", BOTH, 20, 2],
            ["hold", "bob", 0, "food", 9],
            ["tick", 3],
            ["capture", "bob", 1, 1, 1],
        ],
        "I4 expiry",
    ),
    (
        ["ReleaseFreesTheWhole"],
        [
            CHAIN[0],
            ["hold", "bob", 0, "food", 15],
            ["capture", "bob", 1, 10, 1],
            ["release", "bob", 1],
            HELD[2],
        ],
        "I2 limit",
    ),
    (
        ["RefundFreesTwice"],
        [
            CHAIN[0],
            ["hold", "bob", 0, "food", 18],
            ["capture", "bob", 1, 9, 1],
            ["refund", "bob", 1, 9],
            HELD[3],
        ],
        "I2 limit",
    ),
    (
        ["MergeForgetsSecondSpending"],
        [
            CHAIN[0],
            *[["delegate", "bob", 0, "carol", BOTH, 8, 10]] * 2,
            ["hold", "carol", 2, "food", 5],
            ["capture", "carol", 3, 5, 1],
            ["merge", "carol", 1, 2],
            ["hold", "carol", 5, "food", 12],
        ],
        "I2 limit",
    ),
    (
        ["MergeKeepsLaterExpiry"],
        [
            CHAIN[0],
            *(["delegate", "bob", 0, "carol", BOTH, 8, days] for days in (2, 9)),
            ["merge", "carol", 1, 2],
            ["tick", 3],
            ["hold", "carol", 3, "food", 1],
        ],
        "I4 expiry",
    ),
    (
        ["DelegateForgetsSpending", "LimitOfRootOnly"],
        [
            CHAIN[0],
            ["delegate", "bob", 0, "carol", BOTH, 12, 10],
            ["hold", "carol", 1, "food", 8],
            ["delegate", "carol", 1, "dave", BOTH, 12, 10],
            ["hold", "dave", 3, "food", 9],
        ],
        "I2 limit",
    ),
    (
        ["NarrowForgetsDelegates", "ScopeOfParentOnly"],
        [*CHAIN[:3], ["narrow", "alice", 0, ["food"]], ["hold", "dave", 2, "travel", 1]],
        "I1 scope",
    ),
    (
        ["WidenFromRoot", "ScopeOfParentOnly"],
        [
            CHAIN[0],
            ["delegate", "bob", 0, "carol", ["food"], 15, 10],
            ["delegate", "carol", 1, "dave", ["food"], 10, 10],
            ["widen", "carol", 2, ["travel"]],
            ["delegate", "dave", 2, "bob", ["travel"], 5, 5],
            ["hold", "bob", 4, "travel", 1],
        ],
        "I1 scope",
    ),
    (
        ["RenewForgetsDelegates", "ExpiryOfParentOnly"],
        [*CHAIN[:3], ["renew", "alice", 0, 1], ["tick", 2], HELD[1]],
        "I4 expiry",
    ),
    (
        ["RenewForgetsDelegates", "ExpiryOfBothEnds"],
        [*CHAIN[:3], ["renew", "bob", 1, 1], ["tick", 2], HELD[1]],
        "I4 expiry",
    ),
]


@pytest.mark.parametrize(("names", "trace", "invariant"), SHOWN_BY)
def test_every_defect_can_be_found(names: list[str], trace: list, invariant: str) -> None:
    """A short trace breaks the invariant with the defects, and neither without them nor with fewer of them."""
    defects = [DEFECTS[name] for name in names]
    assert invariant in [found for _, found in campaign.execute(trace, campaign.variant(defects))[1]]
    assert campaign.execute(trace, protocol.Protocol)[1] == []
    for defect in defects if len(defects) > 1 else []:
        assert campaign.execute(trace, campaign.variant([defect]))[1] == []


def test_no_candidate_sees_the_hidden_defects() -> None:
    """A trial's tree is made of editable and readable files; no hidden defect is named in them."""
    about = yaml.safe_load((FOLDER / "task.yaml").read_text())
    tree = "".join((FOLDER / name).read_text() for name in (*about["editable"], *about["readable"]))
    assert not [defect.__name__ for defect in task.defects_hidden.HIDDEN if defect.__name__ in tree]


def test_the_same_attack_gets_the_same_score(small: Path, subject: Any) -> None:
    """Chance comes from the feedback's seed; a score can be repeated."""
    first, second = (evaluate.evaluate(subject(plain), small, "val") for _ in range(2))
    assert first == second
    assert first["calls"] == 600


def test_memory_comes_back(small: Path, subject: Any) -> None:
    """What an attack remembers it gets again with the next feedback of the same campaign."""
    seen = []

    def remember(feedbacks: list[dict]) -> list[dict]:
        seen.extend((feedback["seed"], feedback["round"], feedback["memory"]) for feedback in feedbacks)
        return [{"traces": [[["tick", 1]] * 30] * 20, "memory": f["round"]} for f in feedbacks]

    evaluate.evaluate(subject(remember), small, "val")
    assert len(seen) == 2
    (small / "val.json").write_text(
        json.dumps([{**v, "calls": 1800} for v in json.loads((small / "val.json").read_text())])
    )
    seen.clear()
    evaluate.evaluate(subject(remember), small, "val")
    assert {(count, memory) for _, count, memory in seen} == {(0, None), (1, 0), (2, 1)}


@pytest.mark.parametrize(
    "bad",
    [
        None,
        {},
        {"traces": []},
        {"traces": [[]]},
        {"traces": [[["tick", 1]] * 31]},
        {"traces": [[["tick", 1]]] * 21},
        {"traces": [["tick"]]},
        {"traces": [[[["tick"], 1]]]},
        {"traces": [[["tick"]]]},
        {"traces": [[["tick", True]]]},
        {"traces": [[["tick", 10**9]]]},
        {"traces": [[["__init__"]]]},
        {"traces": [[["issue", "mallory", "bob", ["food"], 1, 1]]]},
        {"traces": [[["issue", ["alice"], "bob", ["food"], 1, 1]]]},
        {"traces": [[["issue", "alice", "bob", "food", 1, 1]]]},
        {"traces": [[["tick", 1]]], "memory": "x" * 5000},
    ],
)
def test_other_answers_are_the_candidates_fault(small: Path, subject: Any, bad: Any) -> None:
    """Whatever breaks the contract is a ValueError; its honest twin of the same shape passes."""
    with pytest.raises(ValueError, match=r"."):
        evaluate.evaluate(subject(lambda feedbacks: [bad] * len(feedbacks)), small, "val")
    good = {
        "traces": [[["issue", "alice", "bob", ["food"], 1, 1], ["tick", 1]] * 15] * 20,
        "memory": "x" * 4000,
    }
    evaluate.evaluate(subject(lambda feedbacks: [good] * len(feedbacks)), small, "val")


def test_names_of_things_that_were_not_made_are_refused() -> None:
    """A position of another kind, of a refused operation or of nothing is no grant."""
    trace = [
        ["tick", 9],
        ["issue", "alice", "bob", BOTH, 5, 5],
        ["revoke", "alice", 0],
        ["release", "bob", 1],
    ]
    accepted, violations = campaign.execute(
        [*trace, ["revoke", "alice", -1], ["revoke", "alice", 7]], protocol.Protocol
    )
    assert accepted == [False, True, False, False, False, False]
    assert violations == []


def test_training_ends_in_time_and_gives_every_operation_a_weight(tmp_path: Path) -> None:
    """The tuning of train.py on visible variants, for half a second."""
    variants = [{"defects": ["NegativeRefund"], "calls": 300}]
    weights = task.train.tune(variants, 1, 0.5, tmp_path / "claims.jsonl")
    assert weights.keys() == protocol.OPERATIONS.keys()
    assert all(weight > 0 for weight in weights.values())


def test_a_protocol_of_ones_own_becomes_a_task(tmp_path: Path, subject: Any) -> None:
    """A module with invariants and no seeds: the planted mistake is found, once per shape, and shrunk."""
    module = Path(__file__).parent / "own_account.py"
    folder = tmp_path / "tasks" / "account"
    command = [sys.executable, str(FOLDER / "own_protocol.py")]
    done = subprocess.run([*command, str(module), str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    own = load_modules(folder, "prepare", "evaluate", "attack", "train", "protocol")
    own.prepare.prepare(tmp_path / "public", tmp_path / "private", b"secret")
    variants = json.loads((tmp_path / "private/val.json").read_text())[:2]
    (tmp_path / "private/val.json").write_text(json.dumps([{**v, "calls": 1200} for v in variants]))

    def answers(feedbacks: list[dict]) -> list[dict]:
        return [own.attack.propose(feedback, own.attack.PLAIN_WEIGHTS) for feedback in feedbacks]

    found = own.evaluate.evaluate(subject(answers), tmp_path / "private", "val")
    assert found["distinct_violations"] >= 1
    again = subprocess.run([*command, str(module), str(folder)], capture_output=True, text=True, check=False)
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    empty = tmp_path / "empty.py"
    empty.write_text("")
    lacking = subprocess.run(
        [*command, str(empty), str(tmp_path / "x")], capture_output=True, text=True, check=False
    )
    assert "lacks OPERATIONS" in lacking.stderr
