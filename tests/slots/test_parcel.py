"""What travels to a node and back, and what a forged or broken answer comes to."""

import errno
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.config.setup import load
from harness.errors import InfrastructureError
from harness.records import Clock, Level, Limits, Observation, Outcome, Role, Score, TrialResult, TrialSpec
from harness.slots import node
from harness.slots.elsewhere import NotNow, RemoteSlots, State, job_name
from harness.slots.on_ray import pack, unpack, with_folders
from harness.slots.order import Measured, Order, digest
from harness.slots.parcel import (
    RESULT,
    Kit,
    folder_name,
    order_bytes,
    order_of,
    received,
    result_bytes,
    write,
)

ID = "p0001-1@3"
SPEC = TrialSpec(ID, "c" * 40, Role.CANDIDATE, 5, Clock("cpu", 2.0), Limits(artefact_bytes=1000))
ORDER = Order(ID, SPEC, {"train.py": b"\x00\xff", "a/b": b""})
CRASH = TrialResult(
    ID, Outcome.CRASHED, "exit_1", log="boom", level=Level.L3, claims={"step": [1, {"a": None}]}
)


def kit(**changes: Any) -> Kit:
    setup = load(["task=digits"])
    values: dict[str, Any] = {
        "task": setup.task, "profile_name": "cpu", "profile": setup.task.profiles["cpu"], "scoring": setup.scoring,
        "public": "/a", "private": "/b", "placebo": None, "salted_seeding": True, "reordering": True, "level": "auto",
        "least_level": Level.L1, "allow_unsafe": False,
    }  # fmt: skip
    return Kit(**{**values, **changes})


def test_kit_and_order_come_back_as_they_went() -> None:
    made = kit()
    assert Kit.of(made.to_bytes()) == made
    seen = Observation("b", "c", Role.BASELINE, 1, Outcome.COMPLETED, 1.5, claims={"a": [1]}, side={"x": 2.0})
    order = Order(ID, SPEC, ORDER.source, baseline=(seen,))
    assert order_of(order_bytes(order, "word")) == (order, "word")


def test_nothing_of_ours_is_in_an_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither keys of the environment nor the secret that seeds come from."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-secret")
    sent = kit().to_bytes() + order_bytes(ORDER, "word")
    assert b"secret" not in sent.replace(b"kept_secret", b"")


def forged(change: Callable[[dict[str, Any]], object]) -> bytes:
    values = json.loads(result_bytes(Measured(ID, CRASH), "word"))
    change(values)
    return json.dumps(values).encode()


FORGERIES: dict[str, Callable[[dict[str, Any]], object]] = {
    "another order": lambda v: v.update(id="p0002-1@4"),
    "without the word": lambda v: v.update(nonce=""),
    "a score for a crash": lambda v: v.update(scores=[{"status": "scored", "value": 0.0}]),
    "completed without a score": lambda v: v["result"].update(outcome="completed"),
    "another trial": lambda v: v["result"].update(trial_id="p0002-1@4"),
    "an unknown field": lambda v: v["result"].update(more=1),
    "a missing field": lambda v: v["result"].pop("log"),
    "a text for a number": lambda v: v["result"].update(billed_seconds="soon"),
    "an unknown outcome": lambda v: v["result"].update(outcome="splendid"),
    "a foreign path": lambda v: v["result"].update(artefact="../../etc/passwd", artefact_sha256="0" * 64),
    "beside is no mapping": lambda v: v.update(beside=[1]),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_answer_is_none(name: str, tmp_path: Path) -> None:
    (tmp_path / "order").mkdir()
    (tmp_path / "order" / RESULT).write_bytes(forged(FORGERIES[name]))
    with pytest.raises(InfrastructureError):
        received(tmp_path / "order", ID, "word", SPEC.limits, "model.json", tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"1e999", b'{"id":' * 10_000, b'{"id": NaN}'])
def test_an_answer_that_is_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / RESULT).write_bytes(content)
    with pytest.raises(InfrastructureError):
        received(tmp_path, ID, "word", SPEC.limits, "model.json", tmp_path)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(result_bytes(Measured(ID, CRASH), "word"))
    (tmp_path / RESULT).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InfrastructureError):
        received(tmp_path, ID, "word", SPEC.limits, "model.json", tmp_path)


def test_an_honest_answer_comes_through(tmp_path: Path) -> None:
    (tmp_path / RESULT).write_bytes(result_bytes(Measured(ID, CRASH, place="node1"), "word"))
    assert received(tmp_path, ID, "word", SPEC.limits, "model.json", tmp_path) == Measured(
        ID, CRASH, place="node1"
    )


@pytest.mark.parametrize("attack", ["", "bytes", "link", "digest", "size"])
def test_an_artefact_is_taken_as_a_trials_is(attack: str, tmp_path: Path) -> None:
    from hashlib import sha256

    order, session = tmp_path / "order", tmp_path / "session"
    for folder in (order / "artefacts", session):
        folder.mkdir(parents=True)
    content = b"[1, 2]" if attack != "size" else b"[" + b"1," * 600 + b"1]"
    file = order / "artefacts" / "p0001-1_3.json"
    told = sha256(content).hexdigest()
    file.write_bytes(b"not json" if attack == "bytes" else content)
    if attack == "link":
        os.rename(file, order / "real")
        file.symlink_to(order / "real")
    if attack == "digest":
        told = "0" * 64
    done = TrialResult(ID, Outcome.COMPLETED, "exit_0", "artefacts/p0001-1_3.json", told)
    (order / RESULT).write_bytes(result_bytes(Measured(ID, done, (Score("scored", 1.0),)), "word"))
    if attack:
        with pytest.raises(InfrastructureError):
            received(order, ID, "word", SPEC.limits, "model.json", session)
        assert not list(session.rglob("*.json"))
    else:
        found = received(order, ID, "word", SPEC.limits, "model.json", session)
        assert (session / found.result.artefact).read_bytes() == content


def test_data_are_laid_out_once_and_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    data = tmp_path / "data"
    data.mkdir()
    (data / "labels").write_bytes(b"1")
    (data / "leads out").symlink_to("/etc/passwd")
    place = unpack(pack(data))
    assert unpack(pack(data)) == place
    assert [file.name for file in Path(place).iterdir()] == ["labels"]
    moved = Kit.of(with_folders(kit().to_bytes(), {"public": place}))
    assert (moved.public, moved.private) == (place, "/b")


@dataclass
class PlayedQueue:
    """A transport whose jobs do what a test says. loses: ids that never answer, and why."""

    loses: dict[str, str] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    avoided: list[str] = field(default_factory=list)
    refuses: bool = False
    refuses_ids: frozenset[str] | set[str] = frozenset()
    most: int = 64
    waits: str = ""
    absent: int = 0
    silent: bool = False
    answer: Callable[[Order], Measured] = lambda order: Measured(
        order.id, TrialResult(order.id, Outcome.CRASHED, "exit_1"), place="node1"
    )

    def send(self, orders: Sequence[tuple[Order, Path]]) -> None:
        if self.absent:
            self.absent -= 1
            raise NotNow("sbatch: Unable to contact slurm controller")
        if self.refuses or self.refuses_ids & {order.id for order, _ in orders}:
            raise InfrastructureError("sbatch refused: no such partition")
        for order, folder in orders:
            self.sent.append(order.id)
            if order.id not in self.loses:
                _, nonce = order_of((folder / "order.json").read_bytes())
                write(folder / RESULT, result_bytes(self.answer(order), nonce))

    def states(self, folders: Mapping[str, Path]) -> Mapping[str, State]:
        if self.silent:
            raise InfrastructureError("squeue: cannot contact the controller")
        return {
            name: State(over=not self.waits, reason=self.loses[name], place="node2", waits=self.waits)
            for name in folders
            if name in self.loses
        }

    def end(self, order_id: str, _: Path) -> None:
        self.ended.append(order_id)

    def find_again(self, order_id: str, _: Path) -> bool:
        if self.absent:
            self.absent -= 1
            raise NotNow("scontrol: Unable to contact slurm controller")
        return order_id in self.sent

    def avoid(self, place: str) -> None:
        self.avoided.append(place)

    def kinds(self) -> Mapping[str, str]:
        return {}

    def only_on(self, place: str) -> None: ...

    def close(self) -> None: ...


def remote(tmp_path: Path, queue: PlayedQueue, count: int = 4) -> RemoteSlots:
    return RemoteSlots(kit(), tmp_path, queue, count, poll_seconds=0.01, grace_seconds=0.0)


def test_a_job_that_is_lost_is_an_infrastructure_failure(tmp_path: Path) -> None:
    """With the queue's own word for it, whatever that is."""
    slots = remote(tmp_path, PlayedQueue(loses={ID: "preempted"}))
    slots.start(ORDER)
    (found,) = slots.finished(5.0)
    assert (found.result.outcome, found.result.reason) == (Outcome.INFRA_FAILED, "preempted")
    assert not list((tmp_path / "slots").glob("p*"))


def test_a_queue_that_refuses_or_is_silent(tmp_path: Path) -> None:
    """A refusal fails the trial for a reason of ours; silence costs nothing but a notice, once."""
    queue = PlayedQueue(refuses=True)
    slots = remote(tmp_path, queue)
    slots.start(ORDER)
    (found,) = slots.finished(5.0)
    assert found.result.reason == "not_sent"
    assert "no such partition" in found.result.log
    queue.refuses, queue.silent = False, True
    queue.loses = {"p0002-1@4": "later"}
    slots.start(Order("p0002-1@4", TrialSpec("p0002-1@4", "", Role.CANDIDATE, 1, Clock(), Limits()), {}))
    assert slots.finished(0.1) == []
    assert slots.finished(0.1) == []
    assert len(slots.notices()) == 1
    queue.silent = False
    assert slots.finished(5.0)[0].result.reason == "later"


def test_orders_wait_for_a_daemon_that_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are sent when it is back, and nobody's trial has failed."""
    monkeypatch.setattr("harness.slots.elsewhere._AGAIN_SECONDS", 0.01)
    slots = remote(tmp_path, PlayedQueue(absent=3))
    slots.start(ORDER)
    (found,) = slots.finished(10.0)
    assert found.result.reason == "exit_1"
    assert len(slots.notices()) == 1


def refused_on(*places: str) -> Callable[[Order], Measured]:
    """By each of these places in turn, then measured on node9."""
    left = list(places)

    def answer(order: Order) -> Measured:
        if not left:
            return Measured(order.id, TrialResult(order.id, Outcome.CRASHED, "exit_1"), place="node9")
        result = TrialResult(order.id, Outcome.INFRA_FAILED, "isolation", log="L0 is measured")
        return Measured(order.id, result, place=left.pop(0))

    return answer


def test_a_node_below_the_wanted_isolation_is_left_alone(tmp_path: Path) -> None:
    """Its trial is made elsewhere, at no cost of an attempt; each such node is named once."""
    queue = PlayedQueue(answer=refused_on("node3", "node4"))
    slots = remote(tmp_path, queue)
    slots.start(ORDER)
    (found,) = slots.finished(5.0)
    assert (found.result.reason, found.place) == ("exit_1", "node9")
    assert queue.avoided == ["node3", "node4"]
    assert queue.sent == [ID] * 3
    assert slots.notices() == [f"node{number} gets no trial: L0 is measured" for number in (3, 4)]


@pytest.mark.parametrize(
    "places", [("node3", "node3"), ("node3,node4",), ("node3\n#SBATCH --wrap=x",), ("",)]
)
def test_a_refusal_that_cannot_be_avoided_is_a_failure(places: tuple[str, ...], tmp_path: Path) -> None:
    """By a place that gets orders all the same, and by what is no name of a place: that reaches no queue."""
    queue = PlayedQueue(answer=refused_on(*places))
    slots = remote(tmp_path, queue)
    slots.start(ORDER)
    assert slots.finished(5.0)[0].result.outcome is Outcome.INFRA_FAILED
    assert queue.avoided in ([], ["node3"])


def test_orders_go_out_in_parts_that_a_queue_takes(tmp_path: Path) -> None:
    """A part that is refused takes no other one with it."""
    queue = PlayedQueue(most=2, refuses_ids={"p0001-3@1"})
    slots = remote(tmp_path, queue)
    for number in range(1, 5):
        name = f"p0001-{number}@1"
        slots.start(Order(name, TrialSpec(name, "", Role.CANDIDATE, 1, Clock(), Limits()), {}))
    found = {measured.id: measured.result.reason for measured in slots.finished(5.0)}
    assert queue.sent == ["p0001-1@1", "p0001-2@1"]
    assert found == {
        "p0001-1@1": "exit_1", "p0001-2@1": "exit_1", "p0001-3@1": "not_sent", "p0001-4@1": "not_sent",
    }  # fmt: skip


def test_an_unusual_wait_is_said_once(tmp_path: Path) -> None:
    queue = PlayedQueue(loses={ID: ""}, waits="a job waits in Slurm's queue: JobHeldAdmin")
    slots = remote(tmp_path, queue)
    slots.start(ORDER)
    assert slots.finished(0.1) == []
    assert slots.finished(0.1) == []
    assert slots.notices() == ["a job waits in Slurm's queue: JobHeldAdmin"]


def test_a_full_shared_folder_fails_the_trial_and_not_the_harness(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots = remote(tmp_path, PlayedQueue())

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("harness.slots.elsewhere.write", full)
    slots.start(ORDER)
    (found,) = slots.finished(5.0)
    assert (found.result.outcome, found.result.reason) == (Outcome.INFRA_FAILED, "os_error_28")
    assert not list((tmp_path / "slots").glob("p*"))


def test_an_order_that_is_started_again_is_not_measured_again(tmp_path: Path) -> None:
    """Whoever requeues a job gives its program no second look at its seed."""
    folder = tmp_path / "order"
    folder.mkdir()
    write(folder / "order.json", order_bytes(ORDER, "word"))
    write(tmp_path / "kit.json", kit().to_bytes())
    (folder / "begun").touch()
    assert node.main([str(folder)]) == 0
    found = received(folder, ID, "word", Limits(), "weights.safetensors", tmp_path)
    assert (found.result.outcome, found.result.reason) == (Outcome.INFRA_FAILED, "started_twice")


def test_what_was_sent_is_found_again_and_what_was_not_is_not(tmp_path: Path) -> None:
    queue = PlayedQueue(loses={ID: "late"}, silent=True)
    first = remote(tmp_path, queue)
    first.start(ORDER)
    first.finished(0.0)
    second, queue.silent = remote(tmp_path, queue), False
    assert second.find_again(ID)
    assert not second.find_again("p0009-1@9")
    assert second.finished(5.0)[0].id == ID


def test_a_resumed_session_waits_for_who_has_its_orders(tmp_path: Path) -> None:
    """A daemon that is a moment away costs no trial; one that stays away ends the session, and its orders go on."""
    queue = PlayedQueue(loses={ID: "late"}, silent=True)
    first = remote(tmp_path, queue)
    first.start(ORDER)
    first.finished(0.0)
    queue.absent = 3
    assert remote(tmp_path, queue).find_again(ID)
    queue.absent = 1000
    impatient = RemoteSlots(kit(), tmp_path, queue, 4, poll_seconds=0.01, patience_seconds=0.0)
    with pytest.raises(NotNow, match="Resume the session when it does"):
        impatient.find_again(ID)
    queue.absent = 0
    assert remote(tmp_path, queue).find_again(ID)  # nothing was cleared away
    assert queue.ended == []


def test_an_order_that_was_half_written_leaves_nothing(tmp_path: Path) -> None:
    """The harness was killed in the middle of it."""
    slots = remote(tmp_path, PlayedQueue())
    half = tmp_path / "slots" / folder_name(ID)
    half.mkdir()
    (half / ".order.json.new").write_text("{")
    assert not slots.find_again(ID)
    assert not half.exists()


def test_an_order_that_is_not_wanted_any_more_is_ended(tmp_path: Path) -> None:
    queue = PlayedQueue(loses={ID: "never"}, silent=True)
    slots = remote(tmp_path, queue)
    slots.start(ORDER)
    slots.finished(0.0)
    slots.cancel(ID)
    assert queue.ended == [ID]
    assert slots.finished(5.0)[0].result.reason == "not_wanted"


def test_a_sessions_name_in_a_queue_is_its_own(tmp_path: Path) -> None:
    """The same when it is resumed; another one for a folder of the same path on another machine."""
    (tmp_path / "here").mkdir()
    first = job_name(tmp_path / "here")
    assert job_name(tmp_path / "here") == first
    (tmp_path / "here").rename(tmp_path / "there")
    (tmp_path / "here").mkdir()
    assert job_name(tmp_path / "here") != first


def test_what_was_cancelled_leaves_nothing_behind(tmp_path: Path) -> None:
    """Also where nobody asks any more."""
    queue = PlayedQueue(loses={ID: "never"}, silent=True)
    slots = remote(tmp_path, queue)
    slots.start(ORDER)
    slots.finished(0.0)
    slots.cancel(ID)
    slots.close()
    assert not list((tmp_path / "slots").glob("p*"))


def test_a_programs_digest_tells_programs_apart() -> None:
    programs = [{"a": b"1"}, {"a": b"2"}, {"b": b"1"}, {"a": b"1", "b": b""}, {"a 1": b""}, {}]
    assert len({digest(program) for program in programs}) == len(programs)
