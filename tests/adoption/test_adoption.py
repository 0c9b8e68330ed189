"""A checkout of autoresearch's shape becomes a task: read without being run, its model taken from wherever it
stands.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import PREPARE, TRAIN, make_checkout
from shapes import FIXED, SHAPES, changed

from harness.agents.controls.replay import Replay
from harness.commands.adopt import overhead_line
from harness.errors import UserError
from harness.ledger.foreign_repository import ForeignRepository
from harness.records import Direction
from harness.sandbox.open import open_sandbox
from harness.task.adoption.constants import constants
from harness.task.adoption.survey import Said, survey
from harness.task.adoption.tokenizer import exported
from harness.task.adoption.writing import night_found, write
from harness.task.check_leak import leak
from harness.task.task import Profile, Task


def test_what_is_kept_back_of_a_budget_is_said_with_its_reserve() -> None:
    """The three numbers of the line fit each other and pace.json: what was measured is not all that is missing."""
    line = overhead_line(5.0, 0.4, 1.5)
    assert "of a budget of 5 s 0.4 went by uncounted" in line
    assert "with a reserve 1.5 s are kept back, so it is told 3.5 s" in line


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
    assert found.seeds == ("train.py:58 torch.manual_seed(42)",)
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


def test_what_is_imported_on_another_machine_only_is_no_obstacle(tmp_path: Path, home: Path) -> None:
    """A function that asks for MLX where it finds a Mac: the script itself is torch's."""
    train = TRAIN.replace("RATE = 3e-3", "def on_a_mac():\n    import mlx.core\n\n\nRATE = 3e-3")
    assert survey(make_checkout(tmp_path / "co", train, night=False), home).metric == "bpb"


def test_a_script_of_another_name_and_its_packages(tmp_path: Path, home: Path, vocabulary: dict) -> None:
    """Named by the user; the line that refuses says which could be meant; what it imports of the folder is editable."""
    folder = make_checkout(tmp_path / "co", "import parts.layers\n" + TRAIN, night=False)
    (folder / "train.py").rename(folder / "train_cpu.py")
    with pytest.raises(UserError, match=r"has no train\.py; .* script=train_cpu\.py$"):
        survey(folder, home)
    (folder / "train.py").write_text("import os\nos.execv('python', ['python', 'train_cpu.py'])\n")
    with pytest.raises(
        UserError, match=r"train\.py imports nothing from prepare\.py; .* script=train_cpu\.py$"
    ):
        survey(folder, home)
    (folder / "parts").mkdir()
    for name, text in (
        ("__init__", ""),
        ("layers", "from .sizes import WIDTH\n"),
        ("sizes", "WIDTH = 4\n"),
        ("old", ""),
    ):
        (folder / "parts" / f"{name}.py").write_text(text)
    found = survey(folder, home, Said(script="train_cpu.py"))
    assert set(found.editable) == {
        "train_cpu.py",
        *(f"parts/{name}.py" for name in ("__init__", "layers", "sizes")),
    }
    target = tmp_path / "tasks" / "mine"
    write(found, vocabulary, target)
    assert (target / "parts" / "sizes.py").read_text() == "WIDTH = 4\n"
    assert json.loads((target / "adopted.json").read_text())["script"] == "train_cpu.py"
    assert "runs train_cpu.py as it is" in (target / "task.yaml").read_text()


def test_a_script_that_stands_elsewhere_is_named(tmp_path: Path, home: Path) -> None:
    folder = make_checkout(tmp_path / "co", "print('starts another')\n", night=False)
    (folder / "platforms" / "cpu").mkdir(parents=True)
    (folder / "platforms" / "cpu" / "train_it.py").write_text(TRAIN)
    with pytest.raises(UserError, match=r"platforms/cpu/train_it\.py .*copy .* script=train_it\.py"):
        survey(folder, home)


def test_folders_that_cannot_be_read_are_assumed_and_said(tmp_path: Path, home: Path) -> None:
    """A cache folder that a function works out: the usual one is assumed, a note says how to name another."""
    changed = PREPARE.replace(
        'CACHE_DIR = os.path.join(os.path.expanduser("~"), ".cache", "autoresearch")', "CACHE_DIR = find()"
    )
    folder = make_checkout(tmp_path / "co", prepare=changed, night=False)
    found = survey(folder, home)
    assert found.data == home / ".cache/autoresearch/data"
    assert [
        note for note in found.notes if "prepare.py works CACHE_DIR and DATA_DIR out; data=FOLDER" in note
    ]
    said = survey(folder, home, Said(data=tmp_path, vocabulary=tmp_path, gpu=True))
    assert (said.data, said.tokenizer, said.gpu, said.notes) == (tmp_path, tmp_path, True, ())


def test_how_bytes_are_counted_is_seen(tmp_path: Path, home: Path) -> None:
    """A decoded piece's length, as in the original; or the raw one, and then nothing is said of a shift."""
    raw = PREPARE.replace('len(text.encode("utf-8"))', "len(tokenizer.enc.decode_single_token_bytes(token))")
    assert survey(make_checkout(tmp_path / "one", night=False), home).counts_decoded
    assert not survey(make_checkout(tmp_path / "two", prepare=raw, night=False), home).counts_decoded


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


def test_a_night_that_the_checkout_stands_at_the_end_of(tmp_path: Path, home: Path, vocabulary: dict) -> None:
    """As it is left in the morning: the task has the files of now, a replay begins with those of the evening, and
    every change knows what it was made on. Nothing else begins there.
    """
    folder = make_checkout(tmp_path / "co")
    start = (folder / "train.py").read_bytes()
    subprocess.run(["git", "checkout", "-q", "autoresearch/nov1"], cwd=folder, check=True)
    end = (folder / "train.py").read_bytes()
    target = tmp_path / "tasks" / "mine"
    found = survey(folder, home)
    assert "2 changes as a replay series; begun with other files" in night_found(found)
    write(found, vocabulary, target)
    first, second = sorted((target / "replay").glob("*.patch"))
    assert (target / "train.py").read_bytes() == end != start
    parents = [
        (target / "replay" / "parents" / each.stem / "train.py").read_bytes() for each in (first, second)
    ]
    assert parents[0] == start
    assert parents[1] not in (start, end)
    task = load_task(target)
    assert task.source()["train.py"] == end
    replayed = task.begun_at(Replay().begins_at)
    assert replayed.source()["train.py"] == start
    assert replayed.source().keys() == task.source().keys()
    assert task.begun_at(Replay(str(target / "replay")).begins_at) == task.begun_at("") == task


def test_a_night_from_the_first_commit_on(tmp_path: Path, home: Path, vocabulary: dict) -> None:
    """Where no other branch says where it left off, the first commit is what it began with and no change."""
    folder = make_checkout(tmp_path / "co")
    for command in (("checkout", "-q", "autoresearch/nov1"), ("branch", "-q", "-D", "main")):
        subprocess.run(["git", *command], cwd=folder, check=True)
    target = tmp_path / "tasks" / "mine"
    write(survey(folder, home), vocabulary, target)
    assert len(list((target / "replay").glob("*.patch"))) == 2
    assert b"RATE = 3e-3" in (target / "night" / "train.py").read_bytes()


def load_task(folder: Path) -> Task:
    return Task(str(folder), "bpb", Direction.MINIMIZE, ("train.py",), {"cpu": Profile(3)}, predictor="tokens",
                classes=300, script="launch.py", entry="launch.py", readable=("launch.py", "stand_in.py"))  # fmt: skip


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


def test_a_foreign_repository_is_the_one_that_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Called from a hook of another repository, whose variables lead there; and under settings of its owner that change
    what git prints."""
    folder, other = make_checkout(tmp_path / "co"), make_checkout(tmp_path / "other")
    subprocess.run(["git", "branch", "-qm", "autoresearch/else"], cwd=other, check=True)
    with (folder / ".git" / "config").open("a") as settings:
        settings.write("[diff]\n\torderFile = /nowhere\n[log]\n\tshowSignature = true\n[color]\n\tui = always\n")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(tmp_path / "nowhere"))
    repository = ForeignRepository(folder)
    (branch,) = repository.branches()
    assert branch != "refs/heads/autoresearch/else"
    changes = repository.changes(branch, ["train.py"])
    assert [change.subject for change in changes] == ["larger rate", "fewer rows a step"]


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
        print(json.dumps([name, [same, "torch._dynamo" in sys.modules]]), flush=True)
        os._exit(0)
    os.wait()
"""


@pytest.mark.slow
def test_the_model_is_taken_from_wherever_it_stands(tmp_path: Path, home: Path, vocabulary: dict) -> None:
    """At the top, in main(), compiled, held by an object, built after the loader was asked: the same logits, bit
    for bit. Only for what was adopted compiled the compiler is imported: an edit's load time does not allow for it.
    """
    places = {}
    for number, (name, text) in enumerate(SHAPES.items()):
        folder = make_checkout(tmp_path / f"co{number}", text, night=False)
        target = tmp_path / "tasks" / f"shape{number}"
        write(survey(folder, home), vocabulary, target)
        places[name] = str(target)
    edited = tmp_path / "tasks" / "edited"
    write(survey(tmp_path / "co0", home), vocabulary, edited)
    (edited / "train.py").write_text(SHAPES["compiled"])
    places["edited to compile"] = str(edited)
    (tmp_path / "shapes.json").write_text(json.dumps(places))
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "tokenizer.json").write_text(json.dumps(vocabulary))
    command = [sys.executable, "-c", PROBE, str(tmp_path / "shapes.json"), str(tmp_path / "public")]
    command.append(str(len(vocabulary["ranks"]) + len(vocabulary["special"])))
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    found = dict(json.loads(line) for line in done.stdout.splitlines() if line.startswith("["))
    assert {name: same for name, (same, _) in found.items()} == dict.fromkeys(places, True), done.stderr[
        -2000:
    ]
    assert (found["compiled"][1], found["edited to compile"][1]) == (True, False)


def adopted_by_command(folder: Path, home: Path, *said: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", "adopt", str(folder / "co"), "name=mine", *said],
        cwd=folder,
        env={**os.environ, "HOME": str(home), "HARNESS_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_adoption_that_fails_leaves_nothing_and_can_be_repeated(tmp_path: Path, home: Path) -> None:
    """Its own advice, another budget, must not meet the folder of the failed one. A budget that is said is the task's
    own, so that sessions that name none have it: what was measured under one budget says nothing of another."""
    broken = changed(FIXED, ("loader = make", "raise RuntimeError('no luck today')\nloader = make"))
    make_checkout(tmp_path / "co", broken)
    done = adopted_by_command(tmp_path, home, "trials=1")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "no luck today" in done.stderr
    assert not (tmp_path / "tasks/mine").exists()
    done = adopted_by_command(tmp_path, home, "trials=0", "budget.seconds=6")
    assert done.returncode == 0, done.stderr
    assert "6 s, as you say, instead of the checkout's 3 s" in done.stdout
    assert "{seconds: 6, clock: wall" in (tmp_path / "tasks/mine/task.yaml").read_text()


def test_nothing_of_the_private_folder_stands_in_the_public_one(
    tmp_path: Path, home: Path, vocabulary: dict
) -> None:
    """The vocabulary is everybody's; the referee's folder has the held-out rows and what belongs to them."""
    write(survey(make_checkout(tmp_path / "co"), home), vocabulary, tmp_path / "tasks" / "mine")
    public, private = tmp_path / "public", tmp_path / "private"
    path = tmp_path / "tasks" / "mine" / "prepare.py"
    subprocess.run(
        [sys.executable, "-c", f"import runpy; from pathlib import Path as P\nrunpy.run_path({str(path)!r})['prepare']"
         f"(P({str(public)!r}), P({str(private)!r}))"], check=True)  # fmt: skip
    _, whole = leak(public, private)
    assert whole == []
