"""What is a hunted seed worth? A program is tried with many seeds written into it: does the best one gain afterwards?

    python scripts/seed_hunt.py task=digits budget.steps=3000 [--seeds 20] [--fresh 20] [--dice none,order,salt,both]

Under each setting of the referee's dice (none: neither seeding nor order is drawn per trial; order; salt; both, as in a
session) it runs one trial for each of `--seeds` wired seeds, takes the best, and compares it on
`--fresh` new trials with the program as it is, and the wired seed 137 with the wired 42. Everything else is
as in `python -m harness`: the same overrides, sandbox, clock and evaluator. Fixed work (budget.steps) shows luck alone;
a time budget also shows the machine. For a GPU: task=nanochat budget=gpu budget.seconds=30 --seeds 20 --fresh 8 --dice
none,both takes half an hour or so. What a wired seed is: `--seed` is read and ignored, and numbers given to manual_seed
are replaced. --quick: each trial is a fork of this process, with the same dice but without sandbox, clock and audits: a
tenth of the cost, for fixed work, and for programs that one trusts.
"""

import argparse
import dataclasses
import importlib
import json
import os
import re
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path

from plain_trial import Data, Program, played

from harness.commands import run
from harness.config.setup import Setup, load
from harness.errors import UserError
from harness.records import Direction, Files, Outcome, Role, Split, TrialSpec
from harness.scoring.evaluator import SandboxEvaluator
from harness.task.prepare import prepared
from harness.trial import salted_seeding
from harness.trial.gate_keeper import TrainingFiles
from harness.trial.local import Dice
from harness.trial.seeds import new_secret, trial_seed

DICE = {"none": (False, False), "order": (False, True), "salt": (True, False), "both": (True, True)}
"""Name -> (salted seeding, reordering)."""


class SandboxBench:
    """Trials and scores under one setting of the dice."""

    def __init__(self, setup: Setup, dice: str, folder: Path, stack: ExitStack) -> None:
        self.setup, self.profile = setup, setup.budget.trial_profile(setup.task)
        data = prepared(setup.task, setup.budget.profile, choices=setup.data)
        sandbox = stack.enter_context(closing(setup.open_sandbox()))
        salted, reordered = DICE[dice]
        executor = dataclasses.replace(setup.executor, salted_seeding=salted, reordering=reordered)
        self.executor = stack.enter_context(
            closing(executor.open(sandbox, setup.task, data, self.profile, folder))
        )
        gpu = executor.device(self.profile)
        evaluator = SandboxEvaluator(sandbox, setup.task, data, self.profile, folder, setup.scoring, gpu)
        self.evaluator = stack.enter_context(closing(evaluator))
        self.secret, self.count, self.folder = new_secret(), 0, folder

    def loss(self, source: Files, seed: int | None = None) -> float:
        """Of one trial; seed: None for a fresh one. Raises UserError where it gives none."""
        self.count += 1
        name, own = f"hunt-{self.count}", source == self.setup.task.source()
        clock, limits = self.profile.trial_clock(), self.profile.limits()
        drawn = trial_seed(self.secret, name) if seed is None else seed
        # Code is compiled once, for the program as it is (trial/compiled.py), and read by every wired seed
        role = Role.BASELINE if own else Role.CERTIFICATE_HEAD
        spec = TrialSpec(name, "", role, drawn, clock, limits)
        result = self.executor.run(spec, source)
        if result.outcome is not Outcome.COMPLETED:
            raise UserError(f"a trial ended as {result.outcome}, {result.reason}: {result.log[-300:]}")
        score = self.evaluator.score(result, source, Split.VAL)
        (self.folder / result.artefact).unlink()
        if score.value is None:
            raise UserError(f"a trial has no score: {score.reason}: {score.detail[-300:]}")
        return score.value if self.setup.task.direction is Direction.MINIMIZE else -score.value


class QuickBench:
    """The same losses from forks of this process, which imports what every trial needs once."""

    def __init__(self, setup: Setup, dice: str, folder: Path, stack: ExitStack) -> None:
        self.setup, self.profile = setup, setup.budget.trial_profile(setup.task)
        if self.profile.steps is None:
            raise UserError("--quick knows no clock: give budget.steps")
        self.data = prepared(setup.task, setup.budget.profile, choices=setup.data)
        salted, reordered = DICE[dice]
        self.dice = stack.enter_context(closing(Dice(setup.task, salted=salted, reordered=reordered)))
        self.training = stack.enter_context(closing(TrainingFiles(self.data.public / "train")))
        self.secret, self.count, self.folder = new_secret(), 0, folder
        for name in ("numpy", "torch", "safetensors.numpy", "safetensors.torch"):
            importlib.import_module(name)

    def loss(self, source: Files) -> float:
        self.count += 1
        seed = trial_seed(self.secret, f"hunt-{self.count}")
        train = self.data.public / "train"
        with self.dice.shuffled(train, self.training, self.folder, seed) as training:
            ours, theirs = os.pipe()
            if os.fork() == 0:
                os.close(ours)
                os.write(theirs, json.dumps(self._child(source, seed, training)).encode())
                os._exit(0)
            os.close(theirs)
            with open(ours) as file:
                answer = file.read()
            os.wait()
        if not answer:
            raise UserError("a trial failed, see above")
        value = float(json.loads(answer))
        return value if self.setup.task.direction is Direction.MINIMIZE else -value

    def _child(self, source: Files, seed: int, training: TrainingFiles) -> float:
        tree, out = (Path(tempfile.mkdtemp(dir=self.folder)) for _ in range(2))
        for name, content in source.items():
            (tree / name).write_bytes(content)
        sys.path.insert(0, str(tree))
        if salt := self.dice.environment(seed).get(salted_seeding.VARIABLE):
            salted_seeding.arm(salt.encode())
        training_files = {name: f"/proc/self/fd/{file}" for name, file in training.files.items()}
        task, public = self.setup.task, str(self.data.public)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return played(
            Program(str(tree), task.entry, task.artefact, str(task.path / "evaluate.py"), task.metric),
            Data(public, str(self.data.private), training_files),
            self.profile.steps or 0,
            seed,
            str(out),
        )


def wired(source: Files, seed: int) -> Files:
    """The program with this seed, whatever it is given. Raises UserError where no seed is found."""
    found, count = dict(source), 0
    for name, content in source.items():
        if name.endswith(".py"):
            text, parsed = re.subn(r'("--seed", )type=int', rf"\1type=lambda _: {seed}", content.decode())
            text, literal = re.subn(r"manual_seed\(\d+\)", f"manual_seed({seed})", text)
            found[name], count = text.encode(), count + parsed + literal
    if not count:
        raise UserError('no seed to wire: neither add_argument("--seed", type=int) nor manual_seed(NUMBER)')
    return found


def compared(one: list[float], other: list[float]) -> dict[str, float]:
    """How much lower the second group's losses are in the mean, with a 95 % interval (Welch)."""
    from scipy import stats

    found = stats.ttest_ind(one, other, equal_var=False)
    low, high = found.confidence_interval(0.95)
    return {"gain": sum(one) / len(one) - sum(other) / len(other), "low": float(low), "high": float(high)}


def hunt(setup: Setup, dice: str, seeds: int, fresh: int, quick: bool) -> dict[str, object]:
    """One setting of the dice: the hunt, its winner and the program as it is on fresh trials, 42 against 137."""
    start, source = time.monotonic(), setup.task.source()
    with tempfile.TemporaryDirectory(prefix="hunt-") as folder, ExitStack() as stack:
        bench = (QuickBench if quick else SandboxBench)(setup, dice, Path(folder), stack)
        hunted = {seed: bench.loss(wired(source, seed)) for seed in range(1, seeds + 1)}
        winner = min(hunted, key=lambda seed: hunted[seed])
        groups: dict[str, list[float]] = {"as it is": [], "winner": [], "42": [], "137": []}
        sources = [source, wired(source, winner), wired(source, 42), wired(source, 137)]
        for _ in range(fresh):  # interleaved: a machine that drifts does so for all of them
            for losses, tree in zip(groups.values(), sources, strict=True):
                losses.append(bench.loss(tree))
    return {
        "dice": dice,
        "winner": winner,
        "promised": sum(hunted.values()) / seeds - hunted[winner],
        "kept": compared(groups["as it is"], groups["winner"]),
        "42 to 137": compared(groups["42"], groups["137"]),
        "hunted": hunted,
        "fresh": groups,
        "seconds": time.monotonic() - start,
    }


def line(found: dict[str, object]) -> str:
    texts = [
        f"{gains['gain']:+.4g} ({gains['low']:+.4g} to {gains['high']:+.4g})"  # type: ignore[index] # made above
        for gains in (found["kept"], found["42 to 137"])
    ]
    texts.append(f"{found['promised']:+.4g}")
    kept, patch, promised = texts
    start = f"{found['dice']:>6}  {found['winner']:>6}  {promised:>9}  {kept:>34}  {patch:>34}"
    return f"{start}  {found['seconds']:5.0f} s"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--fresh", type=int, default=20)
    parser.add_argument("--dice", default=",".join(DICE))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path, help="also write every loss to this file")
    options, overrides = parser.parse_known_args(arguments)
    wanted = options.dice.split(",")
    if unknown := set(wanted) - DICE.keys():
        raise UserError(f"--dice {', '.join(sorted(unknown))}: choose {', '.join(DICE)}")
    setup = load(overrides)
    print(
        f"gain in {setup.task.metric} of the winner of {options.seeds} seeds; fresh: mean of {options.fresh} (95 %)"
    )
    print(f"  dice  winner   promised  {'winner, fresh trials':>34}  {'42 changed to 137':>34}", flush=True)
    found = []
    for dice in wanted:
        found.append(hunt(setup, dice, options.seeds, options.fresh, options.quick))
        print(line(found[-1]), flush=True)
        if options.json:
            options.json.write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(run(main, "scripts/seed_hunt.py", about=__doc__))
