"""The report in a real browser: bright, dark and on a phone."""

import html
import re
import shutil
import subprocess
import zlib
from pathlib import Path

import pytest

from harness.compare.comparison import compare
from harness.compare.page import html_comparison
from harness.report.html.page import html_report
from tests.report.conftest import recorded

pytestmark = [pytest.mark.slow, pytest.mark.browser]
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture
def browse(tmp_path):
    """Calls Chromium with a profile of its own; returns what it prints."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    assert program, (
        "these tests look at the report in Chromium: install it (Debian: apt-get install chromium)"
    )

    def call(page: Path, *options: str) -> str:
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        command = [program, *QUIET, profile, *options, page.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout

    return call


def first_pixel(png: Path) -> tuple[int, ...]:
    """Red, green, blue of the top left corner: no filter of PNG changes the first pixel."""
    data = png.read_bytes()
    packed = b"".join(
        data[match.end() : match.end() + int.from_bytes(data[match.start() - 4 : match.start()], "big")]
        for match in re.finditer(b"IDAT", data)
    )
    return tuple(zlib.decompressobj().decompress(packed, 4)[1:4])


@pytest.fixture
def page(rows, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(html_report(recorded(rows(40, hostile=" " + "x" * 300)), tmp_path), encoding="utf-8")
    return file


def test_bright_and_dark_page_are_drawn(browse, page, tmp_path):
    """The page follows the reader's colour scheme, charts included."""
    for name, options in (("bright", ()), ("dark", ("--blink-settings=preferredColorScheme=0",))):
        browse(page, *options, "--window-size=1200,1600", f"--screenshot={tmp_path / name}.png")
    assert sum(first_pixel(tmp_path / "bright.png")) > 600
    assert sum(first_pixel(tmp_path / "dark.png")) < 150
    assert min((tmp_path / f"{name}.png").stat().st_size for name in ("bright", "dark")) > 50_000


def fits(browse, page, tmp_path, width):
    """How many charts are shown in a window of that width; fails when the page is wider than the window."""
    wrapper = tmp_path / "wrapper.html"
    inner = html.escape(page.read_text())
    wrapper.write_text(
        f'<iframe id="f" style="border:0;width:{width}px;height:800px" srcdoc="{inner}"></iframe>'
        "<script>window.onload = () => { const d = document.getElementById('f').contentDocument;"
        "const charts = [...d.querySelectorAll('svg.wide, svg.narrow')];"
        "const shown = charts.filter(s => s.getBoundingClientRect().width > 0).length;"
        "document.title = 'width ' + d.documentElement.scrollWidth + ' charts ' + shown; }</script>",
        encoding="utf-8",
    )
    found = re.search(r"<title>width (\d+) charts (\d+)</title>", browse(wrapper, "--dump-dom"))
    assert found, "the page did not load"
    assert int(found[1]) <= width
    return int(found[2])


@pytest.mark.parametrize("width", [360, 412, 1200])
def test_nothing_sticks_out_at_the_side(browse, page, tmp_path, width):
    """On a phone, too, the page scrolls down only, and exactly one size of each chart is shown."""
    assert fits(browse, page, tmp_path, width) == 2


@pytest.mark.parametrize("width", [360, 1200])
def test_comparison_fits_as_well(browse, maker, written, tmp_path, width):
    """The page of a sweep: long names of arms do not stick out either."""
    for agent in ("claude", "optuna-with-a-very-long-name-of-an-arm-" * 3):
        for repeat in range(2):
            made = maker(repeat, agent=agent, choices={"task": "nanochat", "agent": agent})
            made.baseline()
            for number in range(1, 9):
                made.propose(number)
            made.end(gain=0.1 * (repeat + 1))
            written(tmp_path / "sweep" / f"{agent[:7]}{repeat}", made.rows)
    file = tmp_path / "compare.html"
    file.write_text(html_comparison(compare(tmp_path / "sweep")), encoding="utf-8")
    assert fits(browse, file, tmp_path, width) == 2
