"""Who may import whom: the architecture, enforced by reading the imports of every module."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HARNESS, GUARDS, TASKS = ROOT / "harness", ROOT / "guards", ROOT / "tasks"
HEAVY = {"torch", "anthropic", "openai", "scipy", "pandas", "wandb", "optuna", "cmaes", "matplotlib", "ray", "hydra"}
HEAVY |= {"mlflow", "tensorboardX", "PIL"}
HEAVY |= {"omegaconf", "pydantic"}
GIT_FILES = {f"harness.ledger.{name}" for name in ("workspace", "foreign_repository", "git_errors")}
LAYERS = [  # a zone may import what stands in the lines above its own; ARCHITECTURE.md states the same order
    ["records", "errors", "protocols", "gate"],
    ["sandbox", "ledger"],
    ["task"],
    ["trial", "scoring", "keep", "report"],
    ["slots"],
    ["agents", "config", "compare"],
    ["session", "sweep", "ui"],
    ["redteam"],
    ["commands"],
    ["__main__"],
]
RANK = {zone: rank for rank, zones in enumerate(LAYERS) for zone in zones}
COMMAND_ALIASES = {
    f"harness.{name}.__main__" for name in ("ledger", "report", "compare", "redteam", "ui")
}  # `python -m harness.report`
STARTS_PROCESSES = {  # module -> what it may start: only sandbox/ starts what is not trusted
    "harness.sandbox",
    "harness.task.prepare",  # the task's own prepare.py
    "harness.task.shuffled_control",  # likewise
    "harness.task.reorder",  # likewise
    "harness.trial.machine_probe",  # machine_probe_kernel.py, a fixed program of ours
    "harness.scoring",  # the referee's process
    "harness.slots.in_slurm",  # Slurm's own commands
    "harness.slots.on_ray",  # the referee's agent on a node
    "harness.sweep",  # sessions
    "harness.agents",
    "harness.report",  # W&B in a process of its own
    "harness.commands.check_task",
    "harness.commands.doctor",
}


def name_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


@functools.cache
def parsed(file: Path) -> ast.Module:
    """Read once for all tests here."""
    return ast.parse(file.read_text(encoding="utf-8"))


@functools.cache
def imported(file: Path, top_only: bool = False) -> frozenset[str]:
    """Dotted names that a module imports; `top_only`: those that loading it imports."""
    nodes = _loaded(parsed(file)) if top_only else ast.walk(parsed(file))
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


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
    """Ours: what lies in templates/ belongs to the task that is made from it."""
    return sorted(file for file in folder.rglob("*.py") if not {"fixtures", "templates"} & set(file.parts))


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


def zone_of(name: str) -> str:
    return name.split(".")[1] if "." in name else "__init__"


@pytest.mark.parametrize("file", modules(HARNESS), ids=name_of)
def test_zones_import_lower_layers_only(file: Path) -> None:
    """The order of layers: a zone knows itself and what stands below it, never a neighbour and nothing above."""
    name = name_of(file)
    if name in COMMAND_ALIASES:
        return
    own = zone_of(name)
    for found in ours(file):
        zone = zone_of(found)
        if (
            found.startswith("harness.")
            and zone in RANK
            and zone != own
            and (own, zone) != ("protocols", "records")
        ):
            assert RANK[zone] < RANK[own], f"{name} imports {found}"


def test_every_zone_has_a_place_in_the_order() -> None:
    """A new folder or module at the top must be given its layer here and in ARCHITECTURE.md."""
    zones = {
        path.stem for path in HARNESS.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert zones - {"__init__"} == set(RANK)
    top = {path.stem for path in HARNESS.glob("*.py")} - {"__init__"}
    assert top == {*LAYERS[0], "__main__"}


def test_there_is_no_circle_of_imports() -> None:
    """Files form no circle, whether the import is at the top or inside a function."""
    files = {name_of(file): file for file in [*modules(HARNESS), *modules(GUARDS)]}
    graph = {
        name: {found for found in ours(file) if found in files and found != name}
        for name, file in files.items()
    }
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name not in done:
            for other in sorted(graph[name]):
                visit(other, (*path, name))
            done.add(name)

    for name in sorted(graph):
        visit(name, ())


def test_the_session_names_no_concrete_part() -> None:
    """The loop knows protocols, not agents, executors, guards or trackers."""
    concrete = ("agents", "config", "keep.", "report", "sandbox", "scoring", "trial.local")
    for name in ("session", "referee", "intake", "trial_runner"):
        found = below(
            ours(HARNESS / "session" / f"{name}.py"), "harness.keep.promotion"
        )  # a record of settings
        forbidden = tuple(f"harness.{part}" for part in concrete)
        assert not {each for each in found if each.startswith((*forbidden, "guards"))}


def test_hydra_appears_in_the_composition_root_only() -> None:
    """Only `config*` modules (and a sweep's parser of overrides) know Hydra; nobody else reads its objects."""
    for file in modules(HARNESS):
        if {name.split(".")[0] for name in imported(file)} & {"hydra", "omegaconf"}:
            assert name_of(file).startswith(("harness.config.", "harness.sweep.")), name_of(file)


def test_git_is_touched_in_known_files() -> None:
    """GitPython, and git as a command, appear where repositories are known (ours, somebody's) and in git's errors."""
    for file in [*modules(HARNESS), *modules(GUARDS)]:
        if name_of(file) not in GIT_FILES:
            assert "git" not in {name.split(".")[0] for name in imported(file)}, name_of(file)


def test_processes_are_started_in_known_places() -> None:
    """Untrusted processes are the sandbox's alone; the other starters start our own or the machine's programs."""
    for file in [*modules(HARNESS), *modules(GUARDS)]:
        if {"subprocess", "multiprocessing", "pty"} & imported(file):
            assert not below({name_of(file)}, *STARTS_PROCESSES), name_of(file)


@pytest.mark.parametrize("file", [*modules(HARNESS), *modules(GUARDS)], ids=name_of)
def test_nothing_heavy_is_imported_before_it_is_needed(file: Path) -> None:
    """Loading a module of ours costs milliseconds: heavy libraries are imported inside the functions that need them."""
    heavy = {name.split(".")[0] for name in imported(file, top_only=True)} & HEAVY
    if name_of(file).startswith(("harness.config.", "harness.sweep.arms", "harness.scoring.predictor_host")):
        heavy -= {"hydra", "omegaconf"}
    if name_of(file) in ("harness.ledger.rows", "harness.config.schema"):  # what --help does not load
        heavy -= {"pydantic"}
    assert not heavy


def test_help_loads_nothing_heavy() -> None:
    """`harness --help` answers at once: none of the heavy libraries is loaded for it, by whatever way."""
    code = "import sys; from harness.__main__ import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert not loaded & (HEAVY - {"hydra", "omegaconf"} | {"inspect"})  # inspect: what dataclasses import
