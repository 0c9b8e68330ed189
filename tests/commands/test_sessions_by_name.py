"""Sessions by their tags: listed, gone on with, shown as a patch, written out; on a session that 0.1.0 recorded."""

import fcntl
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from harness.commands.resume import again
from harness.errors import UserError
from harness.ledger import lookup
from harness.ledger.session_record import load
from harness.ledger.versions import version
from tests.config.test_config import call
from tests.report.conftest import Maker, write_session

ARCHIVE = Path(__file__).parents[1] / "ledger" / "sessions_of_0_1" / "whole.tar.xz"


@pytest.fixture
def tag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A whole session in `sessions/` of the current folder."""
    monkeypatch.chdir(tmp_path)
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (ledger,) = (tmp_path / "unpacked").rglob("ledger.jsonl")
    shutil.move(ledger.parent, tmp_path / "sessions" / "one")
    shutil.rmtree(tmp_path / "unpacked")
    return "one"


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_list_shows_what_there_is(tag: str, tmp_path: Path) -> None:
    """A line a session with its state; a folder without sessions says how to start one."""
    code, out, _ = call("list")
    heading, line = out.splitlines()
    assert (code, heading.split()[:2]) == (0, ["session", "state"])
    assert line.split()[:2] == ["one", "ended"]
    assert call("list", "sessions")[1] == out
    (tmp_path / "empty").mkdir()
    assert "harness preset=smoke" in call("list", "empty")[1]
    with (tmp_path / "sessions" / "one" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert call("list")[1].splitlines()[1].split()[:3] == ["one", "under", "way"]


def test_a_session_that_measures_noise_has_no_agent(tag: str, tmp_path: Path) -> None:
    """Its configuration names one, which it never asks; and one trial is no "1 trials"."""
    made = Maker(agent="replay")
    made.trial("noise", 1.9, "b" * 40)
    write_session(tmp_path / "sessions" / "noise-x", made.rows)
    line = next(line for line in call("list")[1].splitlines() if line.startswith("noise-x"))
    assert "replay" not in line
    assert line.split()[:4] == ["noise-x", "noise", "nanochat", "-"]
    assert "1 trial, together" in line


def test_a_ledger_that_cannot_be_read_is_a_line_of_the_list(tag: str, tmp_path: Path) -> None:
    """One of a later build does not hide the others."""
    (tmp_path / "sessions" / "two").mkdir()
    (tmp_path / "sessions" / "two" / "ledger.jsonl").write_text('{"seq": 0, "kind": "of_tomorrow"}\n')
    out = call("list")[1]
    assert "two" in out
    assert "one" in out


def test_diff_and_checkout_give_the_code(tag: str, tmp_path: Path) -> None:
    """The patch of the head applies to the baseline and gives the head; a proposal's stands beside it."""
    before = files_of(tmp_path / "sessions" / "one")
    assert call("checkout", tag, "was", "baseline")[0] == 0
    assert call("checkout", tag, "best")[0] == 0
    code, patch, err = call("diff", tag)
    assert (code, err) == (0, "")
    assert patch.startswith("diff --git")
    subprocess.run(["git", "init", "-q", "was"], check=True)
    subprocess.run(["git", "apply", "-"], input=patch, text=True, cwd="was", check=True)
    shutil.rmtree("was/.git")
    assert files_of(Path("was")) == files_of(Path("best"))
    session = load(tmp_path / "sessions" / "one")
    tried = [proposal.number for proposal in session.decided if proposal.commit and not proposal.kept]
    assert call("diff", tag, str(tried[-1]))[1]
    assert call("checkout", "sessions/one", "rejected", str(tried[-1]))[0] == 0
    assert files_of(tmp_path / "sessions" / "one") == before


def test_checkout_never_writes_over_anything(tag: str, tmp_path: Path) -> None:
    """A folder with something in it is left alone."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("mine")
    code, _, err = call("checkout", tag, "mine")
    assert (code, err.count("\n")) == (2, 1)
    assert files_of(tmp_path / "mine") == {"notes": b"mine"}


@pytest.mark.parametrize("what", ["step-9", "99", "first", "step-", "-1"])
def test_what_a_session_does_not_have_is_one_line(tag: str, what: str) -> None:
    """It says what can be given."""
    for command in (("diff", tag, what), ("checkout", tag, "new", what)):
        code, out, err = call(*command)
        assert (code, out, err.count("\n")) == (2, "", 1)
    assert not Path("new").exists()


def test_the_certified_head_is_a_version(tag: str) -> None:
    """Under rules without steps a passed certificate names it."""
    session = load(Path("sessions/one"))
    assert session.certificate is not None
    if session.certificate.passed:
        assert version(session, "certified").commit == session.certificate.head_commit
    else:
        with pytest.raises(UserError, match="certified steps"):
            version(session, "certified")


def test_resume_takes_the_sessions_own_arguments(tag: str) -> None:
    """What it was started with, its own place, and the limits that were changed; a key stands once."""
    arguments = again(Path("sessions/one"), ["budget.hours=2"])
    keys = [argument.partition("=")[0] for argument in arguments]
    assert len(keys) == len(set(keys))
    assert arguments[-3:] == ["budget.hours=2", 'session.folder="sessions"', 'session.tag="one"']
    with pytest.raises(UserError, match="not key=value"):
        again(Path("sessions/one"), ["hours"])


def test_names_that_mean_nothing_or_too_much(tag: str, tmp_path: Path) -> None:
    """One line with what there is."""
    with pytest.raises(UserError, match="there are: one"):
        lookup.session("two")
    shutil.copytree("sessions/one", "sessions/a/same")
    shutil.copytree("sessions/one", "sessions/b/same")
    with pytest.raises(UserError, match="2 sessions are called same, give one of: a/same, b/same"):
        lookup.place("same")
    with pytest.raises(UserError, match="holds 3 sessions, give one of them"):
        lookup.session("sessions")
    assert lookup.session("sessions/a") == Path("sessions/a/same")
    code, out, err = call("report", "sessions")
    assert (code, out) == (2, "")
    assert "nothing was written" in err
    assert not list(tmp_path.rglob("report.html"))


def test_commands_take_a_tag(tag: str) -> None:
    """report, ledger, watch and transcripts find it as well as its folder."""
    assert call("report", tag)[1].strip() == "sessions/one/report.html"
    assert call("ledger", "verify", tag)[0] == 0
    assert call("watch", tag)[0] == 0
    assert call("transcripts", tag)[0] in (0, 1, 2)
