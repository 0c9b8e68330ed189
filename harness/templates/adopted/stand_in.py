"""What train.py gets when it imports `prepare`: the same names, inside a trial or a predictor of the harness.

In a trial training data come through the referee's gate, and evaluating writes the weights: the score is computed
elsewhere, so what is returned here is NaN. In a predictor there are no data at all: the model is taken from the
script when it first asks for training data. Times, seeds and sizes are the referee's; see adopted.json for what was
read in prepare.py, and pace.json for what of a budget the script does not count itself.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import packing
import torch

ADOPTED, PACE = (
    json.loads((Path(__file__).parent / name).read_text(encoding="utf-8"))
    for name in ("adopted.json", "pace.json")
)
LOADER = ADOPTED["loader"]
globals().update(ADOPTED["constants"])
REHEARSED_STEPS, MOST_REHEARSED_BATCHES = 3, 64  # the first step compiles, the second may do so again


class _State:
    """data, out: folders. weights: names that a predictor looks for; None: this is a trial. rehearsal: of a trial's
    first steps, on random tokens.
    """

    data = Path()
    out = Path()
    weights = None
    rehearsal = False


class ModelFound(BaseException):
    """In a predictor: the script asked for data, and this is its model. No Exception: scripts catch those."""

    def __init__(self, model):
        super().__init__()
        self.model = model


def in_trial(data, out, seconds):
    """seconds: billed from the first request for training data; the script is told so much less that it ends in
    time.
    """
    _State.data, _State.out = Path(data), Path(out)
    name, unit = ADOPTED["time_budget"]["name"], ADOPTED["time_budget"]["unit_seconds"]
    budget = max(1.0, seconds - PACE["overhead_seconds"]) / unit
    globals()[name] = int(budget) if isinstance(ADOPTED["constants"][name], int) and budget >= 2 else budget


def in_rehearsal():
    """From now on training data are random, and the process ends after a few steps of torch's optimizers, or else of
    the loader.
    """
    from torch.optim.optimizer import register_optimizer_step_post_hook

    _State.rehearsal = True
    made = iter(range(1, REHEARSED_STEPS))
    register_optimizer_step_post_hook(lambda *_: next(made, None) or os._exit(0))


def in_predictor(data, weights):
    """weights: names of the tensors in the artefact."""
    _State.data, _State.weights = Path(data), set(weights)


def _device(given=None):
    return torch.device(given if given is not None else ("cuda" if torch.cuda.is_available() else "cpu"))


# --- tokenizer --------------------------------------------------------------------------------------------------


class Tokenizer:
    """The checkout's own vocabulary; `enc` is tiktoken's Encoding."""

    def __init__(self, enc, bos=None):
        self.enc = enc
        self.bos_token_id = ADOPTED["bos"] if bos is None else bos

    @classmethod
    def from_directory(cls, *_, **__):
        import tiktoken

        content = json.loads((_State.data / "tokenizer.json").read_text(encoding="utf-8"))
        ranks = {bytes.fromhex(piece): rank for piece, rank in content["ranks"]}
        return cls(
            tiktoken.Encoding(
                "adopted",
                pat_str=content["pattern"],
                mergeable_ranks=ranks,
                special_tokens=content["special"],
            )
        )

    def get_vocab_size(self):
        return self.enc.n_vocab

    def get_bos_token_id(self):
        return self.bos_token_id

    def encode(self, text, prepend=None, num_threads=8):
        if prepend is not None and not isinstance(prepend, int):
            prepend = self.enc.encode_single_token(prepend)
        first = [] if prepend is None else [prepend]
        if isinstance(text, str):
            return first + self.enc.encode_ordinary(text)
        return [first + row for row in self.enc.encode_ordinary_batch(list(text), num_threads=num_threads)]

    def decode(self, ids):
        return self.enc.decode(ids)


def get_token_bytes(device="cpu"):
    """int32 [vocabulary]: bytes of raw text behind every token, 0 for special ones."""
    lengths = np.load(_State.data / "token_bytes.npy")
    return torch.from_numpy(lengths.astype(np.int32)).to(device)


# --- loader -----------------------------------------------------------------------------------------------------


def _make_loader(*arguments, **named):
    """Yields what the checkout's loader yields: (inputs [B, T], targets [B, T], epoch), or as many of them."""
    given = {**dict(zip(LOADER["parameters"], arguments, strict=False)), **named}
    roles = {role: given.get(name) for role, name in LOADER["roles"].items()}
    rows, length = int(roles["rows"]), int(roles["length"])
    split = str(roles.get("split") or "train")
    device = _device(roles.get("device"))
    if split != "train" and _State.weights is None:
        raise RuntimeError(
            f"the split {split!r} is held out: no trial can read it. Leave evaluating to"
            f" {ADOPTED['evaluate']}(model, ...)"
        )
    maker = _training_batches if _State.weights is None else _no_batches
    return maker(rows, length, device)


globals()[LOADER["name"]] = _make_loader


def _yielded(inputs, targets, epoch):
    return (inputs, targets, epoch)[: LOADER["fields"]] if LOADER["fields"] > 1 else inputs


class _RandomRows:
    """What a rehearsal is fed with, as packing.Packer."""

    epoch = 1

    def __init__(self, most_rows):
        self._generator = np.random.default_rng(0)
        self._tokens, self._left = len(np.load(_State.data / "token_bytes.npy")), most_rows

    def fill(self, row):
        if not self._left:
            os._exit(0)
        self._left -= 1
        row[:] = self._generator.integers(0, self._tokens, len(row))


def _packed_rows(length):
    from harness.gate import open_gate

    training = open_gate(str(_State.data))  # from here on the training data can be read and the time counts
    tokens = np.load(training["tokens.npy"], mmap_mode="r")
    documents = np.load(training["documents.npy"])
    return packing.Packer(packing.document_stream(tokens, documents), length + 1)


def _training_batches(rows, length, device):
    packer = _RandomRows(MOST_REHEARSED_BATCHES * rows) if _State.rehearsal else _packed_rows(length)
    on_gpu = device.type == "cuda"
    batch = torch.empty((rows, length + 1), dtype=torch.long)
    held = torch.empty(2 * rows * length, dtype=torch.long, pin_memory=on_gpu)
    moved = torch.empty(2 * rows * length, dtype=torch.long, device=device) if on_gpu else held
    inputs, targets = (part.view(rows, length) for part in (moved[: rows * length], moved[rows * length :]))
    as_array = batch.numpy()
    while True:
        for row in as_array:
            packer.fill(row)
        held[: rows * length].view(rows, length).copy_(batch[:, :-1])
        held[rows * length :].view(rows, length).copy_(batch[:, 1:])
        if on_gpu:
            moved.copy_(held, non_blocking=True)
        yield _yielded(inputs, targets, packer.epoch)


def _no_batches(rows, length, device):
    """In a predictor: the model is looked for in the frames that ask; a script without one yet gets zeros."""
    zeros = torch.zeros((rows, length), dtype=torch.long, device=device)
    while True:
        _look_for_model(sys._getframe(1))
        yield _yielded(zeros, zeros, 1)


# --- evaluation -------------------------------------------------------------------------------------------------


def _evaluate(model, *_, **__):
    """In a trial: the weights are written, the score is not known here. In a predictor: this is the model."""
    if _State.weights is not None:
        raise ModelFound(unwrapped(model))
    if _State.rehearsal:
        os._exit(0)
    write_weights(model)
    return float("nan")


globals()[ADOPTED["evaluate"]] = _evaluate


def write_weights(model):
    """out/model.safetensors, written beside and renamed; tensors that share memory are written once each."""
    from safetensors.torch import save_file

    weights = {
        name: value.detach().cpu().contiguous().clone()
        for name, value in unwrapped(model).state_dict().items()
    }
    about = {"autocast": ""}
    for kind in ("cuda", "cpu"):
        if torch.is_autocast_enabled(kind):
            about["autocast"] = f"{kind} {torch.get_autocast_dtype(kind)}".replace("torch.", "")
    beside = _State.out / "model.safetensors.part"
    save_file(weights, beside, about)
    os.replace(beside, _State.out / "model.safetensors")


def unwrapped(model):
    """The module inside torch.compile and data-parallel wrappers."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if inner is None and type(model).__name__ in (
            "DataParallel",
            "DistributedDataParallel",
            "FullyShardedDataParallel",
        ):
            inner = model.module
        if not isinstance(inner, torch.nn.Module):
            return model
        model = inner


def _look_for_model(frame):
    """Raises ModelFound for the module in one of the asking frames whose tensors have the artefact's names."""
    while frame is not None:
        for scope in (frame.f_locals, frame.f_globals):
            for value in list(scope.values()):
                for module in _modules(value):
                    if set(module.state_dict()) == _State.weights:
                        raise ModelFound(module)
        frame = frame.f_back


def _modules(value):
    """Modules that a variable holds: itself, unwrapped, or the attributes of an object of the script's own."""
    if isinstance(value, torch.nn.Module):
        yield unwrapped(value)
        yield from value.children()
    elif type(value).__module__ == "__main__" and hasattr(value, "__dict__"):
        yield from (unwrapped(each) for each in vars(value).values() if isinstance(each, torch.nn.Module))
