"""The studies' own arithmetic and running, on played data: seconds. What they measure is in their READMEs."""

import importlib.util
import json
import os
import shutil
import tarfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import shares
from many_cores import Command, pack, side_by_side

from harness import __version__
from harness.commands import run
from harness.ledger.session_record import load

STUDIES = Path(__file__).parents[2] / "studies"
ARCHIVE = Path(__file__).parents[1] / "ledger" / "sessions_of_0_1" / "whole.tar.xz"
NAMES = sorted(file.parent.name for file in STUDIES.glob("*/study.py"))


def study(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"study_{name}", STUDIES / name / "study.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole session of an older build."""
    folder = tmp_path_factory.mktemp("session")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    (ledger,) = folder.rglob("ledger.jsonl")
    return ledger.parent


@pytest.mark.parametrize("name", NAMES)
def test_every_study_says_how_and_what_and_its_limits(name: str) -> None:
    """README with question, method, result, limits, and the command that names it; it is in the list of studies."""
    text = (STUDIES / name / "README.md").read_text(encoding="utf-8")
    for word in ("**Question.**", "**Method.**", "**Result**", "**Limits.**", name):
        assert word in text.replace("**Result.**", "**Result**"), word
    assert f"({name}/README.md)" in (STUDIES / "README.md").read_text(encoding="utf-8")


def test_intervals_are_the_exact_ones() -> None:
    """Of 0 in 10 and of half; events of nothing; a sample's sd."""
    assert shares.binomial(0, 10).high == pytest.approx(0.3085, abs=1e-4)
    assert shares.binomial(0, 0) == (0.0, 0.0, 1.0)
    assert shares.poisson(0, 10).high == pytest.approx(0.3689, abs=1e-4)
    assert shares.poisson(4, 2.0).value == 2.0
    found = shares.spread([1.0, 2.0, 3.0])
    assert (found.value, found.low < 1.0 < found.high) == (1.0, True)


def test_a_table_takes_its_place_in_a_page(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("before\n<!-- result -->\nold\n<!-- /result -->\nafter\n")
    shares.put_between(page, "result", ["| new |"])
    assert page.read_text() == "before\n<!-- result -->\n| new |\n<!-- /result -->\nafter\n"
    with pytest.raises(ValueError, match="no place"):
        shares.put_between(page, "other", [])


def test_commands_run_side_by_side_and_end_with_the_time(tmp_path: Path) -> None:
    """Each with a log of its own, their statuses in order; one that takes too long is told to end, others not begun."""
    quick = [Command((word,), tmp_path / f"{word}.log") for word in ("--version", "no-such-command")]
    assert [bool(status) for status in side_by_side(quick, 2)] == [False, True]
    assert (tmp_path / "--version.log").read_text().strip() == __version__
    served = Command(("ui", str(tmp_path), "--port", "0"), tmp_path / "ui.log")
    first, second = side_by_side([served, quick[0]], 1, minutes=0.02)
    assert first is not None
    assert second is None
    assert os.sched_getaffinity(0), "this process keeps its cores"


def test_nights_are_counted(session: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From ledgers alone: a night that was stopped counts for a part; figure, table and archive are written."""
    nights = study("aa_nights")
    sessions, out = tmp_path / "sessions", tmp_path / "out"
    for rule in ("stack", "greedy"):
        shutil.copytree(session, sessions / f"aa-digits-{rule}-1")
    words = [
        "--tasks",
        "digits",
        "--nights",
        "1",
        "--read-only",
        "--sessions",
        str(sessions),
        "--out",
        str(out),
    ]
    assert nights.main(words) == 0
    record = load(session)
    found = json.loads((out / "results.json").read_text())
    assert [night["trials"] for night in found["nights"]] == [record.finished_trials] * 2
    assert "every keep is final" in capsys.readouterr().out
    assert (out / "figure.svg").is_file()
    with tarfile.open(out / "ledgers.tar.xz") as archive:
        assert len(archive.getnames()) == 2
    rows = [{**found["nights"][0], "trials": 30, "certified_steps": 1, "decisions": 20, "keeps": 2}] * 2
    assert nights.summary(rows, 60)["certified steps a night"].value == 2.0
    assert run(nights.main, argv=["--tasks", "nothing"]) == 2


def test_the_way_is_to_the_best_line_known(session: Path) -> None:
    """A reference that is better than the baseline, or a head that passed and gained more."""
    tuning = study("tuning_or_research")
    row: dict[str, Any] = {
        "task": "t", "agent": "optuna", "trials": 40, "proposals": 20, "keeps": 1, "gain": 0.2, "low": 0.1, "high": 0.3,
        "passed": True, "baseline": 1.0, "lines": {"simple": 1.5, "good": 0.6}, "sign": -1, "unit": "nats",
        "ended": True,
    }  # fmt: skip
    assert tuning.best_known([row]) == (pytest.approx(0.4), "good")
    assert tuning.best_known([{**row, "gain": 0.5}]) == (0.5, "the head of TPE")
    assert "50 %" in list(tuning.lines([row]))[-1]
    told = tuning.told(tuning.Arm("digits", "replay", 1), load(session))
    assert told["baseline"] is not None


def test_lines_of_a_bench_become_records(tmp_path: Path) -> None:
    """Other lines are passed over; groups are of one program, card and budget."""
    h100 = study("h100")
    line = {"side": "ours", "bpb": 0.68, "steps": 880, "tokens_a_second": 1.9e6, "startup_seconds": 17.0}
    log = tmp_path / "bench.log"
    rows = [{**line, "seed": seed, "billed_seconds": 59.1 + seed / 100} for seed in range(3)]
    log.write_text("\n".join(["words", *map(json.dumps, rows)]))
    found = list(h100.bench_records(log, "a card", "2.11"))
    [(name, group)] = h100.groups(found)
    assert (name, len(group)) == ("nanochat, 60 s, a card, torch 2.11", 3)
    assert "not measured" in list(h100.part_lines(found))[-1]


def test_attacks_are_dealt_out_and_put_together_again(tmp_path: Path) -> None:
    """Every attack in one part; parts of one task count together, and what does not apply does not."""
    tampering = study("tampering")
    dealt = tampering.parts(False, 5)
    assert len(dealt) == 5
    names = [name for part in dealt for name in part]
    assert len(names) == len(set(names)) > 40
    rows = [
        {"name": "a", "attack": "caught", "twin": "passed"},
        {"name": "b", "attack": "not caught", "twin": "blocked"},
        {"name": "c", "attack": "not applicable", "twin": "not applicable"},
    ]
    files = []
    for number, part in enumerate((rows[:1], rows[1:])):
        files.append(tmp_path / f"{number}.json")
        files[-1].write_text(json.dumps({"about": {"task": "digits"}, "attacks": part}))
    assert tampering.main([*map(str, files), "--out", str(tmp_path)]) == 1
    assert tampering.rates(json.loads((tmp_path / "digits.json").read_text())["attacks"]) == {
        "caught": (1, 2),
        "in doubt": (0, 2),
        "blocked": (1, 2),
    }


def test_what_is_packed_are_ledgers(session: Path, tmp_path: Path) -> None:
    pack([session, tmp_path / "none"], tmp_path / "ledgers.tar.xz")
    with tarfile.open(tmp_path / "ledgers.tar.xz") as archive:
        assert archive.getnames() == [f"{session.name}/ledger.jsonl"]
