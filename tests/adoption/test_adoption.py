"""A checkout of autoresearch's shape becomes a task: read without being run, its model taken from wherever it
stands.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import PREPARE, TRAIN, make_cache, make_checkout

from harness.errors import UserError
from harness.ledger.foreign_repository import ForeignRepository
from harness.sandbox.open import open_sandbox
from harness.task.adoption.constants import constants
from harness.task.adoption.survey import survey
from harness.task.adoption.tokenizer import exported
from harness.task.adoption.writing import write
from harness.task.task import Profile, Task

MAIN = TRAIN.replace(
    "RATE = 3e-3\n", "def main():\n    RATE = 3e-3\n"
)  # everything from there on, in a function
MAIN = MAIN.split("    RATE = 3e-3\n")[0] + "    RATE = 3e-3\n" + "".join(
    f"    {line}\n" if line else "\n" for line in MAIN.split("    RATE = 3e-3\n")[1].splitlines()
) + "\n\nmain()\n"  # fmt: skip
SHAPES = {
    "at the top": TRAIN,
    "in main()": MAIN,
    "compiled": TRAIN.replace("loader = make", "model = torch.compile(model, dynamic=False)\nloader = make"),
    "loader before the model": TRAIN.replace(
        "model = Mixer(Sizes(tokenizer.get_vocab_size()))\n",
        "early = make_dataloader(tokenizer, 16, MAX_SEQ_LEN, 'train')\nnext(early)\nmodel ="
        " Mixer(Sizes(tokenizer.get_vocab_size()))\n",
    ),
    "another constructor": TRAIN.replace(
        "model = Mixer(Sizes(tokenizer.get_vocab_size()))\n",
        "with torch.device('meta'):\n    model ="
        " Mixer(Sizes(tokenizer.get_vocab_size()))\nmodel.to_empty(device='cpu')\n"
        "model.count = torch.arange(1, 4097).float()\n",
    ),
    "an object that holds the model": TRAIN.replace(
        "loader = make", "class Trainer:\n    def __init__(self, model):\n        self.inner ="
        " model\n\n\nholder = Trainer(model)\nloader = make"
    ),
    "logits only with targets": TRAIN.replace("    return logits\n", "    return logits[:, [-1]], None\n")
    .replace("return F.cross_entropy(", "return logits, F.cross_entropy(")
    .replace("loss = model(x, y)", "_, loss = model(x, y)"),
    "evaluated first": TRAIN.replace("spent, step =", "evaluate_bpb(model, tokenizer, ROWS)\nspent, step ="),
}  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    make_cache(folder)
    return folder


@pytest.fixture(scope="module")
def vocabulary(home: Path) -> dict:
    return exported(home / ".cache/autoresearch/tokenizer", open_sandbox())


def test_what_is_found(tmp_path: Path, home: Path) -> None:
    """Sizes, paths, loader, metric and seeds are read; nothing of the checkout is run or written."""
    folder = make_checkout(tmp_path / "co", prepare=PREPARE + "\nraise SystemExit('it was run')\n")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    found = survey(folder, home)
    assert (found.metric, found.sequence_length) == ("bpb", 32)
    assert (found.evaluation_tokens, found.time_budget_seconds) == (4096, 3)
    assert found.data == home / ".cache/autoresearch/data"
    assert found.validation_shard == "shard_00009.parquet"
    assert found.special_tokens == ("<|special_0|>", "<|special_1|>")
    assert found.loader.roles == {"tokenizer": "tokenizer", "rows": "B", "length": "T", "split": "split"}
    assert found.loader.fields == 3
    assert found.seeds == ("train.py:40 torch.manual_seed(42)",)
    assert not found.gpu
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("TIME_BUDGET = 3", "BUDGET = 3", "TIME_BUDGET"),
        ("MAX_SEQ_LEN = 32", "", "MAX_SEQ_LEN"),
        (
            "def make_dataloader(tokenizer, B, T, split, buffer_size=1000)",
            "def make_dataloader(q, w, e)",
            "name them B and T",
        ),
        ("def evaluate_bpb", "def score", "begins with `eval`"),
        ("def evaluate_bpb(", "def evaluate_bpb((", "not Python"),
    ],
)
def test_what_cannot_be_taken_over_is_one_line(
    tmp_path: Path, home: Path, old: str, new: str, words: str
) -> None:
    """With the place and the smallest edit that would do."""
    folder = make_checkout(tmp_path / "co", prepare=PREPARE.replace(old, new), night=False)
    with pytest.raises(UserError, match=words) as caught:
        survey(folder, home)
    assert "\n" not in str(caught.value)


def test_models_for_apple_are_refused_clearly(tmp_path: Path, home: Path) -> None:
    folder = make_checkout(tmp_path / "co", train="import mlx.core as mx\n" + TRAIN, night=False)
    with pytest.raises(UserError, match="MLX cannot be scored here"):
        survey(folder, home)


def test_an_import_without_a_stand_in_names_its_line(tmp_path: Path, home: Path) -> None:
    changed = PREPARE + "\n\ndef shuffle_texts():\n    pass\n"
    train = TRAIN.replace("from prepare import ", "from prepare import shuffle_texts, ")
    folder = make_checkout(tmp_path / "co", train, changed, night=False)
    with pytest.raises(UserError, match=r"train\.py line 10: the function shuffle_texts"):
        survey(folder, home)


def test_other_spellings_of_the_same(tmp_path: Path, home: Path) -> None:
    """Minutes, another metric, several editable files, paths by pathlib, a GPU that is not optional."""
    changed = PREPARE.replace("TIME_BUDGET = 3", "TIME_BUDGET_MINUTES = 5").replace(
        "evaluate_bpb", "evaluate_loss"
    )
    changed = changed.replace('os.path.join(CACHE_DIR, "data")', 'Path.home() / "texts"')
    train = TRAIN.replace("TIME_BUDGET", "TIME_BUDGET_MINUTES").replace("evaluate_bpb", "evaluate_loss")
    train = "import layers\n" + train.replace(
        "tokenizer = Tok", "model_device = torch.device('cuda')\ntokenizer = Tok"
    )
    folder = make_checkout(tmp_path / "co", train, changed, night=False)
    (folder / "layers.py").write_text("import torch\n")
    found = survey(folder, home)
    assert (found.metric, found.time_budget_seconds, found.gpu) == ("loss", 300, True)
    assert found.editable == ("train.py", "layers.py")
    assert found.data == home / "texts"


def test_constants_are_worked_out_without_running() -> None:
    """Numbers, strings, f-strings, paths; what is more than that is left out."""
    import ast

    lines = [
        "A = 2**19",
        "B = A // 4 * 3",
        "C = f'shard_{B:08d}'",
        "D = open('x')",
        "E = [A, 'b']",
        "F = -1.5",
    ]
    text = "\n".join([*lines, "G = 1 << 4", "H = 9**9**9**9", "I = 1 // 0"])
    found = constants(ast.parse(text), Path("/home/a"))
    assert found == {"A": 524288, "B": 393216, "C": "shard_00393216", "E": [524288, "b"], "F": -1.5, "G": 16}


def test_a_pickle_is_opened_in_a_sandbox_only(tmp_path: Path) -> None:
    """A vocabulary that runs code when it is unpickled reaches nothing of ours and is one line for the user."""
    witness = tmp_path / "witness"
    program = (
        f"import os, pickle\nclass Evil:\n    def __reduce__(self):\n        return (os.system, ('touch {witness}',))\n"
        "open('tokenizer.pkl', 'wb').write(pickle.dumps(Evil()))\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    with pytest.raises(UserError, match="no pickled tiktoken Encoding"):
        exported(tmp_path, open_sandbox())
    assert not witness.exists()


def test_the_task_folder(tmp_path: Path, home: Path, vocabulary: dict) -> None:
    """train.py byte for byte, their program, a task that the schema takes, a replay series with claims."""
    folder = make_checkout(tmp_path / "co")
    target = tmp_path / "tasks" / "mine"
    write(survey(folder, home), vocabulary, target)
    assert (target / "train.py").read_bytes() == (folder / "train.py").read_bytes()
    assert (target / "program.md").read_text() == (folder / "program.md").read_text()
    patches = sorted((target / "replay").glob("*.patch"))
    assert len(patches) == 2
    assert "Claimed: 1.9 after 2" in patches[0].read_text()
    assert "larger rate" in (target / "HISTORY.md").read_text()
    task = Task(str(target), "bpb", "minimize", ("train.py",), {"cpu": Profile(3)}, predictor="tokens", classes=300,
                script="launch.py", entry="launch.py", readable=("launch.py", "stand_in.py", "packing.py",
                "adopted.json"))  # type: ignore[arg-type] # fmt: skip
    assert "stand_in.py" in task.source()
    assert not {"prepare.py", "evaluate.py"} & set(task.source())


def test_a_foreign_repository_is_only_read(tmp_path: Path) -> None:
    """Its hooks and monitors are not run, its index is not refreshed; a plain folder has no branches."""
    folder = make_checkout(tmp_path / "co")
    witness = tmp_path / "witness"
    (folder / ".git" / "config").open("a").write(f'[core]\n\tfsmonitor = "touch {witness}"\n')
    repository = ForeignRepository(folder)
    (branch,) = repository.branches()
    changes = repository.changes(branch, ["train.py"])
    assert [change.subject for change in changes] == ["larger rate", "fewer rows a step"]
    assert not witness.exists()
    plain = tmp_path / "plain"
    plain.mkdir()
    assert ForeignRepository(plain).branches() == []


PROBE = """
import json, os, sys, torch
shapes, count = json.load(open(sys.argv[1])), int(sys.argv[3])
for name, folder in shapes.items():
    sys.stdout.flush()
    if os.fork() == 0:
        sys.path.insert(0, folder)
        import launch
        from safetensors.torch import save_file
        weights = {}
        text = open(folder + "/train.py").read().split("RATE = ")[0].replace("from prepare", "from stand_in")
        text = text.removesuffix("def main():\\n    ")
        space = {"__name__": "__main__"}
        exec(text, space)
        torch.manual_seed(7)
        model = space["Mixer"](space["Sizes"](count))
        save_file(model.state_dict(), folder + "/weights.safetensors", {"autocast": ""})
        forward = launch.load_predictor(folder + "/weights.safetensors", sys.argv[2])
        tokens = torch.randint(0, count, (3, 17))
        expected = model(tokens, tokens)
        expected = expected[0] if isinstance(expected, tuple) else model(tokens)
        with torch.inference_mode():
            same = torch.equal(forward(tokens), expected)
        print(json.dumps([name, same]), flush=True)
        os._exit(0)
    os.wait()
"""


def test_the_model_is_taken_from_wherever_it_stands(tmp_path: Path, home: Path, vocabulary: dict) -> None:
    """At the top, in main(), compiled, held by an object, built after the loader was asked: the same logits, bit
    for bit.
    """
    places = {}
    for number, (name, text) in enumerate(SHAPES.items()):
        folder = make_checkout(tmp_path / f"co{number}", text, night=False)
        target = tmp_path / "tasks" / f"shape{number}"
        write(survey(folder, home), vocabulary, target)
        places[name] = str(target)
    (tmp_path / "shapes.json").write_text(json.dumps(places))
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "tokenizer.json").write_text(json.dumps(vocabulary))
    command = [sys.executable, "-c", PROBE, str(tmp_path / "shapes.json"), str(tmp_path / "public")]
    command.append(str(len(vocabulary["ranks"]) + len(vocabulary["special"])))
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    found = dict(json.loads(line) for line in done.stdout.splitlines() if line.startswith("["))
    assert found == dict.fromkeys(SHAPES, True), done.stderr[-2000:]
