"""A task: a folder with task.yaml, program.md, prepare.py, evaluate.py and the files that an agent may edit."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from harness.records import Clock, Direction, Files, Limits, SideLimit

PREDICTORS = ("tokens", "items", "none")
DETERMINISM = ("bitwise", "close", "none")
CLOCKS = ("wall", "cpu")
REFEREE_FILES = ("task.yaml", "prepare.py", "evaluate.py")
_HOLD_OUT = ("evaluate.py", "prepare.py")
GIVE_A_REASON = "move what a candidate needs into a module of its own, or say why in readable_because"
_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Profile:
    """What one trial gets. `seconds` is billed from the opening of the data gate, see records.Clock.

    steps, tokens: fixed work instead of time; `seconds` is then only a cap. threads: CPU threads.
    classes: overrides the task's. gpu: whether trials need one. overlay: the task's while this profile is chosen.
    """

    seconds: float
    clock: str = "wall"
    startup_seconds: float = 120.0
    memory_gib: float = 4.0
    threads: int = 1
    steps: int | None = None
    tokens: int | None = None
    classes: int | None = None
    gpu: bool = False
    overlay: str = ""
    processes: int = 64
    out_mib: int = 1024
    artefact_mib: int = 512

    def __post_init__(self) -> None:
        """Raises ValueError for values that cannot be meant."""
        if self.clock not in CLOCKS:
            raise ValueError(f"clock {self.clock!r} is not one of {', '.join(CLOCKS)}")
        for name in ("seconds", "startup_seconds", "memory_gib", "threads", "processes", "out_mib"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be more than 0, not {getattr(self, name)}")

    def trial_clock(self) -> Clock:
        return Clock(self.clock, self.seconds, self.startup_seconds, self.steps, self.tokens)

    def limits(self) -> Limits:
        return Limits(
            memory_bytes=round(self.memory_gib * _GIB),
            processes=self.processes,
            out_bytes=self.out_mib << 20,
            artefact_bytes=self.artefact_mib << 20,
        )


@dataclass(frozen=True, slots=True)
class TaskData:
    """What prepare.py made. public: a trial's `--data`; its child `train` only through the gate. private: labels."""

    public: Path
    private: Path


@dataclass(frozen=True)
class Task:
    """The constructor is the schema of task.yaml; `folder` is added by the harness.

    metric: key in what evaluate() returns; direction: "minimize" or "maximize"; unit: for people.
    editable: what a proposal may change; readable: what an agent and a trial may read besides. artefact: file in out/.
    readable_because: why prepare.py or evaluate.py may be among them: who reads how data are held out may make them
    again; no session starts without it. fixed_held_out_because: why prepare() does without the referee's secret though
    its programs and public downloads alone give the held-out data. unsalted_because: why seeding calls of a trial are
    not salted.
    predictor: whether scoring needs the candidate's own code ("tokens": logits per token, "items": JSON
    answers to JSON items, "none"); script: the file that a trial runs; entry: the file whose
    `load_predictor(artefact, data)` is then called.
    classes: most logits per token. determinism: what the same seed twice gives: "bitwise", "close", "none".
    references: name -> score on val of simple methods, to compare with; they belong to the first profile.
    imports: modules of installed libraries that trials and predictors have imported before their programs begin,
    beside what these name of numpy, torch and safetensors.
    data_packages: distributions (as pip names them) that bring along what the data are made of: where one is installed,
    every trial can read what is held out, and no session starts.
    apart_from_data: readable files that prepare.py does not read: the data are not made again when one changes.
    side_limits: side metric -> how much worse than the baseline's mean it may get (see records.SideLimit).
    replay: folder of recorded proposals. overlay: the profile's, see `for_profile`: a folder in the task's whose files
    stand in for those of the same name: the editable ones, program.md and `replay`. What is readable only is the
    referee's and cannot be replaced.
    """

    folder: str
    metric: str
    direction: Direction
    editable: tuple[str, ...]
    profiles: Mapping[str, Profile]
    unit: str = ""
    readable: tuple[str, ...] = ()
    artefact: str = "model.safetensors"
    predictor: str = "none"
    entry: str = "train.py"
    script: str = "train.py"
    classes: int = 0
    determinism: str = "none"
    references: Mapping[str, float] = field(default_factory=dict)
    replay: str = "replay"
    readable_because: str = ""
    fixed_held_out_because: str = ""
    unsalted_because: str = ""
    imports: tuple[str, ...] = ()
    data_packages: tuple[str, ...] = ()
    apart_from_data: tuple[str, ...] = ()
    side_limits: Mapping[str, SideLimit] = field(default_factory=dict)
    overlay: str = field(default="", init=False)

    def __post_init__(self) -> None:
        """Raises ValueError for a folder that is not a task."""
        if self.predictor not in PREDICTORS:
            raise ValueError(f"predictor {self.predictor!r} is not one of {', '.join(PREDICTORS)}")
        if self.determinism not in DETERMINISM:
            raise ValueError(f"determinism {self.determinism!r} is not one of {', '.join(DETERMINISM)}")
        if PurePosixPath(self.artefact).suffix not in (".safetensors", ".json") or "/" in self.artefact:
            raise ValueError(f"artefact {self.artefact!r} must be a .safetensors or .json file name")
        if self.predictor == "tokens" and not (
            self.classes or all(p.classes for p in self.profiles.values())
        ):
            raise ValueError("predictor tokens needs classes: how many logits there are for each token")
        if not self.editable:
            raise ValueError("editable is empty: name the files that a proposal may change")
        for name in {*self.editable, *self.readable, *REFEREE_FILES, self.entry, self.script, "program.md"}:
            self._check_file(name)
        if set(self.editable) & set(REFEREE_FILES):
            raise ValueError(f"editable may not name {', '.join(REFEREE_FILES)}: they are the referee's")
        if odd := set(self.apart_from_data) - set(self.readable):
            raise ValueError(f"apart_from_data may name readable files only, not {', '.join(sorted(odd))}")
        for overlay in {profile.overlay for profile in self.profiles.values()} - {""}:
            self._check_overlay(overlay)

    def _check_file(self, name: str) -> None:
        self._check_path(name)
        if not (self.path / name).is_file():
            raise ValueError(f"task {self.name} has no file {name}")

    def _check_path(self, name: str) -> None:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or str(path) != name:
            raise ValueError(f"{name!r} is not a plain path inside the task's folder")

    def _check_overlay(self, name: str) -> None:
        self._check_path(name)
        if not (self.path / name).is_dir():
            raise ValueError(f"task {self.name} has no folder {name} to overlay")
        for fixed in sorted({*REFEREE_FILES, *self.readable} - set(self.editable)):
            if (self.path / name / fixed).exists():
                raise ValueError(f"overlay {name} may not hold {fixed}: it is the referee's")

    @property
    def path(self) -> Path:
        return Path(self.folder)

    @property
    def shown_without_reason(self) -> str:
        """What is wrong with a task that shows how its data are held out and does not say why; "" if nothing is.

        The schema takes it: a session that began before a reason was asked for goes on with such a task.
        """
        shown = [name for name in _HOLD_OUT if name in self.readable]
        if not shown or self.readable_because:
            return ""
        names = " and ".join(shown)
        return f"readable names {names}: who reads how data are held out can make them again"

    @property
    def name(self) -> str:
        return self.path.name

    def for_profile(self, name: str) -> "Task":
        """As it is with a profile; unchanged for an unknown one, which Budget.trial_profile refuses."""
        if name not in self.profiles:
            return self
        references = self.references if name == next(iter(self.profiles)) else {}
        made = replace(self, references=references)
        object.__setattr__(made, "overlay", self.profiles[name].overlay)
        return made

    def begun_at(self, folder: str) -> "Task":
        """As it is for an agent whose recorded series began with other files; a profile's overlay stays."""
        if self.overlay or not folder or not (self.path / folder).is_dir():
            return self
        self._check_overlay(folder)
        made = replace(self)
        object.__setattr__(made, "overlay", folder)
        return made

    def file(self, name: str) -> Path:
        """Where an editable file, program.md or the replay folder lies."""
        replaced = self.path / self.overlay / name
        return replaced if replaced.exists() else self.path / name

    @property
    def program_text(self) -> str:
        """The task's own notes to an agent."""
        return self.file("program.md").read_text(encoding="utf-8")

    def fixed_files(self) -> Files:
        """The referee's part of the folder's programs: what is readable only, and modules that it may import."""
        names = {*self.readable, *REFEREE_FILES, *(file.name for file in self.path.glob("*.py"))}
        names -= {*self.editable, "task.yaml"}  # the schema's values are compared as such
        return {name: (self.path / name).read_bytes() for name in sorted(names)}

    def source(self) -> Files:
        """A candidate's tree: the editable and the readable files, as they are in the folder."""
        names = dict.fromkeys((*self.editable, *self.readable))
        return {name: self.file(name).read_bytes() for name in names}
