"""Hints from changed statements: the words in them, and the kind of code that they stand in."""

import ast
from collections import Counter
from collections.abc import Iterator, Sequence

from guards.source.change import Changed
from guards.source.seed_names import SINKS, SWITCHES

_WORDS: dict[str, tuple[str, ...]] = {
    "optimiser": (
        "optim", "adam", "sgd", "muon", "lion", "adafactor", "shampoo", "momentum", "weight_decay", "betas", "lr",
        "learning_rate", "warmup", "warmdown", "cooldown", "clip_grad", "grad_clip", "nesterov", "orthogonal",
        "newton", "param_groups", "schedule", "multiplier", "ema", "swa", "prefetch", "rate",
    ),
    "architecture": (
        "nn", "attn", "attention", "norm", "relu", "gelu", "silu", "swiglu", "sigmoid", "tanh", "softcap", "embed",
        "embedding", "rotary", "head", "heads", "layer", "layers", "depth", "width", "window", "mlp", "block",
        "blocks", "residual", "lambdas", "gate", "conv", "dropout", "logits", "init", "tied", "hidden", "lstm",
    ),
    "data": (
        "loader", "batch", "batches", "tokens", "dataset", "shuffle", "permutation", "starts", "windows", "order",
        "sample", "sampler", "epoch", "curriculum", "offsets", "augment", "vocabulary", "tokenizer", "documents",
        "items", "rows", "integers", "examples",
    ),
    "training loop": (
        "loss", "cross_entropy", "label_smoothing", "backward", "zero_grad", "micro_steps", "accumulation", "step",
        "steps", "progress", "criterion", "auxiliary", "targets", "while", "distill", "average", "penalty",
    ),
    "systems": (
        "compile", "autocast", "bfloat16", "float16", "amp", "num_threads", "matmul_precision", "tf32", "pin_memory",
        "non_blocking", "channels_last", "fused", "foreach", "gc", "cuda", "memory", "inference_mode", "prefetch",
        "device", "synchronize", "contiguous", "checkpoint", "thread", "stream", "dtype", "half", "profile", "cache",
        "alloc_conf", "backends", "empty_cache", "allow_tf32", "sdpa_kernel",
    ),
}  # fmt: skip
_STRONG = {
    "compile": "systems", "autocast": "systems", "bfloat16": "systems", "fused": "systems", "foreach": "systems",
    "set_num_threads": "systems", "pin_memory": "systems", "non_blocking": "systems", "allow_tf32": "systems",
    "set_float32_matmul_precision": "systems", "GradScaler": "systems", "collect": "systems", "freeze": "systems",
    "inference_mode": "systems", "mmap_mode": "systems", "prefetch": "systems", "backends": "systems",
    "environ": "systems", "synchronize": "systems", "submit": "systems", "Thread": "systems",
    "ThreadPoolExecutor": "systems", "Stream": "systems", "clip_grad_norm_": "optimiser",
    "clip_grad_value_": "optimiser", "AdamW": "optimiser", "SGD": "optimiser", "Adam": "optimiser",
    "RMSprop": "optimiser", "Adagrad": "optimiser", "betas": "optimiser", "NAdam": "optimiser",
    "lerp_": "optimiser", "param_groups": "optimiser", "weight_decay": "optimiser", "swap": "optimiser",
    "cross_entropy": "training loop", "label_smoothing": "training loop", "backward": "training loop",
    "shuffle": "data", "permutation": "data", "permuted": "data", "integers": "data", "randperm": "data",
    "randint": "data", "tokens": "data", "penalty": "training loop", "loss": "training loop", "fade": "optimiser",
}  # fmt: skip
_FUNCTION_HOMES = {
    "optimiser": ("optim", "lr", "rate", "schedule", "momentum", "orthogonal", "decay", "newton", "warm"),
    "data": ("batch", "loader", "data", "sample", "tokens", "shuffle"),
    "architecture": (
        "attention",
        "norm",
        "rotary",
        "rotated",
        "activation",
        "mlp",
        "layer",
        "init_weights",
        "mask",
    ),
    "training loop": ("train", "loss", "step"),
}
_STATEMENTS = 2  # whose place counts: a long change is not told by its length
_OTHER_MEANINGS = {"spawn", "advance", "jump"}
_HOMES = {"architecture": 3, "optimiser": 3, "data": 3, "training loop": 2}


def scores(changes: Sequence[Changed]) -> Counter[str]:
    """Class -> weight of the hints. Words that come or go count, and where the changed statements stand."""
    new, old = Counter[str](), Counter[str]()
    rest = [change for change in changes if not _is_seeding(list(_identifiers(change.node)))]
    if changes and not rest:
        return Counter(seed=len(changes))
    for change in rest:
        (old if change.old else new).update(_identifiers(change.node))
    words = (new - old) + (old - new) or new
    found = sum((_hints(word) for word in words), Counter[str]())
    standing = [change for change in rest if not change.old] or rest
    for change in standing[:_STATEMENTS]:
        if home := _home(change):
            found[home] += _HOMES[home]
        found["training loop"] += change.in_loop
    return +found or Counter({"training loop": 1})


def _is_seeding(words: list[str]) -> bool:
    return bool(set(words) & (SINKS - SWITCHES - _OTHER_MEANINGS)) or any(
        "seed" in word.lower() for word in words
    )


def _hints(word: str) -> Counter[str]:
    found = Counter[str]()
    if strong := _STRONG.get(word):
        found[strong] += 4
    parts = {word.lower(), *word.lower().split("_")}
    for name, known in _WORDS.items():
        found[name] += len(parts.intersection(known))
    return found


def _identifiers(node: ast.stmt) -> Iterator[str]:
    """Names, attributes, keywords and short strings of a statement; of a compound one only its head and its name."""
    head: list[ast.AST] = [node]
    if isinstance(
        node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.For | ast.While | ast.If | ast.With
    ):
        head = [part for part in ast.iter_child_nodes(node) if not isinstance(part, ast.stmt)]
        yield getattr(node, "name", "")
    for part in (inner for one in head for inner in ast.walk(one)):
        for name in ("id", "attr", "arg"):
            if isinstance(word := getattr(part, name, None), str):
                yield word
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and part.value.isidentifier():
            yield part.value


def _home(change: Changed) -> str:
    """What the innermost class or function around a statement is for."""
    for node in reversed(change.around):
        if isinstance(node, ast.ClassDef) and (home := _home_of_class(node)):
            return home
    for node in reversed(change.around):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for home, parts in _FUNCTION_HOMES.items():
                if _has(node.name, parts):
                    return home
    return ""


def _home_of_class(node: ast.ClassDef) -> str:
    bases = {getattr(base, "attr", getattr(base, "id", "")) for base in node.bases}
    if bases & {"Optimizer"}:
        return "optimiser"
    if bases & {"Module", "ModuleList", "Sequential"}:
        return "architecture"
    return "data" if _has(node.name, ("loader", "data", "batch", "sampler", "dataset")) else ""


def _has(name: str, parts: tuple[str, ...]) -> bool:
    words = {name.lower(), *name.lower().split("_")}
    return any(part in words or (len(part) > 4 and part in name.lower()) for part in parts)
