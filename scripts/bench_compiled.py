"""How long does a trial take to its gate, from nothing and with what was compiled before?

    python scripts/bench_compiled.py                    nanochat's profile gpu, on the first GPU, real sandbox
    python scripts/bench_compiled.py trials=4 profile=1 more trials; where the time goes in the last one, by cProfile

Every line is one trial of the same source: the cache it found, seconds of the preparation before it, of start-up, and
of the parts of start-up by the program's own clock; what of torch's caches was hit. The data are a few random tokens:
nothing of start-up depends on them.
"""

import dataclasses
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from harness.records import Role, TrialSpec
from harness.sandbox.open import open_sandbox
from harness.task.task import Task, TaskData
from harness.trial.local import Local

VOCABULARY, TOKENS = 8192, 400_000
MARKS = (  # (a line of the program's, what stands before it, what stands after it)
    ("import argparse\n", "import time as _clock\n_marks = [('start', _clock.monotonic())]\n", ""),
    (
        "@dataclass(frozen=True)\nclass Settings",
        "def _mark(name):\n    if torch.cuda.is_initialized():\n        torch.cuda.synchronize()\n"
        "    _marks.append((name, _clock.monotonic()))\n\n\n_mark('imports')\n",
        "",
    ),
    (
        "    torch.manual_seed(BASE_SEED + seed)\n",
        "",
        "    torch.zeros(1, device=device)\n    _mark('CUDA')\n",
    ),
    ("    weights = {name: weight.detach().clone()", "    _mark('model')\n", ""),
    ("        take_step(model, *chosen, 0.0, 0)\n", "        _mark('loss')\n", "        _mark('step')\n"),
    ("    reserve_seconds = ", "    _mark('set back')\n", ""),
    (
        "    training = open_gate(options.data)",
        "    _mark('saving')\n    from torch._dynamo.utils import counters\n"
        "    hits = {k: dict(v) for k, v in counters.items() if k in ('inductor', 'aot_autograd')}\n"
        "    times = [(b, round(t - s, 2)) for (_, s), (b, t) in zip(_marks, _marks[1:])]\n"
        "    print('MARKS ' + json.dumps([times, hits]))\n",
        "",
    ),
)


def main(arguments: list[str]) -> None:
    options = {"trials": "3", "profile": "0", "level": "auto", "seconds": "4"}
    options |= dict(argument.split("=", 1) for argument in arguments)
    task = _task(float(options["seconds"]))
    profile = task.profiles["gpu"]
    sandbox = open_sandbox(options["level"])
    source = marked(task.source())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        data = _data(folder)
        today = Local(compile_once=False).open(sandbox, task, data, profile, folder)
        once = Local(compile_once=True).open(sandbox, task, data, profile, folder)
        ways = [("from nothing", today, source)] + [("compiled once", once, source)] * int(options["trials"])
        if options["profile"] == "1":
            ways.append(("profiled", once, source))
        for number, (way, executor, files) in enumerate(ways):
            if way == "profiled":
                files = {**files, "train.py": profiled(files["train.py"])}
                executor.run(_spec(profile, number + 100), files)  # prepares nothing: another source
                executor.run(_spec(profile, number + 200), files)
            begin = time.monotonic()
            result = executor.run(_spec(profile, number), files)
            line = {
                "way": way,
                "outcome": f"{result.outcome.value} {result.reason}",
                "cache": result.cache,
                "preparation_seconds": round(result.preparation_seconds, 1),
                "startup_seconds": round(result.startup_seconds, 2),
                "wall_seconds": round(time.monotonic() - begin, 1),
                "packed_mib": [
                    round(file.stat().st_size / 2**20, 1)
                    for file in folder.glob("compiled/" + "[0-9a-f]" * 32)
                ],
            }
            print(json.dumps(line), flush=True)
            found = [text for text in result.log.splitlines() if text.startswith("MARKS ")]
            print(found[-1] if found and way != "profiled" else result.log[-9000:], flush=True)
        for executor in (today, once):
            executor.close()


def _task(seconds: float) -> Task:
    from harness.config.setup import load

    task = load(["task=nanochat", "budget=gpu"]).task
    profile = dataclasses.replace(task.profiles["gpu"], seconds=seconds)
    object.__setattr__(task, "profiles", {**task.profiles, "gpu": profile})
    return task


def _spec(profile, number: int) -> TrialSpec:
    return TrialSpec(
        f"t{number}", "c", Role.CANDIDATE, 1000 + number, profile.trial_clock(), profile.limits()
    )


def marked(source: dict[str, bytes]) -> dict[str, bytes]:
    """The program with its own clock read between the parts of its start-up."""
    text = source["train.py"].decode()
    for line, before, after in MARKS:
        place = text.index(line)
        end = place + len(line)
        text = text[:place] + before + text[place:end] + after + text[end:]
    return {**source, "train.py": text.encode()}


def profiled(program: bytes) -> bytes:
    """... and with cProfile around its start-up's longest part."""
    first, last = b"    model, compiled, chosen = built(", b"    reserve_seconds = "
    begin = b"    import cProfile, pstats\n    _profile = cProfile.Profile()\n    _profile.enable()\n"
    show = b"    pstats.Stats(_profile).sort_stats('cumulative').print_stats(60)\n"
    end = b"    _profile.disable()\n" + show
    return program.replace(first, begin + first).replace(last, end + last)


def _data(folder: Path) -> TaskData:
    public, private = folder / "public", folder / "private"
    (public / "train").mkdir(parents=True)
    private.mkdir()
    (public / "meta.json").write_text(json.dumps({"vocabulary": VOCABULARY, "bos": VOCABULARY - 1}))
    tokens = np.random.default_rng(0).integers(0, VOCABULARY, TOKENS).astype(np.uint16)
    tokens[0] = VOCABULARY - 1
    np.save(public / "train" / "tokens.npy", tokens)
    return TaskData(public, private)


if __name__ == "__main__":
    main(sys.argv[1:])
