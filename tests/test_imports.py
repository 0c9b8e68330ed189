"""Who may import whom: the architecture, enforced by reading the imports of every module."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HARNESS, GUARDS, TASKS = ROOT / "harness", ROOT / "guards", ROOT / "tasks"
HEAVY = {"torch", "anthropic", "openai", "scipy", "pandas", "wandb", "optuna", "matplotlib", "ray", "hydra"}
HEAVY.add("omegaconf")
STARTS_PROCESSES = {  # module -> what it may start: only sandbox.py starts what is not trusted
    "harness.sandbox",
    "harness.sandbox_launcher",
    "harness.prepare",  # the task's own prepare.py
    "harness.placebo",  # likewise
    "harness.machine",  # nvidia-smi
    "harness.canary",  # canary_kernel.py, a fixed program of ours
}


def name_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imported(file: Path, top_only: bool = False) -> set[str]:
    """Dotted names that a module imports; `top_only`: those that loading it imports."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    nodes = list(_loaded(tree)) if top_only else list(ast.walk(tree))
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def _loaded(node: ast.AST):  # type: ignore[no-untyped-def] # a generator over ast nodes
    """Statements outside functions and outside `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _loaded(child)


def modules(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*.py") if "fixtures" not in file.parts)


def ours(file: Path) -> set[str]:
    return {name for name in imported(file) if name.split(".")[0] in ("harness", "guards", "tasks")}


def below(names: set[str], *allowed: str) -> set[str]:
    """Those of `names` that are not at or below one of `allowed`."""
    return {n for n in names if not any(n == a or n.startswith(f"{a}.") for a in allowed) and n != "harness"}


@pytest.mark.parametrize("file", modules(GUARDS), ids=name_of)
def test_guards_import_records_and_each_other(file: Path) -> None:
    """A guard is a pure function over records: no I/O module of ours, no third-party package."""
    assert not below(ours(file), "harness.records", "guards")
    third_party = {name.split(".")[0] for name in imported(file)} & {
        *HEAVY,
        "numpy",
        "git",
        "psutil",
        "subprocess",
    }
    assert not third_party


@pytest.mark.parametrize("file", modules(TASKS), ids=name_of)
def test_tasks_import_nothing_of_ours_but_the_gate(file: Path) -> None:
    """A task's files run in other zones: of ours they may use the one standard-library-only gate."""
    assert not below(ours(file), "harness.gate")


def test_the_contracts_import_nothing() -> None:
    """records and errors stand at the bottom; protocols knows records alone."""
    assert not ours(HARNESS / "records.py")
    assert not ours(HARNESS / "errors.py")
    assert not below(ours(HARNESS / "protocols.py"), "harness.records")


def test_the_session_names_no_concrete_part() -> None:
    """The loop knows protocols, not agents, executors, guards or trackers."""
    for name in ("session", "referee", "intake", "laboratory"):
        forbidden = (
            "harness.agents",
            "harness.executors",
            "harness.report",
            "harness.sandbox",
            "harness.evaluator",
        )
        found = ours(HARNESS / f"{name}.py")
        assert not {
            n for n in found if n.startswith((*forbidden, "guards", "harness.config", "harness.keep."))
        }


def test_hydra_appears_in_the_composition_root_only() -> None:
    """Only `config*` modules (and a sweep's parser of overrides) know Hydra; nobody else reads its objects."""
    for file in modules(HARNESS):
        if {name.split(".")[0] for name in imported(file)} & {"hydra", "omegaconf"}:
            assert name_of(file).startswith(("harness.config", "harness.sweep")), name_of(file)


def test_git_is_touched_in_one_file() -> None:
    """GitPython, and git as a command, appear in workspace.py alone."""
    for file in [*modules(HARNESS), *modules(GUARDS)]:
        if name_of(file) != "harness.workspace":
            assert "git" not in {name.split(".")[0] for name in imported(file)}, name_of(file)


def test_processes_are_started_in_known_places() -> None:
    """Untrusted processes are sandbox.py's alone; the other starters start our own or the machine's programs."""
    for file in [*modules(HARNESS), *modules(GUARDS)]:
        name = name_of(file)
        if {"subprocess", "multiprocessing", "pty"} & imported(file):
            reviewed = (
                *STARTS_PROCESSES,
                "harness.evaluator",
                "harness.sweep",
                "harness.agents",
                "harness.report",
            )
            assert name.startswith(reviewed) or name in ("harness.check_task", "harness.doctor"), name


@pytest.mark.parametrize("file", [*modules(HARNESS), *modules(GUARDS)], ids=name_of)
def test_nothing_heavy_is_imported_before_it_is_needed(file: Path) -> None:
    """Loading a module of ours costs milliseconds: heavy libraries are imported inside the functions that need them."""
    heavy = {name.split(".")[0] for name in imported(file, top_only=True)} & HEAVY
    if name_of(file).startswith(("harness.config_", "harness.sweep_arms", "harness.predictor_host")):
        heavy -= {"hydra", "omegaconf"}
    assert not heavy
