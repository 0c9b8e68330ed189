"""What a checkout of autoresearch, or of a fork, holds: files, metric, budget, loader, data, history.

The layout is that of github.com/karpathy/autoresearch (March 2026): `prepare.py` has constants, a tokenizer, a
loader of training data and a function that evaluates; `train.py`, or a script of another name, imports them, trains
and prints a summary.
"""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError
from harness.task.adoption.constants import Value, constants
from harness.task.adoption.layout import (
    check_layout,
    editable_files,
    imported_names,
    modules,
    no_script,
    parsed,
    program_text,
)

DEFAULT_CACHE = ".cache/autoresearch"
OFFERED = {"Tokenizer", "make_dataloader", "get_token_bytes"}
_METRICS = (
    ("bpb", "bpb"),
    ("bits_per_byte", "bpb"),
    ("perplexity", "perplexity"),
    ("ppl", "perplexity"),
    ("loss", "loss"),
)
_CACHE = ("CACHE_DIR", "CACHE", "BASE_DIR")
_DATA = ("DATA_DIR", "DATA_PATH", "DATA")
_VOCABULARY = ("TOKENIZER_DIR", "TOKENIZER_PATH")
_ROLES = {
    "tokenizer": ("tokenizer", "tok", "enc", "tokeniser"),
    "rows": ("B", "batch_size", "device_batch_size", "bsz", "rows", "batch"),
    "length": (
        "T",
        "seq_len",
        "sequence_len",
        "sequence_length",
        "max_seq_len",
        "block_size",
        "context",
        "length",
    ),
    "split": ("split", "mode", "partition"),
    "device": ("device",),
}


@dataclass(frozen=True, slots=True)
class Loader:
    """How the loader is called. parameters: its names in order; roles: role -> name; fields: how many values it
    yields.
    """

    name: str
    parameters: tuple[str, ...]
    roles: Mapping[str, str]
    fields: int


@dataclass(frozen=True, slots=True)
class Survey:
    """A checkout that can be taken over. Sizes in tokens, times in seconds.

    constants: of prepare.py. imported: what the editable files import from it. metric: bpb, loss or perplexity.
    gpu: whether the script needs one. kernels: repositories that it asks the kernel hub for. compiles: whether it
    asks torch to. counts_decoded: whether prepare.py takes a token's bytes from its decoded text. script: the training
    script, first of `editable`.
    """

    folder: Path
    script: str
    editable: tuple[str, ...]
    constants: Mapping[str, Value]
    imported: Mapping[str, int]
    loader: Loader
    evaluate: str
    metric: str
    sequence_length: int
    time_budget_seconds: float
    evaluation_tokens: int
    data: Path
    tokenizer: Path
    validation_shard: str
    bos_token: str
    special_tokens: tuple[str, ...]
    gpu: bool
    kernels: tuple[str, ...]
    compiles: bool
    seeds: tuple[str, ...]
    counts_decoded: bool
    program: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """What the user says of a checkout because it cannot be read there. data, vocabulary: folders. gpu: whether the
    script needs one, None: as it looks.
    """

    script: str = "train.py"
    data: Path | None = None
    vocabulary: Path | None = None
    gpu: bool | None = None


def survey(folder: Path, home: Path | None = None, said: Said | None = None) -> Survey:
    """Raises UserError, with the place and the smallest edit that would do, for what cannot be taken over."""
    home, said = home or Path.home(), said or Said()
    check_layout(folder, said.script)
    train, prepare = (parsed(folder / name) for name in (said.script, "prepare.py"))
    editable = editable_files(folder, said.script, train)
    trees = {name: parsed(folder / name) for name in editable}
    _refuse_other_machines(trees)
    known = constants(prepare, home)
    imported = imported_names(trees)
    if not imported:
        raise UserError(no_script(folder, f"{said.script} imports nothing from prepare.py"))
    functions = {node.name: node for node in prepare.body if isinstance(node, ast.FunctionDef)}
    loader = _loader(functions, imported)
    evaluate = _evaluate(functions, imported)
    _check_imports(said.script, imported, known, {loader.name, evaluate}, functions)
    cache = _path(known, _CACHE, home / DEFAULT_CACHE)
    special = known.get("SPECIAL_TOKENS")
    return Survey(
        folder=folder,
        script=said.script,
        editable=editable,
        constants=known,
        imported=imported,
        loader=loader,
        evaluate=evaluate,
        metric=_metric(evaluate, functions[evaluate]),
        sequence_length=_whole(
            known,
            ("MAX_SEQ_LEN", "SEQ_LEN", "SEQUENCE_LEN", "BLOCK_SIZE", "CONTEXT_LEN"),
            "a sequence length",
        ),
        time_budget_seconds=_budget(known),
        evaluation_tokens=_whole(
            known, ("EVAL_TOKENS", "VAL_TOKENS"), "a number of tokens to evaluate", 1 << 20
        ),
        data=said.data or _path(known, _DATA, cache / "data"),
        tokenizer=said.vocabulary or _path(known, _VOCABULARY, cache / "tokenizer"),
        validation_shard=str(known.get("VAL_FILENAME") or _pinned(known)),
        bos_token=str(known.get("BOS_TOKEN") or "<|reserved_0|>"),
        special_tokens=tuple(str(each) for each in special) if isinstance(special, list) else (),
        gpu=_needs_gpu(trees) if said.gpu is None else said.gpu,
        kernels=_kernels(trees),
        compiles=any(_compiles(node) for tree in trees.values() for node in ast.walk(tree)),
        seeds=_seeds(trees),
        counts_decoded=_counts_decoded(prepare),
        program=program_text(folder / "program.md"),
        notes=(*_notes(folder), *_assumed(prepare, known, said, cache)),
    )


def _refuse_other_machines(trees: Mapping[str, ast.Module]) -> None:
    """What is imported inside a function only is for a machine that the script finds itself on."""
    for name, tree in trees.items():
        outside = ast.Module(
            [node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.ClassDef)], []
        )
        if "mlx" in modules(outside):
            raise UserError(
                f"{name} imports mlx: models for Apple's MLX cannot be scored here, the predictor speaks torch;"
                " port the model to torch, or use a fork that runs on CUDA or CPU"
            )


def _loader(functions: Mapping[str, ast.FunctionDef], imported: Mapping[str, int]) -> Loader:
    able = [name for name in imported if name in functions and _yields(functions[name])]
    named = [name for name in able if "load" in name] or able
    if not named:
        raise UserError(
            "the training script imports no loader of training data from prepare.py; the smallest edit: a generator"
            " `make_dataloader(tokenizer, B, T, split)` in prepare.py that yields (inputs,"
            " targets, epoch), imported by the script"
        )
    node = functions[named[0]]
    arguments = node.args
    parameters = tuple(each.arg for each in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs])
    roles = {
        role: name
        for role, names in _ROLES.items()
        if (name := next((p for p in parameters if p in names), ""))
    }
    missing = [role for role in ("rows", "length") if role not in roles]
    if missing:
        raise UserError(
            f"prepare.py line {node.lineno}: {node.name}({', '.join(parameters)}) has no parameter that can be read as"
            f" {' and '.join(missing)}; the smallest edit: name them B and T"
        )
    return Loader(node.name, parameters, roles, _yields(node))


def _yields(node: ast.FunctionDef) -> int:
    """How many values it yields at a time; 0: it is no generator."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Yield) and inner.value is not None:
            return len(inner.value.elts) if isinstance(inner.value, ast.Tuple) else 1
    return 0


def _evaluate(functions: Mapping[str, ast.FunctionDef], imported: Mapping[str, int]) -> str:
    named = [name for name in imported if name in functions and name.startswith("eval")]
    if not named:
        raise UserError(
            "the training script imports no function from prepare.py whose name begins with `eval`; the"
            " smallest edit: evaluate with"
            " `evaluate_bpb(model, tokenizer, batch_size)` of prepare.py, which is where the weights are taken"
        )
    return named[0]


def _metric(name: str, node: ast.FunctionDef) -> str:
    text = f"{name} {ast.unparse(node)}".lower()
    for word, metric in _METRICS:
        if word in name.lower():
            return metric
    if "log(2)" in text and "byte" in text:
        return "bpb"
    raise UserError(
        f"prepare.py line {node.lineno}: what {name} returns cannot be computed from a model's answers to tokens;"
        " supported are bits per byte, mean loss and perplexity: name the function evaluate_bpb,"
        " evaluate_loss or evaluate_ppl"
    )


def _check_imports(
    script: str,
    imported: Mapping[str, int],
    known: Mapping[str, Value],
    offered: set[str],
    functions: Mapping[str, ast.FunctionDef],
) -> None:
    """Everything that train.py takes from prepare.py must have a stand-in."""
    for name, line in imported.items():
        if name in known or name in offered or name in OFFERED or name == "*":
            continue
        what = "function" if name in functions else "name"
        raise UserError(
            f"{script} line {line}: the {what} {name} of prepare.py has no stand-in in a trial;"
            f" the smallest edit: move it into"
            f" {script}, or do without it"
        )


def _path(known: Mapping[str, Value], names: Sequence[str], default: Path) -> Path:
    found = next((known[name] for name in names if isinstance(known.get(name), str)), None)
    return Path(str(found)) if found else default


def _whole(known: Mapping[str, Value], names: Sequence[str], what: str, default: int | None = None) -> int:
    for name in names:
        value = known.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            return int(value)
    if default is not None:
        return default
    raise UserError(
        f"prepare.py has no constant for {what}; the smallest edit: `{names[0]} = ...` at its top"
    )


def _budget(known: Mapping[str, Value]) -> float:
    """In seconds; a constant that says minutes is taken as that."""
    for name, factor in (
        ("TIME_BUDGET", 1),
        ("TIME_BUDGET_SECONDS", 1),
        ("TIME_BUDGET_MINUTES", 60),
        ("TIME_BUDGET_MIN", 60),
    ):
        value = known.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            return float(value) * factor
    raise UserError(
        "prepare.py has no constant TIME_BUDGET (seconds of training); the smallest edit: add one at its top"
    )


def _pinned(known: Mapping[str, Value]) -> str:
    number = known.get("VAL_SHARD", known.get("MAX_SHARD"))
    return f"shard_{number:05d}.parquet" if isinstance(number, int) else ""


def _needs_gpu(trees: Mapping[str, ast.Module]) -> bool:
    """CUDA is named and no other device is: `"cuda" if torch.cuda.is_available() else "cpu"` runs on both."""
    texts = {
        node.value for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.Constant)
    }
    calls = {
        ast.unparse(node.func)
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    }
    if "torch.cuda.is_available" in calls and "cpu" in texts:
        return False
    return "cuda" in texts or any(
        call.startswith("torch.cuda.") and call != "torch.cuda.manual_seed" for call in calls
    )


def _compiles(node: ast.AST) -> bool:
    """As launch.py asks of what was edited: in a trial's tree nothing of this module is."""
    if isinstance(node, ast.ImportFrom):
        return node.module == "torch" and any(each.name == "compile" for each in node.names)
    return isinstance(node, ast.Attribute) and node.attr == "compile" and ast.unparse(node.value) != "re"


def _kernels(trees: Mapping[str, ast.Module]) -> tuple[str, ...]:
    """Names of repositories on the kernel hub: strings like owner/name in a file that imports `kernels`."""
    found: dict[str, None] = {}
    for tree in trees.values():
        if "kernels" in modules(tree):
            for node in ast.walk(tree):
                if (
                    isinstance(node, ast.Constant)
                    and isinstance(node.value, str)
                    and node.value.count("/") == 1
                ):
                    owner, name = node.value.split("/")
                    if owner and name and not set(node.value) & set(" \n<>{}\\"):
                        found[node.value] = None
    return tuple(found)


def _seeds(trees: Mapping[str, ast.Module]) -> tuple[str, ...]:
    """Calls that seed with a constant, as `file:line call`."""
    found = []
    for name, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in (
                "manual_seed",
                "manual_seed_all",
                "seed",
            ):
                found.append(f"{name}:{node.lineno} {ast.unparse(node)[:60]}")
    return tuple(found)


def _notes(folder: Path) -> tuple[str, ...]:
    notes = []
    if not (folder / "program.md").is_file():
        notes.append("no program.md: a line stands in for it")
    return tuple(notes)


def _assumed(prepare: ast.Module, known: Mapping[str, Value], said: Said, cache: Path) -> list[str]:
    """Folders that prepare.py works out by more than constants: where they are assumed to be."""
    assigned = {
        target.id
        for node in prepare.body
        for target in (node.targets if isinstance(node, ast.Assign) else [])
        if isinstance(target, ast.Name)
    }
    notes = []
    for what, names, given in (("data", _DATA, said.data), ("vocabulary", _VOCABULARY, said.vocabulary)):
        if given is None and not any(isinstance(known.get(name), str) for name in names):
            computed = sorted(assigned.intersection((*names, *_CACHE)) - known.keys())
            why = f"prepare.py works {' and '.join(computed)} out" if computed else "prepare.py names none"
            notes.append(
                f"the folder of the {what} is assumed below {cache}: {why}; {what}=FOLDER says another"
            )
    return notes


def _counts_decoded(prepare: ast.Module) -> bool:
    """Whether somewhere the bytes of a decoded text are counted: len(text.encode(...)), in a file that decodes."""
    calls = [node for node in ast.walk(prepare) if isinstance(node, ast.Call)]
    decodes = any(isinstance(call.func, ast.Attribute) and call.func.attr == "decode" for call in calls)
    return decodes and any(
        isinstance(call.func, ast.Name)
        and call.func.id == "len"
        and len(call.args) == 1
        and isinstance(call.args[0], ast.Call)
        and isinstance(call.args[0].func, ast.Attribute)
        and call.args[0].func.attr == "encode"
        for call in calls
    )
