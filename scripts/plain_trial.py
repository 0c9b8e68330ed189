"""A trial without the harness: training and scoring in one process, for fixed work and programs that one trusts.

    python scripts/plain_trial.py '{"program": {...}, "data": {...}, "steps": 160, "seconds": 1e9, "seed": 1}'

Imports nothing of the harness but the gate that programs ask for their data; no sandbox, no clock, no audits, labels
beside the program: what people do without a referee. scripts/seed_hunt.py --quick forks it; studies/tampering compares
what either costs.
"""

import json
import os
import runpy
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from harness import gate


class Program(NamedTuple):
    """tree: folder of the candidate's files; evaluate: path of the task's evaluate.py."""

    tree: str
    entry: str
    artefact: str
    evaluate: str
    metric: str


class Data(NamedTuple):
    """training: name -> path of what a trial gets through the gate."""

    public: str
    private: str
    training: dict[str, str]


def played(
    program: Program, data: Data, steps: int | None, seed: int, out: str, seconds: float = 1e9
) -> float:
    """The metric on val. steps: fixed work; None: the program stops by its own clock after the seconds.

    Leaves this process changed. Raises RuntimeError for a program that fails.
    """
    sys.path.insert(0, program.tree)
    given = gate.Training(data.training)
    given.steps = steps
    gate.open_gate = lambda _: given  # type: ignore[assignment] # no referee holds the other end
    sys.argv = ["train.py", "--data", data.public, "--out", out, "--seed", str(seed)]
    sys.argv += ["--seconds", f"{seconds:g}"]
    trained = os.fork()
    if trained == 0:  # programs end with os._exit, which saves them the interpreter's own end
        runpy.run_path(f"{program.tree}/train.py", run_name="__main__")
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(trained, 0)[1]):
        raise RuntimeError("the program failed, see above")
    entry = runpy.run_path(f"{program.tree}/{program.entry}")
    predict = entry["load_predictor"](f"{out}/{program.artefact}", data.public)
    evaluate = runpy.run_path(program.evaluate)["evaluate"]
    subject = SimpleNamespace(answers=predict, losses=lambda rows: losses_of(predict, rows))
    return float(evaluate(subject, Path(data.private), "val")[program.metric])


def losses_of(predict: Any, rows: Any) -> Any:
    """Nats of every next token, [n, T], for rows [n, T + 1]."""
    import torch

    found = []
    with torch.inference_mode():
        for part in torch.as_tensor(rows.astype("int64")).split(64):
            logits = predict(part[:, :-1]).double().transpose(1, 2)
            found.append(torch.nn.functional.cross_entropy(logits, part[:, 1:], reduction="none"))
    return torch.cat(found).numpy()


def main() -> None:
    asked = json.loads(sys.argv[1])
    program, data = Program(**asked["program"]), Data(**asked["data"])
    with tempfile.TemporaryDirectory() as out:
        value = played(program, data, asked["steps"], asked["seed"], out, asked["seconds"])
    print(f"value {value!r}")


if __name__ == "__main__":
    main()
