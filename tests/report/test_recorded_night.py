"""People's results.tsv: read by names, told from noise, drawn."""

import itertools
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.commands.replay_night import main
from harness.compare.night import class_of, gains, report, told
from harness.errors import UserError
from harness.ledger.recorded_night import read_night

HEADER = ("commit", "val_bpb", "memory_gb", "status", "description")
ROWS = [
    ("a0", "1.0000", "44.0", "keep", "baseline"),
    ("a1", "0.9900", "44.0", "keep", "a large win"),
    ("a2", "0.9950", "44.0", "discard", 'worse, with a "quote'),
    ("a3", "0.0000", "0.0", "crash", "out of memory"),
    ("a4", "0.9897", "44.0", "keep", "perhaps nothing"),
]


def night(tmp_path: Path, *rows: tuple[str, ...], header: tuple[str, ...] = HEADER) -> Path:
    file = tmp_path / "results.tsv"
    file.write_text("\n".join("\t".join(row) for row in (header, *rows)) + "\n")
    return file


def sizes(file: Path, rising: bool | None = None) -> list[float]:
    return [gain for _, gain in gains(read_night(file, rising))]


def test_single_trials_show_the_large_win_only(tmp_path: Path) -> None:
    """At sd 5e-4 the large win is beyond noise and the small one is not; the crash is no proposal that finished."""
    found = read_night(night(tmp_path, *ROWS))
    kept = [gain for _, gain in gains(found)]
    assert kept == pytest.approx([0.01, 0.0003])
    counts = told(kept, proposals=3, sd=5e-4)
    assert (counts.beyond, counts.bonferroni, counts.swap) == (1, 1, 1)
    text = "\n".join(report(found, [5e-4]))
    assert "5 trials: 1 of the baseline, 3 changes with a score (2 kept), 1 without a score" in text
    by_keep = text.split("keep by keep")[1].splitlines()
    assert next(line for line in by_keep if "a large win" in line).strip().startswith("A ")
    assert next(line for line in by_keep if "perhaps nothing" in line).strip().startswith("D ")
    counts = next(line for line in text.splitlines() if line.startswith("0.0005 ")).split()
    assert counts[1:] == ["1", "0", "0", "1"]


@pytest.mark.parametrize("gain", [0.0, 1e-4, 7e-4, 7.2e-4, 1.1e-3, 1.2e-3, 1.6e-3, 5e-3])
@pytest.mark.parametrize("proposals", [1, 2, 100])
def test_every_keep_is_in_one_class(gain: float, proposals: int) -> None:
    """The classes are those of the counts, and add up."""
    counts = told([gain], proposals, 5e-4)
    letter = class_of(gain, proposals, 5e-4)
    assert (letter in "AB", letter == "A", letter == "D") == (counts.beyond, counts.bonferroni, counts.swap)


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    """Another order, more columns, fewer columns and another case: the same night."""
    order = ("commit", "val_bpb", "mfu", "memory_gb", "status", "description")
    more = [(row[0], row[1], "39.8", row[2], row[3], row[4]) for row in ROWS]
    assert sizes(night(tmp_path, *more, header=order)) == pytest.approx([0.01, 0.0003])
    few = [(row[3].upper(), row[1]) for row in ROWS]
    assert sizes(night(tmp_path, *few, header=("Status", "VAL_BPB"))) == pytest.approx([0.01, 0.0003])


def test_scores_of_any_size(tmp_path: Path) -> None:
    """An rmse of 25,000 is a score like any other."""
    rows = [("a", "25000", "1", "keep", "baseline"), ("b", "24000", "1", "keep", "better")]
    assert sizes(night(tmp_path, *rows, header=("commit", "val_rmse", *HEADER[2:]))) == [1000]


def test_a_baseline_measured_anew_begins_a_segment(tmp_path: Path) -> None:
    """A re-measured baseline in the middle is no keep with a negative gain."""
    rows = [
        *ROWS,
        ("b0", "1.0020", "44", "keep", "re-measured baseline"),
        ("b1", "1.0000", "44", "keep", "again"),
    ]
    found = read_night(night(tmp_path, *rows))
    assert found.segments == 2
    assert [gain for _, gain in gains(found)] == pytest.approx([0.01, 0.0003, 0.002])


@pytest.mark.parametrize("metric", ["val_acc", "val_psnr", "val_f1", "episode_reward"])
def test_the_direction_follows_from_the_name(tmp_path: Path, metric: str) -> None:
    """Accuracy and its like rise: their gains are positive without a word from the user."""
    rows = [("a", "0.5", "1", "keep", "baseline"), ("b", "0.6", "1", "keep", "better")]
    assert sizes(night(tmp_path, *rows, header=("commit", metric, *HEADER[2:]))) == pytest.approx([0.1])


def test_an_unknown_direction_is_asked_for(tmp_path: Path) -> None:
    """A metric that nobody knows: one line that names the two options; given one, it works."""
    rows = [("a", "0.5", "1", "keep", "baseline"), ("b", "0.6", "1", "keep", "better")]
    file = night(tmp_path, *rows, header=("commit", "val_zorp", *HEADER[2:]))
    with pytest.raises(UserError, match="--maximise or --minimise"):
        read_night(file)
    assert sizes(file, rising=True) == pytest.approx([0.1])


TABLE = "commit,val_bpb,status,description\na,1.0,keep,baseline\nb,0.9,keep,more\n"
ODD = {
    "commas": TABLE,
    "quoted commas": TABLE.replace("more", '"more, and more"'),
    "Markdown": "| commit | val_bpb | status |\n|---|--:|---|\n| a | 1.0 | keep |\n| b | 0.9 | keep |\n",
    "blanks": TABLE.replace(",", "   "),
    "remarks": f"# night of 12 March\n{TABLE}# the end\n",
    "signs": TABLE.replace("keep,", "**Keep** ✅,"),
    "another word for status": TABLE.replace("status", "decision"),
    "a word for the score of a crash": f"{TABLE}c,OOM,discard,wider\nd,n/a,discard,deeper\n",
    "semicolons": TABLE.replace(",", ";"),
    "semicolons and a decimal comma": TABLE.replace(",", ";").replace("1.0", "1,0").replace("0.9", "0,900"),
    "single blanks": TABLE.replace(",", " ").replace("more", "more of it"),
    "tabs and quotation marks": '"' + TABLE.strip().replace(",", '"\t"').replace("\n", '"\n"') + '"\n',
    "blank lines at the end": TABLE.replace(",", "\t") + "\n  \n\t\t\t\n",
    "reasons behind the status": TABLE.replace("keep,", "KEEP (best so far),") + "c,1.1,reverted: worse,x\n",
    "signs alone": TABLE.replace("keep", "✅").replace("more", "more\nc,1.1,❌,less"),
    "a column that asks": TABLE.replace("status", "kept").replace("keep", "yes").replace("more", "more\nc,1.1,no,x"),
    "accepted and skipped": TABLE.replace("keep", "accepted") + "c,,skipped,x\n",
    "code marks": TABLE.replace("0.9", "`0.9`").replace("1.0", "**1.0**").replace("val_bpb", "**val_bpb**"),
    "spreads": TABLE.replace("0.9", "0.9 ± 0.01").replace("1.0", "1.0 +/- 0.01"),
    "not a number": f"{TABLE}c,nan,discard,x\nd,NaN,crash,x\ne,inf,crash,x\n",
    "no baseline": TABLE.replace("a,1.0", "z,1.2,discard,first\na,1.0"),
    "UTF-16": "\ufeff" + TABLE,
    "carriage returns": TABLE.replace("\n", "\r\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_odd_files_are_the_same_night(tmp_path: Path, name: str) -> None:
    """However its cells are parted and its words are spelt: one keep, a gain of .1."""
    file = tmp_path / "results.tsv"
    file.write_bytes(ODD[name].encode("utf-16-le" if name == "UTF-16" else "utf-8"))
    assert sizes(file) == pytest.approx([0.1])


@pytest.mark.parametrize(
    ("first", "second", "gain"),
    [
        ("25000", "24000", 1000),
        ("25,000", "24,000", 1000),
        ("25,000.5", "9,000.5", 16000),
        ("1,250,000", "1,240,000", 10000),
        ("25_000", "24_000", 1000),
        ("1,5", "1,25", 0.25),
        ("0,993", "0,990", 0.003),
        ("1,002", "0,990", 0.012),
        ("-5", "\N{MINUS SIGN}6", 1),
    ],
)
def test_numbers_as_people_write_them(tmp_path: Path, first: str, second: str, gain: float) -> None:
    """A comma parts thousands or decimals, as the column tells."""
    rows = [("a", first, "1", "keep", "baseline"), ("b", second, "1", "keep", "better")]
    assert sizes(night(tmp_path, *rows, header=("commit", "val_rmse", *HEADER[2:]))) == pytest.approx([gain])


def test_a_comma_that_may_mean_both_is_asked_about(tmp_path: Path) -> None:
    rows = [("a", "1,234", "1", "keep", "baseline"), ("b", "1,198", "1", "keep", "better")]
    with pytest.raises(UserError, match="1,234 above or below ten"):
        read_night(night(tmp_path, *rows, header=("commit", "val_rmse", *HEADER[2:])))


def test_a_row_without_a_status_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="row 3 has no status in the column status"):
        read_night(night(tmp_path, *ROWS[:1], ("b", "0.9", "1", "", "x")))


def test_a_second_line_of_names_begins_a_segment(tmp_path: Path) -> None:
    """Two nights in one file, each with its own first keep."""
    file = tmp_path / "results.tsv"
    file.write_text(f"{TABLE}{TABLE.replace('1.0', '2.0')}".replace("baseline", "start"))
    assert sizes(file) == pytest.approx([0.1, 1.1])


def test_per_cent_are_numbers(tmp_path: Path) -> None:
    file = tmp_path / "results.tsv"
    file.write_text("val_acc\tstatus\n51.5%\tkeep\n53%\tkeep\n")
    assert sizes(file) == pytest.approx([1.5])


def test_the_score_may_be_named(tmp_path: Path) -> None:
    """Of two metrics the first is taken, or the one that is asked for; the only column of numbers needs no name."""
    file = tmp_path / "results.tsv"
    file.write_text("val_acc\tval_loss\tstatus\n.5\t1.2\tkeep\n.6\t1.0\tkeep\n")
    assert sizes(file) == pytest.approx([0.1])
    assert [gain for _, gain in gains(read_night(file, metric="val_loss"))] == pytest.approx([0.2])
    with pytest.raises(UserError, match="no column val_bpb among"):
        read_night(file, metric="val_bpb")
    file.write_text("commit\telo\tmemory_gb\tstatus\na\t1500\t44.0\tkeep\nb\t1550\t44.0\tkeep\n")
    with pytest.raises(UserError, match="is a higher elo better"):
        read_night(file)
    assert sizes(file, rising=True) == [50]


def test_a_file_without_names_is_told_what_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "results.tsv"
    file.write_text("a\t1.0\t44\tkeep\tbaseline\n")
    with pytest.raises(UserError, match="put the names of its columns on top"):
        read_night(file)


def test_an_unknown_status_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"row 2: unknown status 'maybe'; known are .*keep"):
        read_night(night(tmp_path, ("a", "1", "1", "maybe", "")))


@pytest.mark.parametrize(
    "content", ["", "a\tb\n1\t2\n", "commit\tval_bpb\tstatus\n", "val_bpb\tstatus\nword\tkeep\n"]
)
def test_what_is_no_night_is_one_line(tmp_path: Path, content: str) -> None:
    file = tmp_path / "results.tsv"
    file.write_text(content)
    with pytest.raises(UserError) as caught:
        read_night(file)
    assert "\n" not in str(caught.value)


def test_the_command_draws_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Descriptions are data: markup in them is shown, not obeyed."""
    file = night(tmp_path, *ROWS, ("a5", "0.98", "1", "keep", "<script>alert(1)</script>"))
    assert main([str(file), "--html", str(tmp_path / "night.html"), "--sd", "5e-4"]) == 0
    page = (tmp_path / "night.html").read_text()
    assert "<svg" in page
    assert "<script>alert" not in page
    assert "4 changes with a score (3 kept)" in capsys.readouterr().out


@settings(deadline=None, max_examples=60)
@given(st.permutations(range(5)), st.lists(st.floats(0.1, 9e5), min_size=1, max_size=8))
def test_the_order_of_columns_changes_nothing(tmp_path_factory, order, scores) -> None:
    """Any order of the columns is the same night."""
    folder = tmp_path_factory.mktemp("night")
    rows = [(f"c{n}", f"{score!r}", "1", "keep", "x") for n, score in enumerate(scores)]
    straight = sizes(night(folder, *rows))
    shuffled = [tuple(row[place] for place in order) for row in rows]
    assert sizes(night(folder, *shuffled, header=tuple(HEADER[place] for place in order))) == straight


@pytest.mark.parametrize("proposals", [1, 20, 200])
def test_the_lower_end_of_the_whole_gain_takes_selection_off(proposals: int) -> None:
    """Greedy nights in which nothing helps: the luck of the best of them is not called a gain, in 97.5 of 100."""
    draw = random.Random(proposals)
    above = 0
    for _ in range(400):
        scores = [draw.gauss(1, 0.01) for _ in range(proposals + 1)]
        bars = [scores[0]]
        bars += [score for place, score in enumerate(scores[1:], 1) if score < min(scores[:place])]
        gains_ = [before - after for before, after in itertools.pairwise(bars)]
        above += told(gains_, proposals, 0.01).total_low > 0
    assert above <= 19  # 2.5 % are 10; more in 1 of 200 runs of another seed
