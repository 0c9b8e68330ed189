"""Compiled code is kept for the trials of its own source, and nothing else is: no data, no seed, no other's files.

The programs "compile" by writing a file into the folder that Triton would use; one test has torch.compile do it.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sandbox_levels import TrialBench

from harness.records import Direction, Role, TrialResult, TrialSpec
from harness.task.task import Profile, Task, TaskData
from harness.trial import compiled
from harness.trial.compiled import COLD, FOLDER, FROM_BASELINE, PREPARED, pack
from harness.trial.local import Local, LocalExecutor

KERNEL = """
import argparse, json, os, random, sys
from pathlib import Path
from harness.gate import open_gate
parser = argparse.ArgumentParser()
for name in ("--data", "--out", "--seed", "--seconds"):
    parser.add_argument(name)
options = parser.parse_args()
cache = Path(os.environ["TRITON_CACHE_DIR"])
found = {{str(path.relative_to(cache)): path.read_text() for path in sorted(cache.rglob("*")) if path.is_file()}}
kernel = cache / "{name}" / "kernel"
if not kernel.exists():
    kernel.parent.mkdir(parents=True, exist_ok=True)
    data = sorted(path.name for path in Path(options.data).rglob("*") if path.is_file())
    told = {{"seed": options.seed, "data": data, "random": random.Random(7).random()}}
    kernel.write_text(json.dumps(told))
before_gate = {before!r}
exec(before_gate)
training = open_gate(options.data)
exec({after!r})
said = {{"found": found, "seed": options.seed, "files": sorted(training)}}
(Path(options.out) / "model.json").write_text(json.dumps(said))
"""


def kernel(name: str = "a", before: str = "", after: str = "") -> dict[str, bytes]:
    """A program; name: of what it compiles. before, after: what else it does, before and after its gate."""
    return {"train.py": KERNEL.format(name=name, before=before, after=after).encode()}


class Trials:
    """An executor, and what its trials found."""

    def __init__(self, bench: TrialBench, folder: Path, **settings: Any) -> None:
        task, private = folder / "task", folder / "private"
        for path in (task, private):
            path.mkdir(parents=True)
        for name in ("task.yaml", "prepare.py", "evaluate.py", "program.md", "train.py"):
            (task / name).write_text("")
        profile = Profile(5.0, startup_seconds=120.0)
        made = Task(
            str(task), "loss", Direction.MINIMIZE, ("train.py",), {"cpu": profile}, artefact="model.json"
        )
        data = TaskData(bench.public, private)
        self.folder, self.profile, self._count = folder, profile, 0
        self.executor: LocalExecutor = Local(**settings).open(bench.sandbox, made, data, profile, folder)

    def trial(self, source: dict[str, bytes], role: Role = Role.CANDIDATE) -> TrialResult:
        self._count += 1
        clock, limits = self.profile.trial_clock(), self.profile.limits()
        spec = TrialSpec(f"t-{self._count}", "c", role, 9000 + self._count, clock, limits)
        return self.executor.run(spec, source)

    def said(self, result: TrialResult) -> dict[str, Any]:
        assert result.outcome.value == "completed", (result.reason, result.log)
        answer: dict[str, Any] = json.loads((self.folder / result.artefact).read_text())
        return answer

    def found(self, source: dict[str, bytes], role: Role = Role.CANDIDATE) -> dict[str, str]:
        """What lay in the trial's cache when it started: file -> content."""
        found: dict[str, str] = self.said(self.trial(source, role))["found"]
        return found

    def stored(self) -> dict[str, str]:
        """Digests of all that is kept."""
        files = [path for path in (self.folder / FOLDER).iterdir() if len(path.name) == 32]
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def trials(bench: TrialBench, tmp_path: Path) -> Iterator[Trials]:
    made = Trials(bench, tmp_path / "session", compile_once=True)
    with closing(made.executor):
        yield made


def test_the_second_trial_finds_what_its_source_compiles(trials: Trials) -> None:
    """The first is cold and prepares nothing: most proposals get one trial. What is prepared once serves all later."""
    results = [trials.trial(kernel()) for _ in range(3)]
    assert [result.cache for result in results] == [COLD, PREPARED, PREPARED]
    assert [result.preparation_seconds > 0 for result in results] == [False, True, False]
    assert [list(trials.said(result)["found"]) for result in results] == [[], ["a/kernel"], ["a/kernel"]]


def test_a_preparation_has_seen_no_data_and_no_trials_seed(trials: Trials) -> None:
    """It ends at its gate: nothing that stands after it was done, and its dice are its own."""
    grabs = "(cache / 'a' / 'data').write_text(json.dumps(sorted(training)))"
    results = [trials.trial(kernel(after=grabs)) for _ in range(3)]
    found = trials.said(results[2])["found"]
    assert list(found) == ["a/kernel"]
    told = json.loads(found["a/kernel"])
    assert told["data"] == ["meta.json"]
    assert told["seed"] not in {trials.said(result)["seed"] for result in results}
    assert all(trials.said(result)["files"] == ["tokens.txt"] for result in results)


def test_a_poisoned_cache_reaches_no_other_source(trials: Trials) -> None:
    """Group B10: what a candidate leaves in caches, by preparation or by a trial, is read by its own source at most.

    The honest twin compiles a kernel of the same name, and finds its own.
    """
    poison = "(cache / 'shared').mkdir(exist_ok=True); (cache / 'shared' / 'kernel').write_text('poison')"
    attacker, twin = kernel("own", before=poison, after=poison), kernel("shared")
    for _ in range(3):
        trials.found(attacker)
    assert "poison" in trials.found(attacker).values()
    assert trials.found(twin) == {}
    assert list(trials.found(twin)) == ["shared/kernel"]
    assert "poison" not in trials.found(twin).values()


def test_no_trial_changes_what_others_find(trials: Trials) -> None:
    """A trial may write what it likes into its copy: the next one, of its own source too, finds what was prepared."""
    writes = "kernel.write_text('changed'); (cache / 'a' / 'more').write_text(str(sorted(training)))"
    source = kernel(after=writes)
    trials.trial(kernel("base"), Role.BASELINE)
    first, second = [trials.found(source) for _ in range(2)], trials.stored()
    again = [trials.found(source) for _ in range(2)]
    assert again[0] == again[1] == first[1]
    assert list(again[0]) == ["a/kernel", "base/kernel"]
    assert trials.stored() == second
    assert list(trials.found(kernel("base"), Role.BASELINE)) == ["base/kernel"]


def test_the_baseline_is_prepared_first_and_read_by_all(trials: Trials) -> None:
    """Nobody proposed it, and it is sure to have more trials."""
    base = trials.trial(kernel("base"), Role.BASELINE)
    assert (base.cache, base.preparation_seconds > 0) == (PREPARED, True)
    first = trials.trial(kernel("a"))
    assert (first.cache, list(trials.said(first)["found"])) == (FROM_BASELINE, ["base/kernel"])


def test_certificates_read_the_baselines_alone(trials: Trials) -> None:
    """What a preparation drew by chance is the same for all its readers: no certified gain may rest on it."""
    trials.trial(kernel("base"), Role.BASELINE)
    for _ in range(2):
        trials.trial(kernel("a"))
    for role, source in ((Role.CERTIFICATE_HEAD, kernel("a")), (Role.CERTIFICATE_BASELINE, kernel("base"))):
        result = trials.trial(source, role)
        assert (result.cache, list(trials.said(result)["found"])) == (FROM_BASELINE, ["base/kernel"])


def test_another_process_goes_on_with_what_was_prepared(
    trials: Trials, bench: TrialBench, tmp_path: Path
) -> None:
    """A resumed session prepares nothing again."""
    before = [trials.trial(kernel()) for _ in range(2)]
    assert before[1].preparation_seconds > 0
    resumed = Trials.__new__(Trials)
    resumed.__dict__.update(trials.__dict__)
    task = trials.executor
    data = TaskData(bench.public, tmp_path / "session" / "private")
    made = Task(
        str(tmp_path / "session" / "task"), "loss", Direction.MINIMIZE, ("train.py",),
        {"cpu": trials.profile}, artefact="model.json",
    )  # fmt: skip
    resumed.executor = Local(compile_once=True).open(bench.sandbox, made, data, trials.profile, trials.folder)
    with closing(resumed.executor):
        result = resumed.trial(kernel())
    assert task is not resumed.executor
    assert (result.cache, result.preparation_seconds) == (PREPARED, 0.0)


def test_only_the_latest_preparations_are_kept(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    """A night of proposals does not fill the disk; the baseline's stays, and what was forgotten is made again."""
    monkeypatch.setattr(compiled, "_MOST_KEPT", 2)
    trials.trial(kernel("base"), Role.BASELINE)
    for name in ("a", "b", "c"):
        for _ in range(2):
            trials.trial(kernel(name))
    assert len(trials.stored()) == 3
    assert trials.trial(kernel("base"), Role.BASELINE).preparation_seconds == 0
    assert trials.trial(kernel("c")).preparation_seconds == 0
    assert trials.trial(kernel("a")).preparation_seconds > 0


@pytest.mark.parametrize("ending", ["raise SystemExit(3)", "os._exit(0)"])
def test_a_program_that_never_asks_is_prepared_for_nothing_once(trials: Trials, ending: str) -> None:
    """It is not tried again, and its trials end as they would."""
    results = [trials.trial(kernel(before=ending)) for _ in range(3)]
    assert [result.cache for result in results] == [COLD] * 3
    assert [result.preparation_seconds > 0 for result in results] == [False, True, False]
    assert {result.outcome.value for result in results} == {"crashed"}


def test_nothing_is_prepared_where_nothing_compiles(bench: TrialBench, tmp_path: Path) -> None:
    """A profile without a GPU, unless it is asked for."""
    made = Trials(bench, tmp_path / "session")
    with closing(made.executor):
        results = [made.trial(kernel(), Role.BASELINE) for _ in range(2)]
    assert [(result.cache, result.preparation_seconds) for result in results] == [("", 0.0)] * 2
    assert not (made.folder / FOLDER).exists()


def test_links_and_what_is_no_file_are_left_out(trials: Trials) -> None:
    """The attack: a cache that shows what lies elsewhere on the machine to whoever packs it."""
    tricks = """
os.symlink("/etc/passwd", cache / "a" / "link")
os.symlink("/", cache / "root")
os.mkfifo(cache / "a" / "pipe")
os.makedirs(cache / "/".join("d" * 40))
"""
    source = kernel(
        before=f"if not (cache / 'a' / 'pipe').exists():\n{tricks.replace(chr(10), chr(10) + ' ')}"
    )
    trials.trial(source)
    assert list(trials.found(source)) == ["a/kernel"]


def test_a_cache_folder_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    """Nor is one that became too deep or shorter read at all."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("secret")
    (tmp_path / "cache").mkdir()
    os.symlink(tmp_path / "secret", tmp_path / "cache" / "triton_cache_dir")
    place = os.open(tmp_path, os.O_RDONLY)
    pack(place, tmp_path / "packed")
    os.close(place)
    assert (tmp_path / "packed").read_bytes() == b""


TORCH = b"""
import argparse, json
from pathlib import Path
import torch
from harness.gate import open_gate
parser = argparse.ArgumentParser()
for name in ("--data", "--out", "--seed", "--seconds"):
    parser.add_argument(name)
options = parser.parse_args()
torch.manual_seed(int(options.seed))
layer = torch.nn.Linear(8, 8)
compiled = torch.compile(lambda x: torch.nn.functional.gelu(layer(x)).sum())
compiled(torch.randn(4, 8)).backward()
from torch._dynamo.utils import counters
open_gate(options.data)
(Path(options.out) / "model.json").write_text(json.dumps(counters["inductor"]))
"""


@pytest.mark.slow
def test_torchs_own_caches_are_hit_and_start_up_is_shorter(bench: TrialBench, tmp_path: Path) -> None:
    """Under another seed, another salt and another order of sets: forward and backward come out of the cache."""
    made = Trials(bench, tmp_path / "session", compile_once=True)
    made.profile = Profile(60.0, startup_seconds=900.0, processes=256)
    with closing(made.executor):
        cold, prepared = (made.trial({"train.py": TORCH}) for _ in range(2))
    assert made.said(cold).get("fxgraph_cache_miss", 0) >= 2
    hits = made.said(prepared)
    assert (hits.get("fxgraph_cache_hit", 0) >= 1, hits.get("fxgraph_cache_miss", 0)) == (True, 0)
    assert prepared.startup_seconds < cold.startup_seconds
