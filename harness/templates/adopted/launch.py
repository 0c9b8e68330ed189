"""Runs the checkout's own train.py, unchanged: as a trial, or until its model can be taken for a predictor.

python launch.py --data DIR --out DIR --seed N --seconds S
"""

import argparse
import importlib.util
import os
import sys
import types
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main():
    parser = argparse.ArgumentParser()
    for name, kind in (("data", str), ("out", str), ("seed", int), ("seconds", float)):
        parser.add_argument(f"--{name}", type=kind, required=True)
    options = parser.parse_args()
    stand_in = _stand_in(options.data)
    stand_in.in_trial(options.data, options.out, options.seconds)
    run_script()


def run_script():
    """train.py as __main__, with no arguments: the harness's own are not its business."""
    sys.argv = [str(HERE / "train.py")]
    module = types.ModuleType("__main__")
    module.__file__ = str(HERE / "train.py")
    sys.modules["__main__"] = module
    exec(compile((HERE / "train.py").read_bytes(), module.__file__, "exec"), module.__dict__)


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
    """forward(tokens [rows, length]) -> logits [rows, length, vocabulary], from the model that train.py builds."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import load_file

    stand_in = _stand_in(data)
    weights = load_file(artefact_path)
    with safe_open(artefact_path, "pt") as file:
        autocast = (file.metadata() or {}).get("autocast", "")
    stand_in.in_predictor(data, weights)
    try:
        run_script()
    except stand_in.ModelFound as found:
        model = found.model
    else:
        raise RuntimeError("train.py ended before it asked for training data: there is no model to take")
    model.load_state_dict(weights)
    model.eval()
    device = next(model.parameters()).device
    kind, _, dtype = autocast.partition(" ")

    def forward(tokens):
        tokens = tokens.to(device)
        with torch.autocast(kind or device.type, getattr(torch, dtype or "bfloat16"), enabled=bool(autocast)):
            return _logits(model, tokens)

    return forward


def _logits(model, tokens):
    """The model's answer for every place; a model that wants targets gets its own inputs as some: labels are not
    here.
    """
    import torch

    def fits(answer):
        parts = answer if isinstance(answer, tuple | list) else [answer]
        shape = tuple(tokens.shape)
        return next(
            (part for part in parts if torch.is_tensor(part) and part.dim() == 3 and part.shape[:2] == shape),
            None,
        )

    try:
        found = fits(model(tokens))
    except TypeError:
        found = None
    if found is None:
        found = fits(model(tokens, tokens))
    if found is None:
        raise RuntimeError("the model gives no logits [rows, length, vocabulary] for tokens [rows, length]")
    return found


if __name__ == "__main__":
    main()
