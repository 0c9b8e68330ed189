"""Our GPU baseline beside the script that everyone knows: equal text, equal seconds, one scorer, one GPU, in turns.

    python scripts/bench_nanochat.py CHECKOUT                  3 seeds of 60 s each, on the prepared data of profile gpu
    python scripts/bench_nanochat.py CHECKOUT seconds=180 seeds=0,1,2 data=FOLDER
    CUDA_VISIBLE_DEVICES=1 python scripts/bench_nanochat.py CHECKOUT seeds=1 > lines     on another card, in parts
    python scripts/bench_nanochat.py --table lines lines2    ... and the table of all of them

CHECKOUT: a copy of github.com/karpathy/autoresearch. Nothing in it is changed: its train.py is run as it is, on a
`prepare` that has its own loader, our text and tokenizer, another time budget and our scorer, and on torch's own
attention in place of the kernel that it would fetch. data: a folder with `public` and `private` as prepare.py fills
them; default: what `budget=gpu` trains on. settings='{"depth": 8}': other settings for our program, for ablations.

That script's clock leaves its first eleven steps out; ours counts from the gate. Both compile before they count.
"""

import argparse
import contextlib
import dataclasses
import importlib.util
import json
import os
import pickle
import runpy
import statistics
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TASK = ROOT / "tasks" / "nanochat"
PEAK_FLOPS = 989.5e12  # dense bfloat16 of an H100, by its data sheet
TRAIN_SHARDS = 4
LAST_SHARD = "shard_06542.parquet"  # that script holds this one out; here it is not looked at
BOS_NAME = "<|reserved_0|>"
SIDES = ("theirs", "ours")
WANTED = ("step", "TOTAL_BATCH_SIZE", "total_training_time", "num_flops_per_token")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkout", type=Path, nargs="?")
    parser.add_argument("options", nargs="*", metavar="NAME=VALUE")
    parser.add_argument(
        "--table", type=Path, nargs="+", metavar="FILE", help="of what these commands printed"
    )
    parser.add_argument("--one", help=argparse.SUPPRESS)  # how this file calls itself: one side, one seed
    arguments = parser.parse_args()
    options = {
        "seconds": "60",
        "seeds": "0,1,2",
        "data": "",
        "settings": "{}",
        "sides": ",".join(SIDES),
        "home": "",
    }
    for option in arguments.options:
        name, _, value = option.partition("=")
        if name not in options:
            parser.error(f"{name!r} is not one of {', '.join(options)}")
        options[name] = value
    if arguments.table:
        print(table(printed(arguments.table)))
        return
    if arguments.checkout is None:
        parser.error("a checkout is needed")
    if arguments.one:
        print(json.dumps(one(arguments.one, arguments.checkout, options)))
    else:
        compare(arguments.checkout.resolve(), options)


def compare(checkout: Path, options: dict[str, str]) -> None:
    """Every seed on both sides, in turns; a line of JSON for each, then a table."""
    data = Path(options["data"]) if options["data"] else prepared_data()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(options["home"] or folder)
        if not (home / ".cache").exists():
            fill_home(home, data)
        options = {**options, "data": str(data.resolve()), "home": str(home)}
        found: dict[str, list[dict[str, Any]]] = {side: [] for side in options["sides"].split(",")}
        for number, seed in enumerate(options["seeds"].split(",")):
            for side in list(found) if number % 2 == 0 else reversed(found):
                result = in_process(side, checkout, {**options, "seeds": seed})
                found[side].append(result)
                print(json.dumps({"side": side, "seed": int(seed), **result}), flush=True)
    print(table(found))


def in_process(side: str, checkout: Path, options: dict[str, str]) -> dict[str, Any]:
    """What `one` returns, from a process of its own with that script's home."""
    command = [sys.executable, __file__, "--one", side, str(checkout)]
    command += [f"{name}={value}" for name, value in options.items()]
    environment = {**os.environ, "HOME": options["home"], "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{side} ended with {done.returncode}; the last lines: {done.stdout[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def printed(files: list[Path]) -> dict[str, list[dict[str, Any]]]:
    """The lines of JSON in them, by side."""
    found: dict[str, list[dict[str, Any]]] = {}
    for line in "\n".join(file.read_text() for file in files).splitlines():
        if line.startswith("{"):
            result = json.loads(line)
            del result["seed"]
            found.setdefault(result.pop("side"), []).append(result)
    return found


def table(found: dict[str, list[dict[str, Any]]]) -> str:
    """Means over the seeds, the scores also one by one."""
    lines = ["| side | bits per byte | each | tokens a second | MFU | steps | start-up s | GPU GiB |"]
    lines.append("| --- " * 8 + "|")
    for side, results in found.items():
        mean = {name: statistics.mean(one[name] for one in results) for name in results[0]}
        each = " ".join(f"{one['bpb']:.4f}" for one in results)
        lines.append(
            f"| {side} | {mean['bpb']:.4f} | {each} | {mean['tokens_a_second']:,.0f} | {mean['mfu']:.3f} "
            f"| {mean['steps']:.0f} | {mean['startup_seconds']:.1f} | {mean['gpu_gib']:.1f} |"
        )
    return "\n".join(lines)


# --- data -------------------------------------------------------------------------------------------------------


def prepared_data() -> Path:
    """What `budget=gpu` trains on, made now if need be."""
    from harness.config.setup import load
    from harness.task.prepare import prepared

    return prepared(load(["task=nanochat", "budget=gpu"]).task, "gpu").public.parent


def encoding_of(public: Path) -> Any:
    """The task's tokenizer under the name of <bos> that the script asks for."""
    import tiktoken

    made = json.loads((public / "tokenizer.json").read_text(encoding="utf-8"))
    ranks = {bytes.fromhex(piece): rank for rank, piece in enumerate(made["tokens"])}
    return tiktoken.Encoding(
        "task", pat_str=made["pattern"], mergeable_ranks=ranks, special_tokens={BOS_NAME: made["bos"]}
    )


def fill_home(home: Path, data: Path) -> None:
    """That script's cache with our training text, decoded from our training tokens, and our tokenizer."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    public = data / "public"
    encoding = encoding_of(public)
    shards, tokenizer = (home / ".cache" / "autoresearch" / name for name in ("data", "tokenizer"))
    for folder in (shards, tokenizer):
        folder.mkdir(parents=True)
    (tokenizer / "tokenizer.pkl").write_bytes(pickle.dumps(encoding))
    tokens = np.load(public / "train" / "tokens.npy")
    documents = np.split(tokens, np.flatnonzero(tokens == encoding.n_vocab - 1)[1:])
    texts = encoding.decode_batch([document[1:].tolist() for document in documents])
    for number in range(TRAIN_SHARDS):
        part = texts[number * len(texts) // TRAIN_SHARDS : (number + 1) * len(texts) // TRAIN_SHARDS]
        pq.write_table(pa.table({"text": part}), shards / f"shard_{number:05d}.parquet", row_group_size=1024)
    pq.write_table(pa.table({"text": texts[:2]}), shards / LAST_SHARD)


# --- one side, one seed -----------------------------------------------------------------------------------------


def one(side: str, checkout: Path, options: dict[str, str]) -> dict[str, Any]:
    """bpb, tokens_a_second, mfu, steps, startup_seconds, gpu_gib and billed_seconds of one trial."""
    import torch

    torch.backends.cuda.enable_flash_sdp(
        False
    )  # cuDNN's attention for both: the fastest that torch has on Hopper
    torch.backends.cuda.enable_mem_efficient_sdp(False)
    seed, seconds, data = int(options["seeds"]), float(options["seconds"]), Path(options["data"])
    if side == "theirs":
        return their_trial(checkout, seed, seconds, data)
    return our_trial(seed, seconds, data, json.loads(options["settings"]))


def score(forward: Any, data: Path) -> float:
    """Bits per byte of val by the task's own evaluate.py; forward: tokens [n, T] -> logits [n, T, V]."""
    import torch
    import torch.nn.functional as F

    class Subject:
        def losses(self, rows: Any) -> Any:
            found = []
            for part in torch.from_numpy(rows).cuda().split(16):
                logits = forward(part[:, :-1]).float()
                found.append(F.cross_entropy(logits.transpose(1, 2), part[:, 1:], reduction="none").double())
            return torch.cat(found).cpu().numpy()

    with torch.inference_mode():
        bits: dict[str, float] = module_at(TASK / "evaluate.py").evaluate(Subject(), data / "private", "val")
    return bits["bpb"]


def module_at(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def our_trial(seed: int, seconds: float, data: Path, changes: dict[str, Any]) -> dict[str, Any]:
    """train.py of profile gpu from its start to its weights, then the weights' score."""
    start = time.monotonic()
    program = module_at(TASK / "gpu" / "train.py")
    program.SETTINGS = settings = dataclasses.replace(program.SETTINGS, **changes)
    opened, open_gate = [], program.open_gate
    program.open_gate = lambda folder: opened.append(time.monotonic()) or open_gate(folder)
    with tempfile.TemporaryDirectory() as out:
        sys.argv = ["train.py", "--data", str(data / "public"), "--out", out]
        sys.argv += ["--seed", str(seed), "--seconds", str(seconds)]
        program.main()
        used = time.monotonic() - opened[0]
        claims = json.loads((Path(out) / "claims.jsonl").read_text().splitlines()[-1])
        bpb = score(program.load_predictor(f"{out}/model.safetensors", str(data / "public")), data)
    rate, meta = claims["tokens_a_second"], json.loads((data / "public" / "meta.json").read_text())
    return {
        "bpb": bpb,
        "tokens_a_second": rate,
        "mfu": rate * our_flops_a_token(settings, meta) / PEAK_FLOPS,
        "steps": claims["step"],
        "startup_seconds": opened[0] - start,
        "gpu_gib": claims["gpu_gib"],
        "billed_seconds": used,
    }


def our_flops_a_token(settings: Any, meta: dict[str, Any]) -> float:
    """Forward and backward by that script's formula: 6 a weight that multiplies, 12 a channel and place attended to."""
    weights = settings.width * (12 * settings.width * settings.depth + meta["vocabulary"])
    return float(6 * weights + 12 * settings.width * settings.context * settings.depth)


def their_trial(checkout: Path, seed: int, seconds: float, data: Path) -> dict[str, Any]:
    """That script in this process; it ends where its own evaluation would begin."""
    import torch

    start, found = time.monotonic(), {}

    class Scored(BaseException):
        """Ends the script where its own evaluation would begin."""

    def evaluate_bpb(model: Any, tokenizer: Any, batch_size: int) -> float:  # noqa: ARG001 - the script's signature
        names = sys._getframe(1).f_globals
        found.update({name: names[name] for name in WANTED}, ended=time.monotonic())
        found["memory"] = torch.cuda.max_memory_allocated()
        found["bpb"] = score(getattr(model, "_orig_mod", model), data)
        raise Scored

    for name in ("requests", "rustbpe"):  # for downloads and a tokenizer of its own, neither of which happens
        if importlib.util.find_spec(name) is None:
            sys.modules[name] = types.ModuleType(name)
    prepare = module_at(checkout / "prepare.py")
    prepare.TIME_BUDGET, prepare.evaluate_bpb = seconds, evaluate_bpb
    attention = types.SimpleNamespace(flash_attn_func=own_attention)
    kernels: Any = types.ModuleType("kernels")
    kernels.get_kernel = lambda _: types.SimpleNamespace(flash_attn_interface=attention)
    sys.modules["kernels"] = kernels
    seeded: Any = torch.manual_seed
    torch.manual_seed = lambda fixed: seeded(fixed + seed)
    torch.cuda.manual_seed = lambda _: None  # the line before has seeded the GPU, too
    with contextlib.suppress(Scored), contextlib.redirect_stdout(sys.stderr):
        runpy.run_path(str(checkout / "train.py"), run_name="__main__")
    rate = (found["step"] - 11) * found["TOTAL_BATCH_SIZE"] / found["total_training_time"]
    return {
        "bpb": found["bpb"],
        "tokens_a_second": rate,
        "mfu": rate * found["num_flops_per_token"] / PEAK_FLOPS,
        "steps": found["step"],
        "startup_seconds": found["ended"] - start - found["total_training_time"],
        "gpu_gib": found["memory"] / 2**30,
        "billed_seconds": found["total_training_time"],
    }


def own_attention(q: Any, k: Any, v: Any, causal: bool, window_size: tuple[int, int]) -> Any:  # noqa: ARG001
    """Torch's fastest causal attention, [rows, length, heads, width]; it looks at more than the window, not at less."""
    import torch.nn.functional as F

    q, k, v = (part.transpose(1, 2) for part in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2)


if __name__ == "__main__":
    main()
