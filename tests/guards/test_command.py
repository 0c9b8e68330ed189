"""`harness guard`: what the static guards say about an edit, for people, editors and CI."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.commands import run_named

OLD = """import argparse

import numpy as np

RATE = 0.1
parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int)
options = parser.parse_args()
generator = np.random.default_rng(options.seed)
print(RATE * generator.random())
"""
ACCEPTED = OLD.replace("RATE = 0.1", "RATE = 0.2")
REJECTED = OLD.replace("default_rng(options.seed)", "default_rng(137)")
DOUBTFUL = OLD.replace(
    "print(", 'more = np.random.default_rng([options.seed, 1])\nnp.save("more.npy", more.random())\nprint('
)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / "train.py").write_text(OLD)
    (folder / "evaluate.py").write_text("def evaluate():\n    pass\n")
    (folder / "task.yaml").write_text("editable: [train.py]\n")
    return folder


def copy(old: Path, **files: str) -> Path:
    new = old.parent / "new"
    new.mkdir(exist_ok=True)
    for file in old.iterdir():
        (new / file.name).write_text(files.get(file.stem, file.read_text()))
    return new


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        (ACCEPTED, 0, "accepted"),
        (REJECTED, 1, "rejected by seed_change: seed.ignored"),
        (DOUBTFUL, 0, "in doubt: needs trials at three seeds"),
    ],
)
def test_two_folders(old: Path, text: str, code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """0 accepted, 1 rejected, in doubt is said and is 0."""
    assert run_named("guard", [str(old), str(copy(old, train=text))]) == code
    assert said in capsys.readouterr().out


def test_a_folder_of_the_editable_files_alone(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What `harness checkout` writes: files that may not change may be missing, but not be others."""
    new = old.parent / "checked-out"
    new.mkdir()
    (new / "train.py").write_text(ACCEPTED)
    assert run_named("guard", [str(old), str(new)]) == 0
    (new / "evaluate.py").write_text("print()\n")
    assert run_named("guard", [str(old), str(new)]) == 1
    assert "evaluate.py is not editable" in capsys.readouterr().out


def test_two_files_as_json(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One object with a judgement and every verdict, under any file name."""
    candidate = old.parent / "candidate.py"
    for text, judgement in ((ACCEPTED, "accepted"), (REJECTED, "rejected"), (DOUBTFUL, "doubtful")):
        candidate.write_text(text)
        code = run_named("guard", [str(old / "train.py"), str(candidate), "--json"])
        found = json.loads(capsys.readouterr().out)
        assert (found["judgement"], code) == (judgement, int(judgement == "rejected"))
        assert {"guard", "judgement", "reason", "message", "doubts"} <= found["verdicts"][0].keys()


def test_a_patch(old: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A patch in git's format on a folder; one that does not apply is a mistake, and says on what it was tried."""
    new = copy(old, train=REJECTED)
    made = subprocess.run(
        ["git", "diff", "--no-index", str(old), str(new)], capture_output=True, check=False
    ).stdout
    text = made.decode().replace(f"a{old}/", "a/").replace(f"b{new}/", "b/")
    patch = old.parent / "change.patch"
    patch.write_text(text)
    assert run_named("guard", [str(old), str(patch)]) == 1
    assert "seed.ignored" in capsys.readouterr().out
    patch.write_text(text.replace("default_rng(options.seed)", "default_rng(other)"))
    assert run_named("guard", [str(old), str(patch)]) == 2
    assert f"tried on {old}: train.py: hunk 1" in capsys.readouterr().err
    monkeypatch.chdir(old)
    assert run_named("guard", [str(patch)]) == 2
    assert (
        "tried on the present folder (OLD before the patch names another): train.py"
        in capsys.readouterr().err
    )


def test_a_protected_file_is_named(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What task.yaml does not call editable may not differ."""
    assert run_named("guard", [str(old), str(copy(old, evaluate="def evaluate():\n    return 0\n"))]) == 1
    assert "scope.protected" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["nowhere.py", "nowhere_else.py"], ["one.py"], ["--guards", "odd", ".", "."]]
)
def test_a_mistake_is_one_line(arguments: list[str], tmp_path: Path) -> None:
    """Exit code 2 and no traceback, as `python -m harness guard` too."""
    done = subprocess.run(
        [sys.executable, "-m", "harness", "guard", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


DIFF = """--- {old}
+++ {new}
@@ -5,4 +5,4 @@
-RATE = 0.1
+RATE = 0.2
 parser = argparse.ArgumentParser()
 parser.add_argument("--seed", type=int)
 options = parser.parse_args()
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a/train.py", "b/train.py"),
        ("train.py", "candidate.py"),
        ("a/somewhere/else/train.py", "b/somewhere/else/train.py"),
        ("train.py.orig\t2026-01-02 03:04:05 +0100", "train.py\t2026-01-02 03:04:06 +0100"),
    ],
)
def test_a_patch_on_one_file_changes_that_file(
    old: Path, before: str, after: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever `diff -u` or git calls it; as a file or as what comes in, which an editor would send."""
    text = DIFF.format(old=before, new=after)
    patch = old.parent / "change.diff"
    patch.write_text(text)
    assert run_named("guard", [str(old / "train.py"), str(patch)]) == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert run_named("guard", [str(old / "train.py"), "-"]) == 0
    assert capsys.readouterr().out == "accepted\naccepted\n"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("binary.py", bytes(range(256)), "scope.binary"),
        ("no.py", b"def (:\n", "scope.syntax"),
        ("mark.py", b"\xef\xbb\xbf" + ACCEPTED.encode(), "scope.character"),
        ("same.py", OLD.encode(), "duplicates.unchanged"),
        ("empty.py", b"", "seed.removed"),
        ("lines.py", ACCEPTED.replace("\n", "\r\n").encode(), "accepted"),
    ],
)
def test_odd_files_get_a_verdict(
    old: Path, name: str, content: bytes, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What no session would take is rejected with its code; other line ends are no objection."""
    (old.parent / name).write_bytes(content)
    code = run_named("guard", [str(old / "train.py"), str(old.parent / name)])
    assert said in capsys.readouterr().out
    assert code == (said != "accepted")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["old/train.py", "missing.py"], "no such file"),
        (["old/train.py", "old"], "not one of each"),
        (["old", "empty.patch"], "there is no diff"),
        (["old", "words.patch"], "there is no diff"),
        (["old", "crlf.patch"], "CRLF"),
        (["old", "binary.patch"], "binary"),
        (["crlf.patch", "old"], "then a patch"),
        (["nothing", "nothing"], "nothing there"),
        (["no.py", "old/train.py"], "is not Python"),
        (["old", "large.patch"], "larger than"),
    ],
)
def test_what_cannot_be_looked_at_is_said_in_one_line(
    old: Path,
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit code 2, nothing on the standard output, with --json too: CI can tell it from a rejection."""
    monkeypatch.chdir(old.parent)
    (old.parent / "nothing").mkdir()
    files = {
        "empty.patch": b"",
        "words.patch": b"no diff in here\n",
        "crlf.patch": DIFF.format(old="a/train.py", new="b/train.py").replace("\n", "\r\n").encode(),
        "binary.patch": b"diff --git a/x b/x\nBinary files a/x and b/x differ\n",
        "no.py": b"not python (",
        "large.patch": b"x" * (5 << 20),
    }
    for name, content in files.items():
        (old.parent / name).write_bytes(content)
    assert run_named("guard", [*arguments, "--json"]) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert len(shown.err.splitlines()) == 1
    assert shown.out == ""


def test_what_a_shell_hands_over_as_a_pipe(old: Path) -> None:
    """`harness guard <(git show HEAD:train.py) train.py`: a pipe is a file that is read once."""
    line = f'"{sys.executable}" -m harness guard <(cat "{old}/train.py") <(sed s/0.1/0.2/ "{old}/train.py")'
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "accepted"), done.stderr
