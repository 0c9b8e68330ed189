"""The HTML, Markdown and table outputs: self-contained, escaped, complete, whatever the ledger holds."""

import csv
import html.parser
import json
import re
from pathlib import Path

import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.commands.report import main
from harness.errors import LedgerError, UserError
from harness.ledger.reading import Tail
from harness.ledger.session_record import SessionRecord
from harness.report.analysis import categories, noise, rejections
from harness.report.html.page import html_report
from harness.report.markdown import markdown_report
from harness.report.redact import REDACTED, redacted
from harness.report.tables import trials_frame, write_tables
from tests.report.conftest import recorded

ALLOWED_TAGS = {
    "html", "head", "meta", "title", "style", "body", "header", "section", "h1", "h2", "h3", "p", "b", "br", "div",
    "span", "i", "ul", "li", "figure", "figcaption", "svg", "path", "circle", "rect", "text", "table", "thead",
    "tbody", "tr", "th", "td", "details", "summary", "pre", "code", "abbr", "dl", "dt", "dd", "g",
}  # fmt: skip
HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(1)>\"'><a href=javascript:1>&\x1b[2J\x00\ud800</pre>"
)


class Page(html.parser.HTMLParser):
    """Collects tags, attributes and text, and checks that elements are closed in order."""

    void = ("meta", "br")

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.open, self.words = set(), [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.mark.parametrize("hostile", ["", HOSTILE])
def test_page_is_self_contained_and_nothing_of_an_agent_is_markup(rows, tmp_path, hostile):
    """No script, no address to load from, no event handler; the attack is there to read as text."""
    text = html_report(recorded(rows(24, hostile=hostile)), tmp_path)
    page = Page(text)
    assert page.tags <= ALLOWED_TAGS
    names = {name for name, _ in page.attributes}
    assert not names & {"src", "href", "onerror", "onload", "action", "xlink:href"}
    assert not re.search(r"https?://|url\(|@import", text)
    assert "\x1b" not in text
    text.encode("utf-8")
    assert ("alert(1)" in "".join(page.words)) == bool(hostile)
    assert "default-src 'none'" in dict(page.attributes).get("content", "") or "default-src 'none'" in text


def test_page_says_what_matters(rows, tmp_path):
    """Certified and claimed gain, noise, verdicts by reason, classes, isolation, commands to reproduce, seeds."""
    session = recorded(rows(40, seed=3))
    text = "".join(Page(html_report(session, tmp_path)).words)
    for words in (
        "Certificate passed", "claimed gain", "certified gain", "noise (sd)", "seed.literal", "keep.futility",
        "hyperparameter", "blocked", "harness.ledger verify", "git --git-dir", "reference: trigram",
        "of the claimed gain came from changing numbers only", "bits per byte",
    ):  # fmt: skip
        assert words in text, words
    assert all(str(trial.seed) in text for trial in session.trials)
    assert all(keep.commit in text for keep in session.keeps)
    assert "sk-secret" not in text
    assert "UNVERIFIED" not in text


def test_unproven_isolation_is_a_banner_also_when_only_a_later_sitting_lacked_it(rows, tmp_path):
    """One sitting without isolation is enough to lose the word."""
    made = rows(8)
    made.insert(5, {"kind": "session_resumed", "level": 0, "certified": False, "interrupted": []})
    assert "UNVERIFIED" in html_report(recorded(made), tmp_path)
    assert "UNVERIFIED" in markdown_report(recorded(rows(8, certified=False)))


def test_control_session_is_drawn_and_named(rows, tmp_path):
    """With a control arm the page shows its line and its gain."""
    text = html_report(recorded(rows(20)), tmp_path, recorded(rows(30, seed=7, agent="optuna")))
    assert "control: optuna" in text
    assert 'class="control"' in text
    assert "without research" in text


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_every_prefix_of_a_ledger_gives_a_page(rows, tmp_path, direction):
    """A report can be made at any moment of a session, whichever way is better."""
    made = rows(10, direction=direction)
    for cut in range(0, len(made), 3):
        session = recorded(made[:cut])
        Page(html_report(session, tmp_path))
        markdown_report(session)
        trials_frame(session)


@settings(max_examples=15)
@given(data=st.data())
def test_missing_keys_are_tolerated(rows, data):
    """Rows of an older or newer writer may lack any key but `kind`."""
    kept = []
    for row in rows(2):
        gone = data.draw(st.sets(st.sampled_from(sorted(set(row) - {"kind"})), max_size=4))
        kept.append({key: value for key, value in row.items() if key not in gone})
    session = recorded(kept)
    markdown_report(session)
    Page(html_report(session, Path("x")))


def test_noise_is_pooled_within_configurations_without_selected_trials(maker):
    """The pooled sd is the generator's; first trials of candidates do not count."""
    made = maker(5)
    made.baseline(40)
    for number in range(1, 60):
        made.propose(number)
    found = noise(recorded(made.rows))
    assert found.low < made.sd < found.high
    kept = len(recorded(made.rows).keeps)
    assert found.df == 39 + kept


def test_counts_agree_with_the_rows(rows):
    """Every discarded proposal is counted once, every decided one has a class."""
    session = recorded(rows(40))
    assert sum(count for *_, count in rejections(session)) == len(session.decided) - len(session.keeps)
    assert sum(row.proposed for row in categories(session)) == 40
    by = {(who, reason) for who, reason, _ in rejections(session)}
    assert by <= {
        ("seed_change", "seed.literal"),
        ("trial", "crashed.exit_1"),
        ("statistics", "keep.futility"),
    }


def test_command_writes_page_markdown_and_tables(session_folder, tmp_path, capsys):
    """`python -m harness.report DIR` names every file that it wrote; tables read back with exact scores."""
    assert main([str(session_folder), "--tables"]) == 0
    assert main([str(session_folder), "--markdown", "--out", str(tmp_path / "x.md")]) == 0
    said = capsys.readouterr().out.split()
    assert {"report.html", "trials.csv", "proposals.csv", "x.md"} <= {
        name.rsplit("/", 1)[-1] for name in said
    }
    frame = pandas.read_csv(session_folder / "trials.csv")
    session = SessionRecord(Tail(session_folder / "ledger.jsonl").rows())
    assert list(frame.trial_id) == [trial.trial_id for trial in session.trials]
    assert frame.val.dropna().tolist() == [t.values["val"] for t in session.trials if "val" in t.values]


FORMULAS = ("=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "  =1", "\uff1d1")


@pytest.mark.parametrize("formula", FORMULAS)
def test_no_cell_of_a_table_is_a_formula(rows, tmp_path, formula):
    """Whatever an agent or a task wrote, no spreadsheet executes it; numbers stay numbers."""
    made = [
        {**row, "rationale": formula} if row["kind"] == "proposed" else
        {**row, "side": {formula: -1.5}} if row["kind"] == "scored" else row
        for row in rows(6)
    ]  # fmt: skip
    written = write_tables(recorded(made), tmp_path)
    for file in (file for file in written if file.suffix == ".csv"):
        for line in csv.reader(file.open(newline="")):
            assert not [c for c in line if c.lstrip()[:1] in "=+-@\uff1d" and c.strip() and not _is_number(c)]
    frame = pandas.read_csv(tmp_path / "trials.csv")
    assert frame.filter(like="side.").min().min() == -1.5


def _is_number(cell):
    return re.fullmatch(r"-?[0-9.e+-]+", cell) and float(cell) is not None


def test_the_cost_of_answers_stands_beside_every_trial(rows):
    """And where a budget is a number of steps, that they are the candidate's own word."""
    side = {"inference.load_seconds": 1.25, "inference.answer_seconds": 7.5}
    made = [{**row, "side": side} if row["kind"] == "scored" else row for row in rows(3)]
    page = html_report(recorded(made), Path("session"))
    assert "1.25" in page
    assert "7.50" in page
    assert "own word" not in page
    counted = [
        {**row, "budget_counted_by": "candidate"} if row["kind"] == "trial_started" else row for row in made
    ]
    assert "own word" in html_report(recorded(counted), Path("session"))


def test_wrong_folder_is_one_line_and_a_changed_ledger_makes_no_report(session_folder, tmp_path):
    """No report is made of a ledger whose chain is broken."""
    with pytest.raises(UserError, match="holds no session"):
        main([str(tmp_path / "nothing")])
    ledger = session_folder / "ledger.jsonl"
    lines = ledger.read_text().splitlines()
    row = json.loads(lines[-1])
    ledger.write_text("\n".join([*lines[:-1], json.dumps({**row, "keeps": 99})]) + "\n")
    with pytest.raises(LedgerError):
        main([str(session_folder)])


def test_tail_waits_for_whole_lines(tmp_path):
    """A row that is being written is not read in halves."""
    file = tmp_path / "ledger.jsonl"
    tail = Tail(file)
    assert tail.rows() == []
    file.write_text('{"kind": "notice", "seq": 0}\n{"kind": "noti')
    assert [row.seq for row in tail.rows()] == [0]
    with file.open("a") as stream:
        stream.write('ce", "seq": 1}\nnot json\n[1]\n{"kind": "notice", "seq": 2}\n')
    assert [row.seq for row in tail.rows()] == [1, 2]


def test_secrets_are_taken_out_and_counts_of_tokens_stay():
    """By name and by shape, at any depth; numbers and ordinary words are left alone."""
    config = {
        "agent": {"api_key": "abc", "max_tokens": 4096, "model": "m", "headers": [{"Authorization": "Bearer x"}]},
        "note": "use sk-ant-abcdefghijkl today", "budget": {"tokens": 5}, "url": "https://user:pw@host/x",
        "keep": "race", "github_token": "x", "auth_token": "y",
    }  # fmt: skip
    clean = json.dumps(redacted(config))
    for secret in ("abc", "sk-ant-abcdefghijkl", "Bearer x", "user:pw", '"y"'):
        assert secret not in clean.replace(REDACTED, "")
    assert redacted(config)["agent"]["max_tokens"] == 4096
    assert redacted(config)["keep"] == "race"
    assert redacted(config)["budget"] == {"tokens": 5}


def test_a_folder_that_is_too_high_is_left_alone(rows, written, tmp_path):
    """Two sessions in a folder that is no sweep's: one line that names them, and nothing is written anywhere. The same
    two as a sweep get their reports."""
    folders = [written(tmp_path / "all" / name, rows(1)) for name in ("one", "two")]
    with pytest.raises(UserError, match="neither a session's nor a sweep's folder"):
        main([str(tmp_path / "all")])
    assert not list(tmp_path.rglob("report.*"))
    (tmp_path / "all" / "sweep.jsonl").write_text("")
    assert main([str(tmp_path / "all")]) == 0
    assert all((folder / "report.html").exists() for folder in folders)
