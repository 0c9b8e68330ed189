"""The picture of a session: what it says is true, nothing in it collides, and it looks alike as SVG and as PNG."""

import io
import random
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from harness.commands.report import main
from harness.ledger.session_record import SessionRecord
from harness.records import DecidedBy
from harness.report.charts.labels import Rectangle, placed, shortened, text_width
from harness.report.charts.marks import kind_of
from harness.report.charts.paint import PAINTS, PALETTE, looks
from harness.report.charts.picture import picture, picture_svg
from harness.report.charts.progress import HOURS, NARROW, WIDE, ProgressChart, progress_chart
from harness.report.charts.raster import png
from harness.report.charts.svg import Drawing, Words
from harness.report.headline import headline
from tests.report.conftest import recorded

AREA = Rectangle(0, 0, 900, 400)


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), count=st.integers(2, 25))
def test_no_two_labels_touch_and_none_hides_a_keep(seed: int, count: int) -> None:
    """Whatever was kept wherever: words stay within the plot, off each other, off leaders and off the marks."""
    dice = random.Random(seed)
    spots = [(dice.uniform(10, 890), dice.uniform(10, 390)) for _ in range(count)]
    dots = [Rectangle(x - 7, y - 7, x + 7, y + 7) for x, y in spots]
    found = placed([("x" * dice.randint(8, 38), spot) for spot in spots], AREA, 12.5, keep_off=dots)
    for one, other in combinations(found, 2):
        assert not one.box.touches(other.box)
        assert not (one.leader and other.box.crossed(*one.leader))
    assert all(label.box.inside(AREA) for label in found)
    assert not [dot for dot in dots for label in found if label.box.touches(dot)]


@pytest.mark.parametrize("frame", [WIDE, NARROW], ids=["wide", "phone"])
def test_names_of_keeps_are_level_and_whole(rows, frame) -> None:
    """Words stand upright within the drawing; the widest font does not push them out."""
    drawing = ProgressChart(recorded(rows(83, seed=3)), frame).drawing()
    names = [shape for shape in drawing.shapes if isinstance(shape, Words) and "name" in shape.style]
    assert len(names) >= 3
    assert "rotate" not in drawing.svg()
    for words in names:
        assert words.x >= 0
        assert words.x + text_width(words.text, 12.5) <= frame.edge


def test_shortening_ends_with_a_word() -> None:
    """First clause, whole words, no dangling preposition."""
    assert (
        shortened("Tie the embedding and the output layer.", 40) == "Tie the embedding and the output layer"
    )
    assert (
        shortened("Raise the matrix learning rate from 0.02 to 0.03", 38) == "Raise the matrix learning rate…"
    )
    assert (
        shortened("Remove value embeddings: simpler, and no loss is expected", 38)
        == "Remove value embeddings"
    )
    assert len(shortened("y" * 100, 38)) <= 38


def test_the_sentence_counts_what_the_ledger_says(rows) -> None:
    """Ideas, keeps, scores and the certificate's interval; turned round where higher is better."""
    session = recorded(rows(40, seed=3))
    row = session.certificate
    assert row is not None
    words = headline(session)
    assert f"{len(session.decided)} ideas, {len(session.keeps)} kept" in words
    base = sum(row.baseline_scores) / 5
    assert f"certified \u2212{100 * row.gain / base:.1f} % [\u2212" in words
    assert "bits per byte" in words


def test_the_sentence_claims_nothing_that_is_not_so(rows, maker) -> None:
    """No keep, no certificate, a failed one, isolation that was not proven: each is said."""
    assert headline(SessionRecord()) == "Nothing has happened yet."
    assert "none kept" in headline(recorded(rows(1, seed=1)))
    assert headline(recorded(rows(30, seed=3, end=False))).endswith("not certified yet")
    made = maker(3)
    made.baseline()
    for number in range(1, 20):
        made.propose(number)
    made.end(gain=0.001, passed=False)
    assert "certificate not passed: \u2212" in headline(recorded(made.rows))
    made.rows[-2]["certified"] = False
    assert "UNVERIFIED" in headline(recorded(made.rows))


def test_every_kind_has_a_mark_of_its_own(rows) -> None:
    """What a guard rejected, what crashed and what was only noise can be told apart."""
    session = recorded(rows(60, seed=3))
    found = {kind_of(proposal) for proposal in session.decided}
    assert {"keep", "discard", "guarded", "failed"} <= found
    for proposal in session.decided:
        assert (proposal.decided_by is DecidedBy.GUARD) == (kind_of(proposal) == "guarded")
    looks_of = [looks(kind) for kind in ("keep", "provisional", "discard", "rolled", "guarded", "failed")]
    assert len(set(looks_of)) == len(looks_of)


def test_wall_clock_axis_places_proposals_by_time(rows) -> None:
    """With hours the same marks stand where their decision fell."""
    made = rows(20, seed=3)
    text = progress_chart(recorded(made), replace(WIDE, axis=HOURS))
    assert "wall clock" in text
    assert " min<" in text


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_png_and_svg_show_the_same(rows, theme) -> None:
    """Both have the theme's paper; the SVG stands alone: no variable, no address, well-formed whatever agents wrote."""
    drawing = picture(recorded(rows(12, seed=3, hostile="</text><script>alert(1)</script>\x1b\ud800")))
    image = Image.open(io.BytesIO(png(drawing, theme)))
    paper = PALETTE["card"][theme == "dark"]
    assert image.size == (2400, 1350)
    assert "#{:02x}{:02x}{:02x}".format(*image.getpixel((3, 3))) == paper
    assert len(image.convert("RGB").getcolors(1 << 22)) > 50
    text = picture_svg(drawing, theme)
    root = ElementTree.fromstring(text)
    assert {each.tag.rpartition("}")[2] for each in root.iter()} <= {
        "svg",
        "style",
        "path",
        "circle",
        "rect",
        "text",
        "title",
    }
    assert "var(" not in text
    assert not re.search(r"href|url\(|@import", text.replace("http://www.w3.org/2000/svg", ""))


def test_what_a_shape_looks_like_is_the_same_in_both_outputs() -> None:
    """Later classes win in the picture as in the style sheet."""
    assert looks("keep doubt").opacity == 0.5
    assert looks("axis middle strong").fill == "certified"
    assert [*PAINTS].index("axis") < [*PAINTS].index("strong")
    drawing = Drawing(10, 10, "x")
    drawing.dot(5, 5, 2, "arm1")
    assert Image.open(io.BytesIO(png(drawing))).size == (20, 20)


def test_command_writes_the_picture(session_folder, tmp_path, written, rows, capsys) -> None:
    """`--png`: bright and dark, PNG and SVG, with a control as a line; nothing else is written."""
    control = written(tmp_path / "control", rows(20, seed=8, agent="optuna"))
    assert main([str(session_folder), "--png", "--control", str(control), "--axis", "hours"]) == 0
    names = {line.rpartition("/")[2] for line in capsys.readouterr().out.split()}
    assert names == {"progress.png", "progress.svg", "progress-dark.png", "progress-dark.svg"}
    assert "control: optuna" in (session_folder / "progress.svg").read_text()
    assert not (session_folder / "report.html").exists()
