"""results.tsv: the file that autoresearch's users and notebooks read."""

import pandas
from hypothesis import given
from hypothesis import strategies as st

from harness.ledger.rows import row_of
from harness.report.escape import as_html, as_markdown, one_line, table_cell
from harness.report.local import LocalTracker, NoTracker
from harness.report.results_tsv import results_tsv
from tests.report.conftest import recorded
from tests.report.test_terminal import show


def test_format_of_autoresearch(rows):
    """Header, baseline first, one line a proposal, short commits, three statuses, memory in GiB."""
    lines = results_tsv(recorded(rows(24))).splitlines()
    assert lines[0] == "commit\tval_bpb\tmemory_gb\tstatus\tdescription"
    assert lines[1].startswith("bbbbbbb\t1.9")
    assert lines[1].endswith("\t0.9\tkeep\tbaseline")
    assert len(lines) == 26
    assert {line.split("\t")[3] for line in lines[1:]} == {"keep", "discard", "crash"}


def test_analysis_as_in_autoresearch_takes_no_unmeasured_row_for_a_record(rows, tmp_path):
    """A proposal that never ran has no number, so a progress plot over the column stays true."""
    file = tmp_path / "results.tsv"
    file.write_text(results_tsv(recorded(rows(24))))
    frame = pandas.read_csv(file, sep="\t")
    measured = frame[frame.status != "crash"].val_bpb.dropna()
    assert measured.min() > 1.5
    assert (frame[frame.status == "crash"].val_bpb == 0).all()


def test_tracker_writes_the_same_file_live_and_after_a_resumption(rows, tmp_path):
    """The file can be rebuilt from the ledger at any row: what a kill leaves behind is made good."""
    made = rows(12)
    for cut in (0, 5, len(made) // 2, len(made)):
        tracker = LocalTracker()
        show(tracker, made, cut, tmp_path)
        tracker.close()
        assert (tmp_path / "results.tsv").read_text() == results_tsv(recorded(made))
        assert [entry.name for entry in tmp_path.iterdir()] == ["results.tsv"]


def test_unwritable_folder_costs_the_file_and_not_the_session(rows, tmp_path):
    """The tracker never fails a session."""
    tracker = LocalTracker()
    show(tracker, rows(2), folder=tmp_path / "gone")
    tracker.close()
    silent = NoTracker()
    show(silent, rows(1), folder=tmp_path)
    silent.close()
    assert not list(tmp_path.iterdir())


def test_a_disk_that_has_room_again_gets_the_whole_file(rows, tmp_path):
    """What could not be written is made good with the next decision; what a kill left beside it goes."""
    folder, made = tmp_path / "session", rows(12)
    tracker = LocalTracker()
    session = recorded([])
    tracker.open(folder, session)
    for row in map(row_of, made):
        if session.length == len(made) // 2:
            folder.mkdir()
            (folder / ".results.tsv-abc123").write_text("half")
        session.add(row)
        tracker.record(row)
    assert (folder / "results.tsv").read_text() == results_tsv(recorded(made))
    tracker.close()
    tracker.open(folder, session)
    assert [entry.name for entry in folder.iterdir()] == ["results.tsv"]


@given(st.text(st.characters(codec=None), max_size=300))
def test_no_text_breaks_a_line_a_cell_or_the_markup(text):
    """Whatever an agent writes stays one printable line, one table cell and inert text in HTML."""
    line = one_line(text)
    assert line.isprintable()
    assert len(line) <= 200
    assert "\t" not in table_cell(text)
    assert not table_cell(text).startswith(("=", "+", "@", '"'))
    line.encode("utf-8")
    assert "<" not in as_html(text)
    assert '"' not in as_html(text)
    as_html(text).encode("utf-8")
    assert "<" not in as_markdown(text)
    assert "|" not in as_markdown(text).replace("\\|", "")
