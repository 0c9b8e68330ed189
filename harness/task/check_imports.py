"""How much of a trial's billed time goes into imports: a library that loads its parts late does so after the gate."""

import json
from collections.abc import Mapping
from pathlib import Path

from harness.records import Files, Json
from harness.task.check_held_out import Finding
from harness.task.task import Task

MOST_SHARE = 0.05  # of a trial's seconds
_WATCHED = "_watched_{}"
_WATCHER = """
import sys
def _watch():  # a function: the script shares this module's names
    import atexit, builtins, json, os, time
    import harness.gate as gate
    spent, names, depth, opened = [0.0], [], [0], []
    out = sys.argv[sys.argv.index("--out") + 1]  # now: a script that starts another one may take its arguments away
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
_watch()
sys.argv[0] = sys.argv[0].replace({script!r}, {watched!r})
with open(sys.argv[0], "rb") as file:
    exec(compile(file.read(), sys.argv[0], "exec"), sys.modules["__main__"].__dict__)
"""


def watched(task: Task) -> Files:
    """The task's source, with a script that counts the CPU seconds of imports after the gate, as a claim."""
    source, script = dict(task.source()), task.script
    place = Path(script)
    watched = str(place.with_name(_WATCHED.format(place.name)))
    watcher = _WATCHER.format(script=script, watched=watched).encode()
    return {**source, watched: source[script], script: watcher}


def late_imports(claims: Mapping[str, Json], seconds: float, ended: str = "") -> Finding:
    """seconds: a trial's. ended: how the watched one did, for where it told nothing."""
    spent, names = claims.get("late_seconds"), claims.get("late_names")
    if not isinstance(spent, int | float):
        return None, (
            f"imports after the gate: not seen, the watched trial was ended before it could tell ({ended or '?'})."
            " That is no mistake of the task's: where the machine was busy, try again"
        )
    text = f"imports after the gate: {spent:.2f} of {seconds:g} s"
    if spent <= MOST_SHARE * seconds:
        return True, text
    what = f"{text} ({json.dumps(names)}); billed: use what loads them once before open_gate, e.g. build an optimiser"
    return False, what
