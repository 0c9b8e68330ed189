"""`executor=ray`: a trial and its scoring are one actor of a Ray cluster that runs already.

The actor starts the referee's agent as a process of its own and hands its answer over, as bytes. It outlives the
harness, which finds it again by its name. That an actor, its node or its memory is gone is an infrastructure failure;
an agent that ends without an answer has an exit code, and is told apart from these by it.
"""

import contextlib
import io
import json
import os
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, InfrastructureError, UserError
from harness.slots.elsewhere import NotNow, RemoteSlots, State, job_name, safe_environment
from harness.slots.node import PLACE
from harness.slots.order import Order
from harness.slots.parcel import KIT, ORDER, RESULT, Kit, folder_name, write
from harness.task.task import Profile
from harness.trial.trial import ARTEFACTS

NAMESPACE = "harness"
_NODE_ID = "ray.io/node-id"
_EXTRA_GIB = 2.0  # beside a trial's own memory: the referee's agent and its predictors
_KEPT_SECONDS = 3600.0  # an answer that nobody fetches is given up, and with it the actor's resources
_MOST_ASKING = 16  # of a harness that is begun again and again, while a trial goes on
Answer = tuple[dict[str, bytes], int, str]  # files by name, exit code of the agent, id of the node
_FETCH_SECONDS = 120.0  # for an answer that is ready, its artefact included
_HEAD_ANSWERS_SECONDS, _HEAD_AWAY_SECONDS = 3.0, 40.0
_DIED = {  # by the names of Ray's exceptions
    "OutOfMemoryError": "ray_out_of_memory",
    "NodeDiedError": "ray_node_died",
    "ActorUnschedulableError": "ray_unschedulable",
    "ActorDiedError": "ray_actor_died",
    "RayActorError": "ray_actor_died",
    "WorkerCrashedError": "ray_worker_crashed",
}


@dataclass(frozen=True, slots=True)
class Ray:
    """slots: actors at a time. address: of the cluster. cpus, gpus, memory_gib: of an actor; None: by the profile.

    resources: further ones that a node must have, by name. shared_folder: whether nodes see this machine's data and
    tasks under the same paths; else they are sent, once a node. salted_seeding, reordering: see Local.
    """

    slots: int = 4
    address: str = "auto"
    cpus: float | None = None
    gpus: float | None = None
    memory_gib: float | None = None
    resources: dict[str, float] = field(default_factory=dict)
    shared_folder: bool = False
    poll_seconds: float = 2.0
    salted_seeding: bool = True
    reordering: bool = True

    def __post_init__(self) -> None:
        """Raises ValueError for values that cannot be meant."""
        if self.slots < 1 or not self.poll_seconds > 0:
            raise ValueError("slots and poll_seconds must be above 0")

    def device(self, _: Profile) -> None:
        """No GPU here, where the harness runs."""

    def open_slots(self, kit: Kit, folder: Path) -> RemoteSlots:
        """folder: the session's. Raises UserError where no such cluster is, or one that anybody may use."""
        _connect(self.address)
        return RemoteSlots(
            kit, folder, Actors(self, kit, folder), self.slots, self.poll_seconds, grace_seconds=0.0
        )


def _connect(address: str) -> None:
    """Raises UserError."""
    # Else Ray ends this process by itself, a minute after the head has gone; see Actors._check_head.
    os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "86400")
    try:
        import ray
    except ImportError:
        raise UserError('executor=ray needs ray: pip install "harness[ray]", there and here') from None
    if os.environ.get("RAY_AUTH_MODE") != "token":
        raise UserError(
            "executor=ray: whoever reaches a cluster without a token runs programs on it; start it with "
            "RAY_AUTH_MODE=token and a token (RAY_AUTH_TOKEN), and set both here"
        )
    try:
        with _silent():
            ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        raise UserError(
            f"executor=ray: no cluster at {address} that knows this token (RAY_AUTH_TOKEN): {_line(error)}"
        ) from None


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Ray's own programs write to our standard error what is said by an exception, too."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


class Actors:
    """Implements elsewhere.Transport."""

    def __init__(self, options: Ray, kit: Kit, session: Path) -> None:
        import ray

        self._ray, self._options, self._name = ray, options, job_name(session)
        self._kit = kit.to_bytes()
        self._sent = (
            {} if options.shared_folder else {name: ray.put(pack(path)) for name, path in _folders(kit)}
        )
        self._resources = self._needed(kit.profile)
        self._actors: dict[str, Any] = {}
        self._answers: dict[str, Any] = {}
        self._avoided: list[str] = []
        self._only = ""
        self._not_ended: list[Any] = []  # actors that are to be killed
        self._head: str = ray.get_runtime_context().gcs_address
        self._away_since = 0.0

    def _needed(self, profile: Profile) -> dict[str, Any]:
        options = self._options
        gib = options.memory_gib or profile.memory_gib + _EXTRA_GIB
        return {
            "num_cpus": options.cpus or profile.threads,
            "num_gpus": options.gpus if options.gpus is not None else float(profile.gpu),
            "memory": gib * (1 << 30),
            "resources": options.resources,
        }

    @property
    def most(self) -> int:
        return 1

    def _check_head(self) -> None:
        """Before whatever blocks while Ray's head is away. Raises NotNow, HarnessError when that has been for long."""
        host, _, port = self._head.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=_HEAD_ANSWERS_SECONDS).close()
        except OSError as error:
            self._away_since = self._away_since or time.monotonic()
            away = time.monotonic() - self._away_since
            if away < _HEAD_AWAY_SECONDS:
                raise NotNow(f"Ray's head does not answer at {self._head}") from error
            raise HarnessError(
                f"Ray's head has not answered at {self._head} for {away:.0f} s, and with it the cluster is gone: "
                "start it again, then repeat the command"
            ) from error
        self._away_since = 0.0

    def send(self, orders: Sequence[tuple[Order, Path]]) -> None:
        self._check_head()
        self._check_avoided()
        for order, folder in orders:
            kind = self._ray.remote(Bench)
            options = {**self._resources, **self._where()}
            try:
                actor = kind.options(
                    name=self._actor_name(order.id), namespace=NAMESPACE, lifetime="detached", max_restarts=0,
                    max_task_retries=0, max_concurrency=_MOST_ASKING, **options,
                ).remote(self._kit, (folder / ORDER).read_bytes())  # fmt: skip
            except (self._ray.exceptions.RayError, ValueError) as error:
                raise InfrastructureError(f"Ray refused: {_line(error)}") from error
            self._follow(order.id, actor)

    def _parts(self) -> list[Any]:
        return [list(self._sent), *self._sent.values()]

    def _where(self) -> dict[str, Any]:
        """Which nodes may take an actor, as far as that is not left to Ray."""
        if self._only:
            return {"label_selector": {_NODE_ID: self._only}}
        return {"label_selector": {_NODE_ID: f"!in({', '.join(self._avoided)})"}} if self._avoided else {}

    def kinds(self) -> dict[str, str]:
        """What nodes there are, in words, and the id of one of each kind."""
        found: dict[str, str] = {}
        for node in self._ray.nodes():
            if node["Alive"]:
                there = node["Resources"]
                gib = there.get("memory", 0) / (1 << 30)
                cards = f"{there['GPU']:g} GPUs" if there.get("GPU") else "no GPU"
                found.setdefault(
                    f"{there.get('CPU', 0):g} cores, {gib:.0f} GiB, {cards}", str(node["NodeID"])
                )
        return found

    def only_on(self, place: str) -> None:
        self._only = place

    def _actor_name(self, order_id: str) -> str:
        return f"{self._name}-{folder_name(order_id)}"

    def _follow(self, order_id: str, actor: Any) -> None:
        """Asks for its answer; that begins the work, where it was not begun before."""
        self._actors[order_id] = actor
        self._answers[order_id] = actor.work.remote(*self._parts())

    def _check_avoided(self) -> None:
        """Ray would let an order that no node may take wait for ever. Raises InfrastructureError."""
        there = [str(node["NodeID"]) for node in self._ray.nodes() if node["Alive"]]
        if self._avoided and set(there) <= set(self._avoided):
            raise InfrastructureError("every node of the cluster is below the wanted isolation")

    def states(self, folders: Mapping[str, Path]) -> Mapping[str, State]:
        self._end_again()
        waits = self._waits()
        hopeless = bool(self._only and waits)
        waiting = State(over=True, reason="too_small", log=waits) if hopeless else State(waits=waits)
        found = {}
        for order_id, folder in folders.items():
            if (answer := self._answers.get(order_id)) is not None:
                ready, _ = self._ray.wait([answer], timeout=0)
                found[order_id] = self._fetched(order_id, answer, folder) if ready else waiting
        return found

    def _waits(self) -> str:
        """Why orders may wait for ever, unless another node joins; "" where one of them has what they need."""
        needed = {"CPU": self._resources["num_cpus"], "GPU": self._resources["num_gpus"]}
        needed |= {"memory": self._resources["memory"], **self._resources["resources"]}
        for node in self._ray.nodes():
            there = node["Resources"] if node["Alive"] and self._only in ("", node["NodeID"]) else {}
            if all(there.get(name, 0.0) >= least for name, least in needed.items() if least):
                return ""
        said = ", ".join(f"{name} {_amount(name, least)}" for name, least in needed.items() if least)
        return f"no node of the cluster has what a trial needs ({said}): it waits for one that has"

    def _fetched(self, order_id: str, answer: Any, folder: Path) -> State:
        try:
            files, code, place = self._ray.get(answer, timeout=_FETCH_SECONDS)
            state = State(over=RESULT not in files, reason=f"agent_exit_{code}", place=place)
            _lay_out(files, folder)
        except self._ray.exceptions.RayError as error:
            state = State(over=True, reason=_cause(error))
        except (OSError, ValueError, TypeError, AttributeError) as error:
            state = State(over=True, reason="bad_answer", place=_line(error))
        with contextlib.suppress(NotNow):
            self.end(order_id, folder)
        return state

    def end(self, order_id: str, folder: Path) -> None:  # noqa: ARG002 -- the actor has a name
        self._answers.pop(order_id, None)
        if (actor := self._actors.pop(order_id, None)) is not None:
            self._not_ended.append(actor)
            self._end_again()

    def _end_again(self) -> None:
        """Actors that nobody wants any more: until Ray's head has heard of it. Raises as _check_head does."""
        self._check_head()
        while self._not_ended:
            self._ray.kill(self._not_ended.pop())

    def find_again(self, order_id: str, folder: Path) -> bool:  # noqa: ARG002 -- the actor has a name
        try:
            actor = self._ray.get_actor(self._actor_name(order_id), namespace=NAMESPACE)
        except ValueError:
            return False
        self._follow(order_id, actor)
        return True

    def avoid(self, place: str) -> None:
        self._avoided.append(place)

    def close(self) -> None:
        with contextlib.suppress(HarnessError):
            self._end_again()
            self._ray.shutdown()


class Bench:
    """On the node. Made of bytes alone; what it answers is bytes again."""

    def __init__(self, kit: bytes, order: bytes) -> None:
        self._kit, self._order = kit, order
        self._answer: Answer | None = None
        self._one = threading.Lock()

    def work(self, names: list[str], *parts: bytes) -> Answer:
        """The same answer however often it is asked for: a harness that has begun anew asks again."""
        with self._one:
            if self._answer is None:
                self._answer = self._made(names, parts)
                leave = threading.Timer(_KEPT_SECONDS, os._exit, (0,))
                leave.daemon = True
                leave.start()
            return self._answer

    def _made(self, names: Sequence[str], parts: Sequence[bytes]) -> Answer:
        import ray

        place = str(ray.get_runtime_context().get_node_id())
        with tempfile.TemporaryDirectory(prefix="harness-order-") as outside:
            folder = Path(outside) / "order"
            folder.mkdir()
            kit = with_folders(
                self._kit, {name: unpack(part) for name, part in zip(names, parts, strict=True)}
            )
            write(Path(outside) / KIT, kit)
            write(folder / ORDER, self._order)
            done = subprocess.run(
                [sys.executable, "-m", "harness.slots.node", str(folder)],
                env={**safe_environment(), **_cards(), PLACE: place},
                stdin=subprocess.DEVNULL,
                check=False,
            )
            return collected(folder), done.returncode, place


def _cards() -> dict[str, str]:
    """Which GPUs Ray gave this actor."""
    return {name: os.environ[name] for name in ("CUDA_VISIBLE_DEVICES",) if name in os.environ}


def collected(folder: Path) -> dict[str, bytes]:
    files = [folder / RESULT, *(folder / ARTEFACTS).glob("*"), *(folder / "logs").glob("*.log")]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files if file.is_file()}


def _lay_out(files: Mapping[str, bytes], folder: Path) -> None:
    """As the agent left them; the result last. Raises ValueError for a name that leads elsewhere."""
    for name in sorted(files, key=lambda name: name == RESULT):
        path = Path(name)
        if name != RESULT and (
            path.is_absolute() or len(path.parts) != 2 or path.parts[0] not in (ARTEFACTS, "logs")
        ):
            raise ValueError(f"a file {name[:60]!r}")
        (folder / path).parent.mkdir(exist_ok=True)
        write(folder / path, files[name])


def _folders(kit: Kit) -> list[tuple[str, Path]]:
    found = [
        ("folder", kit.task.path.resolve()),
        ("public", Path(kit.public)),
        ("private", Path(kit.private)),
    ]
    return [*found, ("placebo", Path(kit.placebo))] if kit.placebo else found


def pack(folder: Path) -> bytes:
    """Its regular files, names and modes."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.add(folder, arcname="data", filter=_plain)
    return content.getvalue()


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 0
    return member if (member.isreg() or member.isdir()) and "__pycache__" not in member.name else None


def unpack(content: bytes) -> str:
    """Where it lies on this machine; laid out once, by its digest. Others of this machine cannot read it."""
    place = Path(tempfile.gettempdir()) / f"harness-{os.getuid()}"
    place.mkdir(mode=0o711, exist_ok=True)
    if place.lstat().st_uid != os.getuid() or place.is_symlink():
        raise InfrastructureError(f"{place} is somebody else's")
    target = place / sha256(content).hexdigest()[:32]
    if not target.exists():
        beside = Path(tempfile.mkdtemp(prefix=".new-", dir=place))
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            archive.extractall(beside, filter="data")
        beside.chmod(0o711)
        if target.exists():
            return str(target / "data")
        os.rename(beside, target)
    return str(target / "data")


def with_folders(kit: bytes, places: Mapping[str, str]) -> bytes:
    """The kit with the folders as they lie on this node."""
    values = json.loads(kit)
    for name, place in places.items():
        (values["task"] if name == "folder" else values)[name] = place
    return json.dumps(values).encode()


def _cause(error: BaseException) -> str:
    """In a word; the most telling of its classes."""
    names = [kind.__name__ for kind in type(error).__mro__]
    for name, reason in _DIED.items():
        if name in names:
            died: Callable[[str], bool] = str(error).__contains__
            node = reason == "ray_actor_died" and (
                died("node has died") or died("node died") or died("NODE_DIED")
            )
            return "ray_node_died" if node else reason
    return f"ray_{names[0]}"


def _amount(name: str, least: float) -> str:
    return f"{least / (1 << 30):.1f} GiB" if name == "memory" else f"{least:g}"


def _line(said: object) -> str:
    return " ".join(str(said).split())[:300]
