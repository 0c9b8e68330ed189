"""Runs the checkout's own training script, unchanged: as a trial, or until its model can be taken for a predictor.

python launch.py --data DIR --out DIR --seed N --seconds S
"""

import argparse
import ast
import atexit
import contextlib
import importlib.util
import json
import os
import sys
import threading
import time
import types
from pathlib import Path

HERE = Path(__file__).resolve().parent
ADOPTED = json.loads((HERE / "adopted.json").read_text(encoding="utf-8"))


def main():
    parser = argparse.ArgumentParser()
    for name, kind in (("data", str), ("out", str), ("seed", int), ("seconds", float)):
        parser.add_argument(f"--{name}", type=kind, required=True)
    options = parser.parse_args()
    stand_in = _stand_in(options.data)
    stand_in.in_trial(options.data, options.out, options.seconds)
    claims = _kernels_claim()
    if asks_to_compile():
        claims["rehearsal_seconds"] = round(rehearsed(stand_in), 1)
    if claims:
        (Path(options.out) / "claims.jsonl").write_text(json.dumps(claims) + "\n", encoding="utf-8")
    try:
        run_script()
    except SystemExit as end:
        if end.code not in (None, 0):
            raise
    leave()


def leave():
    """What an interpreter does at its end, but not the taking down of torch, which is slow and would be billed."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError, ValueError):  # closed by the script
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(0)


def asks_to_compile():
    """Whether the script as it is now, edits included, asks torch to compile: torch.compile(...), @torch.compile,
    model.compile(...), or that name imported from torch.
    """
    texts = [(HERE / name).read_bytes() for name in ADOPTED.get("editable", [ADOPTED["script"]])]
    try:
        return any(_compiles(node) for text in texts for node in ast.walk(ast.parse(text)))
    except SyntaxError:
        return False  # shows in the trial itself


def _compiles(node):
    if isinstance(node, ast.ImportFrom):
        return node.module == "torch" and any(each.name == "compile" for each in node.names)
    return isinstance(node, ast.Attribute) and node.attr == "compile" and ast.unparse(node.value) != "re"


def rehearsed(stand_in):
    """Seconds that it took. Such scripts compile in their first steps, on data and so in billed time: a fork makes
    these steps before the gate, on random tokens, and leaves nothing but what torch's caches then hold.
    """
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):  # whatever is wrong shows in the trial itself
            silent = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(silent, stream)
            stand_in.in_rehearsal()
            run_script()
        os._exit(0)
    os.waitpid(child, 0)
    return time.monotonic() - start


def run_script():
    """The script as __main__, with no arguments: the harness's own are not its business."""
    script = HERE / ADOPTED["script"]
    sys.argv = [str(script)]
    module = types.ModuleType("__main__")
    module.__file__ = str(script)
    sys.modules["__main__"] = module
    exec(compile(script.read_bytes(), module.__file__, "exec"), module.__dict__)


def _kernels_claim():
    """For the trial's row: whether kernels that the script asks for are the hub's or torch's own attention."""
    if not ADOPTED["kernels"]:
        return {}
    return {"kernels_stand_in": int(hasattr(sys.modules.get("kernels"), "STANDS_IN"))}


def _stand_in(data):
    """The stand-in under the name of the checkout's prepare.py, and one for the kernel hub where that has nothing
    here.
    """
    if str(HERE) not in sys.path:
        sys.path.append(str(HERE))
    import stand_in

    sys.modules["prepare"] = stand_in
    hub = Path(data) / "hub"
    if hub.is_dir():
        os.environ.update(HF_HUB_CACHE=str(hub), HF_HUB_OFFLINE="1", HF_HOME=str(hub.parent))
    if not (hub.is_dir() and importlib.util.find_spec("kernels")):
        import stand_in_kernels

        sys.modules["kernels"] = stand_in_kernels
    return stand_in


def load_predictor(artefact_path, data):
    """forward(tokens [rows, length]) -> logits [rows, length, vocabulary], from the model that the script builds."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import load_file

    stand_in = _stand_in(data)
    weights = load_file(artefact_path)
    with safe_open(artefact_path, "pt") as file:
        autocast = (file.metadata() or {}).get("autocast", "")
    stand_in.in_predictor(data, weights)
    if asks_to_compile() and not ADOPTED.get("compiles", True):
        _compile_nothing()
    try:
        run_script()
    except stand_in.ModelFound as found:
        model = found.model
    else:
        raise RuntimeError("the script ended before it asked for training data: there is no model to take")
    model.load_state_dict(weights)
    model.eval()
    device = next(model.parameters()).device
    kind, _, dtype = autocast.partition(" ")

    def forward(tokens):
        tokens = tokens.to(device)
        with torch.autocast(kind or device.type, getattr(torch, dtype or "bfloat16"), enabled=bool(autocast)):
            return _logits(model, tokens)

    return forward


def _compile_nothing():
    """A predictor may take as long to load as the adopted script's, which did not even import the compiler."""
    import torch

    torch.compile = lambda model=None, **_: model or (lambda function: function)
    torch.nn.Module.compile = lambda *_, **__: None


def _logits(model, tokens):
    """The model's answer for every place; a model that wants targets gets its own inputs as some: labels are not
    here. Logits of another shape are the referee's to refuse.
    """
    import torch

    def logits_of(answer):
        parts = answer if isinstance(answer, tuple | list) else [answer]
        return [part for part in parts if torch.is_tensor(part) and part.dim() == 3]

    def fits(part):
        return part.shape[:2] == tokens.shape

    try:
        found = logits_of(model(tokens))
    except TypeError:
        found = []
    if not any(map(fits, found)):
        found = logits_of(model(tokens, tokens)) or found
    if not found:
        raise RuntimeError("the model gives no logits [rows, length, vocabulary] for tokens [rows, length]")
    return next(filter(fits, found), found[0])


if __name__ == "__main__":
    main()
