"""How much of a trial's billed time goes into imports: a library that loads its parts late does so after the gate."""

import json
from collections.abc import Mapping

from harness.records import Files, Json
from harness.task.check_held_out import Finding
from harness.task.task import Task

MOST_SHARE = 0.05  # of a trial's seconds
_WATCHED = "_watched_train.py"
_WATCHER = """
import atexit, builtins, json, os, sys, time
sys.argv[0] = sys.argv[0].replace("train.py", {watched!r})
import harness.gate as gate
spent, names, depth, opened = [0.0], [], [0], []
true_open, true_import = gate.open_gate, builtins.__import__
def open_gate(data):
    opened.append(True)
    return true_open(data)
def watched_import(name, *more, **options):
    if not opened or depth[0]:
        return true_import(name, *more, **options)
    before, start, depth[0] = len(sys.modules), time.process_time(), 1
    try:
        return true_import(name, *more, **options)
    finally:
        depth[0] = 0
        if len(sys.modules) > before:
            spent[0] += time.process_time() - start
            names.append(name)
gate.open_gate, builtins.__import__ = open_gate, watched_import
def tell():
    out = sys.argv[sys.argv.index("--out") + 1]
    with open(out + "/claims.jsonl", "a") as file:
        file.write(json.dumps({{"late_seconds": spent[0], "late_names": ", ".join(names[:8])}}) + "\\n")
true_exit, main_process = os._exit, os.getpid()
def watched_exit(code):
    try:
        if os.getpid() == main_process:
            tell()
    finally:
        true_exit(code)
os._exit = watched_exit
atexit.register(tell)
with open(sys.argv[0], "rb") as file:
    exec(compile(file.read(), sys.argv[0], "exec"), sys.modules["__main__"].__dict__)
"""


def watched(task: Task) -> Files:
    """The task's source, with a train.py that counts the CPU seconds of imports after the gate, as a claim."""
    source = dict(task.source())
    watcher = _WATCHER.format(watched=_WATCHED).encode()
    return {**source, _WATCHED: source["train.py"], "train.py": watcher}


def late_imports(claims: Mapping[str, Json], seconds: float) -> Finding:
    """seconds: a trial's."""
    spent, names = claims.get("late_seconds"), claims.get("late_names")
    if not isinstance(spent, int | float):
        return None, "imports after the gate: not seen, the trial did not end in order"
    text = f"imports after the gate: {spent:.2f} of {seconds:g} s"
    if spent <= MOST_SHARE * seconds:
        return True, text
    what = f"{text} ({json.dumps(names)}); billed: use what loads them once before open_gate, e.g. build an optimiser"
    return False, what
