"""Makes a task of your own protocol: python own_protocol.py MODULE.py FOLDER

The module needs, as protocol.py and checker.py here show:
    OPERATIONS  name -> ([kinds of arguments], kind of thing that it makes, or None)
    VALUES      kind -> words to choose from, or a range of whole numbers;  SETS  kind -> words of which any set fits
    Rejected    the exception with which an operation refuses
    Protocol    a class with a method per operation; one that makes something returns its number, from 0 in order
    Checker     a class with saw(name, arguments) -> set of the invariants that this accepted operation broke
Its docstring is the specification that the agent reads. No defects are seeded: what counts is how many distinct
(invariant, names of the operations in the shrunk trace) an attack finds.
"""

import importlib.util
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
NEEDED = ("OPERATIONS", "VALUES", "SETS", "Rejected", "Protocol", "Checker")
COPIED = ("campaign.py", "evaluate.py", "prepare.py", "train.py", "program.md", "violations.py")
CHECKER = '"""The invariants that come with the protocol."""\n\nfrom protocol import Checker  # noqa: F401\n'
NO_DEFECTS = '"""None: the protocol is what it is."""\n\n{} = ()\n'
TASK = """\
# Find distinct violations in {name}
_target_: harness.task.Task
metric: distinct_violations
unit: violations
direction: maximize
editable: [attack.py, train.py]
readable: [INVARIANTS.md, protocol.py, checker.py, campaign.py, defects_visible.py]
artefact: attack.json
predictor: items
entry: attack.py
determinism: none
profiles:
  cpu: {{seconds: 20, clock: cpu, startup_seconds: 60, memory_gib: 2, threads: 1}}
"""


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print(__doc__)
        return 2
    module, folder = Path(arguments[0]), Path(arguments[1])
    problem = problem_of(module, folder)
    if problem:
        print(f"own_protocol: {problem}", file=sys.stderr)
        return 2
    make(module, folder)
    print(
        f"made {folder}; try it: python -m harness task={folder.name} (in the folder above {folder.parent.name}/)"
    )
    return 0


def problem_of(module: Path, folder: Path) -> str:
    if not module.is_file():
        return f"there is no file {module}"
    if folder.exists():
        return f"{folder} is there already"
    spec = importlib.util.spec_from_file_location("protocol", module)
    loaded = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(loaded)
    except Exception as error:  # noqa: BLE001 -- whatever the user's module raises is told
        return f"{module} cannot be imported: {error!r}"
    missing = [name for name in NEEDED if not hasattr(loaded, name)]
    if missing:
        return f"{module} lacks {', '.join(missing)}; see {Path(__file__).name} for what each is"
    lacking = [name for name in loaded.OPERATIONS if not hasattr(loaded.Protocol, name)]
    if lacking:
        return f"class Protocol has no method {lacking[0]}, which OPERATIONS names"
    return (
        "" if loaded.__doc__ else f"{module} has no docstring: it is the specification that the agent reads"
    )


def make(module: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in COPIED:
        shutil.copyfile(HERE / name, folder / name)
    shutil.copyfile(HERE / "attack_generic.py", folder / "attack.py")
    shutil.copyfile(module, folder / "protocol.py")
    files = {
        "checker.py": CHECKER,
        "defects_visible.py": NO_DEFECTS.format("VISIBLE"),
        "defects_hidden.py": NO_DEFECTS.format("HIDDEN = PAIRS"),
        "INVARIANTS.md": f"# {folder.name}\n\nSee the docstring of `protocol.py`.\n",
        "task.yaml": TASK.format(name=folder.name),
    }
    for name, text in files.items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
