"""The live page in Debian's chromium: what a person does with it, what hostile text does to it, what it costs."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.ledger.live_trial import LiveTrial
from tests.report.conftest import make_rows, write_session
from tests.ui.conftest import Served, serving, with_a_trial_under_way

pytestmark = [pytest.mark.slow, pytest.mark.browser]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
Until = Callable[[Callable[[], object]], None]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A browser; playwright drives the one that is installed and fetches none."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, NAMES)), None)
    assert program, "these tests look at pages in Chromium: install it (Debian: apt-get install chromium)"
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-quic"])
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Any, served: Served) -> Iterator[Any]:
    """A fresh page; no request may leave for anywhere but the server, no dialog may open, nothing may be refused."""
    with opened(chromium, served, viewport={"width": 1200, "height": 1000}) as made:
        yield made


@contextlib.contextmanager
def opened(chromium: Any, served: Served, **options: Any) -> Iterator[Any]:
    context = chromium.new_context(**options)
    made = context.new_page()
    requests: list[str] = []
    wrong: list[str] = []
    made.on("request", lambda request: requests.append(request.url))
    made.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    made.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    made.on("pageerror", lambda error: wrong.append(str(error)))
    yield made
    assert wrong == []
    assert requests
    assert all(url.startswith(served.address) for url in requests), requests
    context.close()


def live(page: Any) -> None:
    page.locator("#state", has_text="live").wait_for()


def shown(page: Any) -> list[str]:
    """Numbers of the proposals that are not filtered away."""
    found: list[str] = page.evaluate(
        "[...document.querySelectorAll('#proposals > details')].filter(d => !d.hidden).map(d => d.id.slice(1))"
    )
    return found


def test_index_leads_to_sessions_and_is_filtered(page: Any, served: Served) -> None:
    """Every session has a card with its sentence; typing leaves those that fit; a card opens its page."""
    page.goto(served.address)
    page.locator(".card", has_text="24 ideas").wait_for()
    assert page.locator(".card").count() >= 3
    page.keyboard.press("/")
    page.keyboard.type("24 ideas")
    page.wait_for_timeout(100)
    assert page.locator(".card:visible").count() == 1
    page.locator(".card:visible").click()
    page.locator("h1", has_text="nanochat").wait_for()
    page.keyboard.press("g")
    page.locator("h1", has_text="Sessions below").wait_for()


def test_filter_search_diff_transcript_and_keys(page: Any, served: Served, until: Until) -> None:
    """What a reader does in the morning, by keyboard and by mouse."""
    page.goto(served.at("whole"))
    live(page)
    page.locator("[data-filter=keep]").click()
    kept = shown(page)
    assert 0 < len(kept) < 24
    page.locator("[data-filter=all]").click()
    page.keyboard.press("/")
    page.keyboard.type("heptagons")
    until(lambda: shown(page) == ["1"])
    page.keyboard.press("Escape")
    until(lambda: len(shown(page)) == 24)
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("o")
    fold = page.locator("details.at[data-loaded]")
    fold.wait_for()
    assert fold.get_attribute("id") == "p23"
    assert "F.relu(self.up(x)).square()" in fold.inner_text()
    page.locator("#p1 > summary").click()
    page.locator("#p1 a", has_text="what the agent said").click()
    page.locator("text=I looked for heptagons").wait_for()


def test_a_mark_of_the_chart_opens_its_proposal(page: Any, served: Served) -> None:
    """The chart is the way in: a click on a mark shows what it is."""
    page.goto(served.at("whole"))
    live(page)
    page.locator("svg.wide circle.keep").first.click()
    page.locator("details.at[open][data-loaded]").wait_for()


def test_dark_stays_dark(page: Any, served: Served) -> None:
    """The key `d` turns the page round, charts included, and the next page remembers."""
    page.goto(served.at("whole"))
    paper = "getComputedStyle(document.body).backgroundColor"
    bright = page.evaluate(paper)
    page.keyboard.press("d")
    assert page.evaluate(paper) != bright
    page.goto(served.at("open"))
    assert page.evaluate(paper) != bright
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


@pytest.mark.parametrize("where", ["", "whole", "hostile"])
def test_phone(chromium: Any, served: Served, where: str, tmp_path: Path) -> None:
    """390 pixels: nothing sticks out at the side, the small chart is shown, in the reader's dark colours."""
    phone = {
        "viewport": {"width": 390, "height": 844},
        "color_scheme": "dark",
        "is_mobile": True,
        "has_touch": True,
    }
    with opened(chromium, served, **phone) as page:
        page.goto(served.at(where) if where else served.address)
        live(page)
        page.wait_for_timeout(500)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        if where:
            assert page.locator("#chart svg.narrow").is_visible()
            assert not page.locator("#chart svg.wide").is_visible()
            page.locator("#proposals > details > summary").first.click()
            page.locator("#proposals > details[data-loaded]").first.wait_for()
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.screenshot(path=tmp_path / "phone.png")


def test_hostile_text_does_nothing(page: Any, served: Served) -> None:
    """Everything of a hostile session opened: no script of it ran, no element of it exists, no request left."""
    page.goto(served.at("hostile"))
    live(page)
    for fold in page.locator("details.lazy").all():
        fold.locator("> summary").click()
    page.locator("#p1[data-loaded]").wait_for()
    page.wait_for_timeout(1000)
    assert page.locator("details.lazy[data-loaded]").count() == page.locator("details.lazy").count()
    assert page.locator("script").count() == 1
    assert page.locator("img, iframe, [onerror], [onload], [style]").count() == 0
    assert "alert(1)" in page.locator("#p1").text_content()
    page.goto(served.at("hostile", "transcript/1"))
    assert "alert(1)" in page.inner_text("main")
    assert page.locator("script").count() == 1


def test_the_policy_holds_even_where_escaping_had_failed(chromium: Any, served: Served) -> None:
    """The second wall: markup that is put into the page on purpose runs nothing, loads nothing, styles nothing."""
    page = chromium.new_context().new_page()
    page.goto(served.at("whole"))
    live(page)
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        place = f"http://127.0.0.1:{elsewhere.getsockname()[1]}/x"
        page.evaluate(_ATTACK, place)
        page.wait_for_timeout(1000)
        assert _received(elsewhere) == b"", "Chromium may open a connection ahead; it may ask for nothing"
    assert page.evaluate("window.bad") is None
    assert "TrustedScript" in page.evaluate("window.stopped")
    assert page.evaluate("getComputedStyle(document.querySelector('body > b')).color") != "rgb(255, 0, 0)"


_ATTACK = """(place) => {
  const markup = '<img src=' + place + ' onerror="window.bad=1"><b style="color:red">b</b>'
    + '<link rel=stylesheet href=' + place + '><iframe src=' + place + '></iframe>'
    + '<form action=' + place + '><button id=send>x</button></form>';
  const template = document.createElement("template");
  template.innerHTML = policy.createHTML(markup);
  document.body.append(template.content);
  document.getElementById("send").click();
  const script = document.createElement("script");
  try { script.text = "window.bad = 2"; document.body.append(script); }
  catch (error) { window.stopped = String(error); }
  fetch(place).catch(() => 0);
  navigator.sendBeacon(place, "x");
  new WebSocket(place.replace("http", "ws"));
}"""


def _received(listener: socket.socket) -> bytes:
    """Everything that came over any connection."""
    found = b""
    listener.settimeout(0.3)
    with contextlib.suppress(TimeoutError):
        while True:
            connection, _ = listener.accept()
            connection.settimeout(0.3)
            with connection, contextlib.suppress(TimeoutError):
                found += connection.recv(1000)

    return found


def test_rows_appear_as_they_are_written(chromium: Any, tmp_path: Path, until: Until) -> None:
    """A proposal that is decided while the page is open stands on top, the chart has its mark, open folds stay open."""
    write_session(tmp_path / "all", make_rows(20, seed=3))
    lines = (tmp_path / "all" / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    folder = tmp_path / "sessions" / "one"
    folder.mkdir(parents=True)
    cut = next(
        place for place, line in enumerate(lines) if b'"kind":"decided"' in line and b'"proposal":12,' in line
    )
    (folder / "ledger.jsonl").write_bytes(b"".join(lines[: cut + 1]))
    with serving(tmp_path / "sessions") as served, opened(chromium, served) as page:
        page.goto(served.at("one"))
        live(page)
        page.locator("#p12 > summary").click()
        page.locator("#p12[data-loaded]").wait_for()
        for line in lines[cut + 1 :]:
            with (folder / "ledger.jsonl").open("ab") as file:
                file.write(line)
            time.sleep(0.03)
        page.locator("#p20 .decision", has_text="discard").or_(
            page.locator("#p20 .decision", has_text="keep")
        ).or_(page.locator("#p20 .decision", has_text="crash")).wait_for()
        page.locator(".headline", has_text="certified").wait_for()
        assert page.locator("#p12[open]").count() == 1
        assert page.locator("#proposals > details").first.get_attribute("id") == "p20"
        marks = page.evaluate("document.querySelectorAll('svg.wide [data-layer=marks] > *').length")
        kept = page.evaluate("document.querySelectorAll('#proposals > [data-kind=keep]').length")
        assert marks + kept == 20


def test_the_curve_of_a_running_trial_grows(chromium: Any, tmp_path: Path) -> None:
    """Drawn as its program tells its loss, said to be claimed, and gone when the trial is over; nothing is reloaded."""
    trial = with_a_trial_under_way(tmp_path / "one")
    live_trial = LiveTrial(tmp_path / "one", trial)
    curve = '[data-part="now"] svg.curve path.curve'
    with serving(tmp_path) as served, opened(chromium, served) as page:
        page.goto(served.at("one"))
        live(page)
        assert page.locator(curve).count() == 0
        page.evaluate("window.same = true")
        for step in range(1, 4):
            live_trial.add(step / 10, 4.0 - step)
        page.locator(curve).wait_for()
        short = page.locator(curve).get_attribute("d")
        page.locator("text=claimed loss, not a score").first.wait_for()
        for step in range(4, 9):
            live_trial.add(step / 10, 4.0 - step)
        page.wait_for_function(
            "([path, was]) => (document.querySelector(path)?.getAttribute('d') || '').length > was.length",
            arg=[curve, short],
        )
        live_trial.close()
        page.locator(curve).wait_for(state="detached")
        assert page.evaluate("window.same")


def test_a_real_session_from_start_to_certificate(chromium: Any, tmp_path: Path) -> None:
    """A session that is started while the index is open: its card comes, its page is live until the certificate."""
    sessions = tmp_path / "sessions"
    sessions.mkdir()
    command = [
        sys.executable,
        "-m",
        "harness",
        "task=digits",
        "agent=random",
        "budget=smoke",
        "budget.seconds=0.5",
    ]
    command += ["budget.proposals=4", "budget.certificate=2", "keep=greedy", f"session.folder={sessions}"]
    command += ["session.tag=live"]
    with serving(sessions) as served, opened(chromium, served) as page:
        page.goto(served.address)
        live(page)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as session:
            try:
                card = page.locator(".card", has_text="live")
                card.wait_for(timeout=120_000)
                page.locator(".card .good", has_text="running").wait_for(timeout=120_000)
                card.click()
                page.locator(".under-way").first.wait_for(timeout=120_000)
                page.locator("text=session has ended").first.wait_for(timeout=400_000)
            finally:
                session.terminate()
                session.wait(60)
        assert page.locator("#proposals > details").count() == 4
        words = page.locator(".headline").inner_text()
        assert "4 ideas" in words
        assert "certifi" in words or "none kept" in words


def test_first_paint_of_500_proposals_and_what_an_update_takes(
    chromium: Any, tmp_path: Path, until: Until
) -> None:
    """Figures for docs/report.md: printed, not asserted, because machines differ."""
    folder = write_session(tmp_path / "sessions" / "big", make_rows(500, seed=5, end=False))
    write_session(tmp_path / "all", make_rows(520, seed=5, end=False))
    lines = (tmp_path / "all" / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    have = len((folder / "ledger.jsonl").read_bytes().splitlines())
    with serving(tmp_path / "sessions") as served, opened(chromium, served) as page:
        paints = []
        for _ in range(3):
            page.goto(served.at("big"))
            live(page)
            paints.append(page.evaluate("performance.getEntriesByType('paint')[0].startTime"))
        took = []
        for line in lines[have:]:
            before = page.evaluate("Number(document.documentElement.dataset.updated || 0)")
            began = time.monotonic()
            with (folder / "ledger.jsonl").open("ab") as file:
                file.write(line)
            until(lambda: page.evaluate("Number(document.documentElement.dataset.updated || 0)") > before)  # noqa: B023
            took.append(time.monotonic() - began)
        print(
            json.dumps({"first_paint_ms": paints, "update_seconds": sorted(took)[:: max(1, len(took) // 8)]})
        )
        assert page.locator("#proposals > details").count() == 520


def test_what_the_page_costs_beside_a_session(chromium: Any, tmp_path: Path) -> None:
    """Server and browser together while a trial's five rows come every twenty seconds; a gross figure fails."""
    write_session(tmp_path / "all", make_rows(120, seed=5, end=False))
    lines = (tmp_path / "all" / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    folder = tmp_path / "sessions" / "one"
    folder.mkdir(parents=True)
    (folder / "ledger.jsonl").write_bytes(b"".join(lines[:-10]))
    with serving(tmp_path / "sessions") as served, opened(chromium, served) as page:
        page.goto(served.at("one"))
        live(page)
        page.wait_for_timeout(5000)
        processes = [
            psutil.Process(served.process.pid),
            *psutil.Process(os.getpid()).children(recursive=True),
        ]
        began, before = time.monotonic(), _cpu(processes)
        for place in range(len(lines) - 10, len(lines), 5):
            with (folder / "ledger.jsonl").open("ab") as file:
                file.write(b"".join(lines[place : place + 5]))
            page.wait_for_timeout(20_000)
        each = {name: _cpu(processes)[name] - before[name] for name in before}
        seconds = time.monotonic() - began
        share = sum(each.values()) / seconds / (os.cpu_count() or 1)
        print(json.dumps({"share_of_machine": share, "cpu_seconds": each, "seconds": seconds}))
        assert share < 0.2


def _cpu(processes: list[psutil.Process]) -> dict[str, float]:
    """CPU seconds so far of the server and of Chromium's processes, by what they are."""
    found: dict[str, float] = {}
    for process in set(processes):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            name = f"{process.name()}-{process.pid}"
            if "chrom" in name or "python" in name:
                found[name] = times.user + times.system
    return found
