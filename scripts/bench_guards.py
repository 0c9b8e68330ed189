"""Measures what each guard costs per proposal on a training script of 700 lines, and as a ratio to one parse.

    python scripts/bench_guards.py [repetitions]

A fresh candidate each time (a comment differs), so that nothing is answered from memory; the incumbent's analysis is
remembered as in a session. CPU time, median.
"""

import ast
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from guard_table import FIXTURE, PROTECTED, line_of_guards

from harness.records import Evidence

LINES = 700


def long_script() -> str:
    """The fixture with its model classes several times over, until it is long enough."""
    text = FIXTURE.read_text(encoding="utf-8")
    start, end = text.index("class CausalSelfAttention"), text.index("class GPT(")
    number = 0
    while text.count("\n") < LINES:
        number += 1
        extra = text[start:end]
        for name in ("CausalSelfAttention", "MLP", "Block"):
            extra = extra.replace(f"class {name}(", f"class {name}{number}(")
        text = text[:end] + extra + text[end:]
    return text


def cpu_seconds(work: Callable[[Any], object], argument: object) -> float:
    start = time.process_time()
    work(argument)
    return time.process_time() - start


def measured(repetitions: int) -> dict[str, float]:
    """Name -> median seconds: "parse", each static guard on a fresh candidate, and "all" of them together.

    Guards share what they read: the first that needs an analysis pays for it.
    """
    base = long_script()
    incumbent = {"train.py": base.encode(), **PROTECTED}
    guards = [guard for guard in line_of_guards() if "static" in guard.stages]
    found: dict[str, list[float]] = {}
    for number in range(repetitions + 1):
        text = base.replace("MATRIX_LR = 0.02", f"MATRIX_LR = 0.0{number + 3}  # {number}")
        evidence = Evidence("static", ("train.py",), incumbent, {**incumbent, "train.py": text.encode()})
        costs = {guard.name: cpu_seconds(guard, evidence) for guard in guards}
        costs |= {"all": sum(costs.values()), "parse": cpu_seconds(ast.parse, text)}
        if number > 0:  # the first one also pays for the incumbent
            for name, cost in costs.items():
                found.setdefault(name, []).append(cost)
    return {name: statistics.median(costs) for name, costs in found.items()}


def main() -> int:
    costs = measured(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
    print(
        f"script of {long_script().count(chr(10))} lines; parsing it once takes {1000 * costs['parse']:.1f} ms"
    )
    for name, cost in costs.items():
        print(f"{name:<16} {1000 * cost:>7.1f} ms  {cost / costs['parse']:>5.1f} x parse")
    return 0


if __name__ == "__main__":
    sys.exit(main())
