"""A session's folder that lacks something: people read one line that names what, and nothing is made in its place."""

import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from git import Repo

from harness.commands import EXIT_FAILED, EXIT_USER_ERROR, run_named
from harness.errors import LedgerError
from harness.ledger.session_record import load
from harness.ledger.workspace import FOLDER_NAME, Workspace

KEPT = Path(__file__).parent / "sessions_of_0_1"
NO_ROW = {"empty": b"", "torn": b'{"agent":"replay","choices', "zeros": bytes(4096)}
READERS = [
    ("report", ["{}"]),
    ("report", ["{}", "--png"]),
    ("compare", ["{}"]),
    ("checkout", ["{}", "{}/out"]),
    ("diff", ["{}"]),
    ("resume", ["{}"]),
    ("certify", ["{}"]),
    ("ablation", ["{}"]),
]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """whole: a session that ended; cut: one that was killed in a trial. Typed in their folder, with their tasks."""
    for name in ("whole", "cut"):
        with tarfile.open(KEPT / f"{name}.tar.xz") as archive:
            archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_TASKS", str(tmp_path / "tasks"))
    return tmp_path


def everything(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("kind", NO_ROW)
@pytest.mark.parametrize(("command", "words"), READERS)
def test_a_ledger_without_a_row_is_no_session(
    place: Path, capsys: pytest.CaptureFixture[str], kind: str, command: str, words: list[str]
) -> None:
    """Not an empty report, not a complaint about the repository: the ledger is named, exit code 2, nothing written."""
    (place / "whole" / "ledger.jsonl").write_bytes(NO_ROW[kind])
    before = everything(place)
    assert run_named(command, [word.format("whole") for word in words]) == EXIT_USER_ERROR
    (line,) = capsys.readouterr().err.splitlines()
    assert "whole holds no session that has begun: there is no" in line
    assert line.endswith("in ledger.jsonl")
    assert everything(place) == before


@pytest.mark.parametrize(("command", "words"), READERS)
def test_a_damaged_ledger_is_named(
    place: Path, capsys: pytest.CaptureFixture[str], command: str, words: list[str]
) -> None:
    """Which file, which row, what is wrong: also where the first row is the bad one."""
    file = place / "whole" / "ledger.jsonl"
    file.write_bytes(file.read_bytes().partition(b"\n")[2])
    assert run_named(command, [word.format("whole") for word in words]) == EXIT_FAILED
    (line,) = capsys.readouterr().err.splitlines()
    assert "whole/ledger.jsonl: ledger row 0 does not follow the row before it" in line


def test_the_list_tells_not_started_from_unreadable(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty ledger has not started; one with bytes and no row says so."""
    (place / "whole" / "ledger.jsonl").write_bytes(NO_ROW["zeros"])
    (place / "cut" / "ledger.jsonl").write_bytes(b"")
    assert run_named("list", [str(place)]) == 0
    shown = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert shown["whole"].endswith("cannot be read: no whole row")
    assert shown["cut"].endswith("not started")


def test_a_sweep_goes_past_an_arm_that_has_not_begun(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its report and comparison name it and show the others, in the metric's own unit."""
    (place / "sweep").mkdir()
    for name in ("whole", "cut"):
        (place / name).rename(place / "sweep" / name)
    (place / "sweep" / "cut" / "ledger.jsonl").write_bytes(b"")
    (place / "sweep" / "sweep.jsonl").write_bytes(b"")
    assert run_named("compare", ["sweep"]) == 0
    said = capsys.readouterr().out
    assert "cut has not begun and is left out" in said
    assert "share of the baseline" not in said
    assert run_named("report", ["sweep"]) == 0
    told = capsys.readouterr()
    assert told.err == "sweep/cut has not begun and is left out\n"
    assert told.out == "sweep/whole/report.html\n"


def removed(repository: Path) -> None:
    shutil.rmtree(repository)


def emptied(repository: Path) -> None:
    shutil.rmtree(repository)
    Repo.init(repository, bare=True).close()


def without_a_proposal(repository: Path) -> None:
    """As a copy that was made before the last proposal."""
    commit = load(repository.parent).proposals[3].commit
    (repository / "objects" / commit[:2] / commit[2:]).unlink()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (removed, "it is gone: restore the folder from a copy"),
        (emptied, "of the ledger is not in it; restore the folder from a copy"),
        (without_a_proposal, "of the ledger is not in it; restore the folder from a copy"),
    ],
)
def test_a_session_without_its_repository_does_not_go_on(
    place: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], None], said: str
) -> None:
    """None is made in its place, and the ledger gets no row: putting it back is enough."""
    damage(place / "cut" / FOLDER_NAME)
    before = everything(place / "cut")
    assert run_named("resume", ["cut"]) == EXIT_FAILED
    line = capsys.readouterr().err.splitlines()[-1]
    assert said in line
    assert "cut/repository.git" in line
    after = everything(place / "cut")
    for files in (before, after):
        files.pop("repository.git/HEAD", None)  # which branch is shown: of no other weight
    assert after == before


def test_a_repository_without_its_ledger_does_not_begin_anew(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another session's proposals would stand in the new one's branch."""
    monkeypatch.delenv("HARNESS_TASKS")
    shutil.rmtree(place / "tasks")  # of the older build: no session may begin with them
    (place / "cut" / "ledger.jsonl").unlink()
    same = ["task=digits", "budget=smoke", "session.folder=.", "session.tag=cut"]
    assert run_named("start", same) == EXIT_USER_ERROR
    line = capsys.readouterr().err.splitlines()[-1]
    assert "holds the repository of a session, but no row of its ledger; put ledger.jsonl back" in line
    assert not (place / "cut" / "ledger.jsonl").read_bytes()


def test_a_start_that_was_killed_before_its_first_row(tmp_path: Path) -> None:
    """Its baseline is made anew where the task's files have changed since, and only there."""
    first = Workspace(tmp_path, "tag")
    old = first.start({"train.py": b"a = 1\n"})
    assert first.start({"train.py": b"a = 1\n"}) == old
    new = Workspace(tmp_path, "tag").start({"train.py": b"a = 2\n"})
    assert new != old
    again = Workspace(tmp_path, "tag", new=False)
    assert again.head() == new
    assert again.files(new) == {"train.py": b"a = 2\n"}
    with pytest.raises(LedgerError, match="it is gone"):
        Workspace(tmp_path / "other", "tag", new=False)


def test_a_checkout_that_cannot_be_whole_leaves_nothing(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full at its second file is the machine's, and what was written before is taken away again."""
    kept, written = Path.write_bytes, []

    def full(self: Path, content: bytes) -> int:
        written.append(self)
        if len(written) == 2:
            self.touch()
            raise OSError(28, "No space left on device", str(self))
        return kept(self, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    (place / "empty").mkdir()
    for target in ("new/deep", "empty"):
        written.clear()
        assert run_named("checkout", ["whole", target]) == EXIT_FAILED
        assert "cannot be written: No space left on device" in capsys.readouterr().err
        assert len(written) == 2
    assert not (place / "new").exists()
    assert not [*(place / "empty").iterdir()]
    monkeypatch.undo()
    monkeypatch.chdir(place)
    assert run_named("checkout", ["whole", "new/deep"]) == 0
    assert (place / "new" / "deep" / "train.py").is_file()
