"""The live page over HTTP, without a browser: who gets it, what is in it, and what updates say."""

import hashlib
import html.parser
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from harness.commands.ui import main
from harness.errors import UserError
from harness.ledger.live_trial import LiveTrial
from harness.report.html.pieces import source_hash
from harness.ui.machine import running
from harness.ui.places import Places, name_for
from harness.ui.session_page import Look, Shown, seen_now, session_body, update
from harness.ui.watched import Watched
from tests.report.conftest import make_rows, write_session
from tests.ui.conftest import HOSTILE, Served, events, get, with_a_trial_under_way

_RULE = (
    "default-src 'none'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "connect-src 'self'",
)
_OWN_TAGS = {
    "script",
    "style",
    "button",
    "input",
    "select",
    "option",
    "progress",
    "dialog",
    "nav",
    "main",
    "a",
}


def all_addresses(served: Served) -> list[str]:
    """Everything that a page may ask for, of every session."""
    found = [served.address, f"{served.address}compare/all/"]
    for session in ("whole", "open", "hostile"):
        found += [served.at(session), served.at(session, "find?words=x"), served.at(session, "transcript/1")]
        found += [served.at(session, f"proposal/{number}") for number in range(1, 7)]
        found += [
            served.at(session, f"part/{name}") for name in ("attempts", "trials", "settings", "reproduction")
        ]
    return found


class Markup(html.parser.HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_only_who_has_the_address_sees_anything(served: Served) -> None:
    """A wrong or missing token, a name that points here, another site, a write: refused, and nothing is told."""
    root = served.address.rsplit("/", 2)[0]
    host = served.address.split("/")[2]
    port = host.rpartition(":")[2]
    refused = {
        f"{root}/": (403, {}),
        f"{root}/{'x' * 32}/": (403, {}),
        served.address.rstrip("/"): (403, {}),
        f"{root}//{served.address.split('/')[3]}/": (403, {}),
    }
    for address, (status, headers) in refused.items():
        assert get(address, **headers)[0] == status, address
    assert get(served.address, Host="attacker.example")[0] == 421
    assert get(served.address, Host=f"127.0.0.1.attacker.example:{port}")[0] == 421
    assert get(served.address, Sec_Fetch_Site="cross-site")[0] == 403
    assert get(served.address, method="POST")[0] == 405
    assert get(served.address, method="DELETE")[0] == 405
    assert get(served.address, Host=f"localhost:{port}")[0] == 200
    assert get(served.address, Host="localhost:9")[0] == 200, "a tunnel's end may have another port"


def test_a_request_can_name_no_file(served: Served) -> None:
    """Names are those that the page gave out; paths, whatever their spelling, are none."""
    for path in (
        "s/../../etc/",
        "s/%2e%2e/",
        "s/whole/",
        f"s/{name_for('whole')}/part/..%2f..%2fsecret",
        "etc/passwd",
    ):
        assert get(served.address + path)[0] == 404, path
    assert get(served.at("whole", "proposal/9999"))[0] == 404
    assert get(served.at("whole", "proposal/-1"))[0] == 404


def test_every_answer_forbids_what_it_does_not_need(served: Served) -> None:
    """Also refusals and data: one script and two styles by hash, no other origin, no frame, no cache, no CORS."""
    address = served.address
    for each in [
        *all_addresses(served),
        address + "nothing",
        address.replace("127.0.0.1", "localhost") + "x",
    ]:
        _, headers, _ = get(each)
        policy = headers["Content-Security-Policy"]
        assert all(rule in policy for rule in _RULE)
        assert "unsafe" not in policy
        assert "*" not in policy
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert not [name for name in headers if name.lower().startswith("access-control")]
    script = re.search(r"<script>(.*)</script>", get(address)[2], re.DOTALL)
    assert script
    assert f"script-src {source_hash(script[1])};" in get(address)[1]["Content-Security-Policy"]


def test_nothing_of_an_agent_is_markup(served: Served) -> None:
    """Hostile rationales, diffs, logs, claims, names and transcripts: there to be read, in every page and fragment."""
    seen = ""
    told = next(events(served.at("hostile", "events?begun=1&length=0")))
    fragments = [*told["parts"].values(), *(each["fold"] for each in told["proposals"]), told["legend"]]
    fragments += [text for chart in told["charts"].values() for text in chart.values()]
    texts = [get(address)[2] for address in all_addresses(served) if "find?" not in address]
    for text in [*texts, *fragments]:
        markup = Markup(text)
        assert markup.tags.count("script") == text.startswith("<!doctype")
        assert not {"img", "iframe", "object", "embed", "base", "form", "link", "foreignobject"} & set(
            markup.tags
        )
        for name, value in markup.attributes:
            assert not name.startswith("on")
            assert name not in ("style", "src", "srcdoc", "xlink:href", "action", "formaction")
            assert name != "href" or re.fullmatch(r"[./a-z0-9]+", value), value
        assert "\x1b" not in text
        assert "\u202e" not in text
        seen += "".join(markup.words)
    assert seen.count("alert(1)") > 50


def test_search_reads_reasons_diffs_and_transcripts(served: Served) -> None:
    """Every word has to be there, wherever; case is ignored."""

    def found(words: str) -> list[int]:
        numbers: list[int] = json.loads(get(served.at("whole", f"find?words={words}"))[2])
        return numbers

    assert found("HEPTAGONS") == [1]
    assert found("heptagons%20relu") == [1]
    assert len(found("square()")) == 24
    assert found("no-such-word") == []
    assert set(found("seed.literal")) == {5, 13, 21}


def test_it_reads_and_leaves_no_trace(served: Served) -> None:
    """After every page was asked for, the folders hold what they held, byte for byte, and no file more."""
    before = {file: file.stat().st_mtime_ns for file in served.folder.rglob("*") if file.is_file()}
    for address in all_addresses(served):
        get(address)
    assert {file: file.stat().st_mtime_ns for file in served.folder.rglob("*") if file.is_file()} == before


def test_a_new_row_is_told_with_what_it_changes_and_nothing_else(served: Served, tmp_path: Path) -> None:
    """One decision: its own line, the counts, the chart; the lines of other proposals are not sent again."""
    rows = make_rows(9, seed=6, end=False)
    cut = (
        max(place for place, row in enumerate(rows) if row["kind"] == "decided" and row["proposal"] == 8) + 1
    )
    folder = served.folder / "growing"
    write_session(folder, rows[:cut])
    text = (folder / "ledger.jsonl").read_bytes()
    write_session(tmp_path / "all", rows)
    rest = (tmp_path / "all" / "ledger.jsonl").read_bytes()[len(text) :]
    get(served.at("growing"))
    stream = events(served.at("growing", f"events?begun=1&length={cut}&said=0&marks=8"))
    with (folder / "ledger.jsonl").open("ab") as file:
        file.write(rest)
    told = next(stream)
    assert [each["number"] for each in told["proposals"]] == [9]
    assert {"top", "now", "verdicts"} <= set(told["parts"])
    assert "trials" not in told["parts"]
    assert set(told["charts"]) == {"wide", "narrow"}
    stream.close()


def lines_at(folder: Path, lines: list[bytes], count: int) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "ledger.jsonl").write_bytes(b"".join(lines[:count]))


def marks_of(text: str) -> list[str]:
    """Marks of what was not kept, in order, of the wide chart."""
    found = re.search(r'<svg class="chart wide".*?<g data-layer="marks">(.*?)</g>', text, re.DOTALL)
    assert found
    return re.findall(r"<title>(\d+):", found[1])


def test_updates_add_up_to_the_page_that_is_made_anew(tmp_path: Path) -> None:
    """Row by row from the baseline to the certificate: parts, lines and marks are those of a fresh page at the end."""
    write_session(tmp_path / "all", make_rows(30, seed=7))
    lines = (tmp_path / "all" / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    folder = tmp_path / "growing"
    lines_at(folder, lines, 20)
    watched, look = Watched(folder), Look()
    watched.look()
    seen = seen_now(watched, look)
    marks = marks_of(session_body(watched, look))
    parts: dict[str, str] = {}
    folds: dict[int, str] = {}
    added = whole = 0
    for count in range(21, len(lines) + 1):
        lines_at(folder, lines, count)
        watched.look()
        told, seen = update(watched, look, seen)
        parts |= told.get("parts", {})
        folds |= {each["number"]: each["fold"] for each in told.get("proposals", [])}
        chart = told.get("charts", {}).get("wide", {})
        if "new" in chart:
            marks += re.findall(r"<title>(\d+):", chart["new"])
            added += 1
        elif chart:
            marks = marks_of(chart["whole"])
            whole += 1
    fresh = Watched(folder)
    fresh.look()
    page = session_body(fresh, look)
    assert marks == marks_of(page)
    assert all(fold in page for fold in folds.values())
    assert all(html in page for name, html in parts.items() if name != "now")
    assert added > whole, "the chart should rarely be drawn anew"


def test_nothing_is_told_twice(tmp_path: Path) -> None:
    """A page that shows all has nothing to change; one of an earlier reading of the ledger begins anew."""
    watched = Watched(write_session(tmp_path / "s", make_rows(5, end=False)))
    watched.look()
    told, seen = update(watched, Look(), seen_now(watched, Look()))
    assert told == {}
    assert seen.length == watched.length
    assert update(watched, Look(), Shown(begun=0, length=3))[0] == {"reload": True}


def test_what_a_running_trial_tells_is_shown_as_it_comes(tmp_path: Path) -> None:
    """Its curve so far, marked as claimed, in the part about now and nowhere else; gone with the trial."""
    trial = with_a_trial_under_way(tmp_path / "s")
    watched, live = Watched(tmp_path / "s"), LiveTrial(tmp_path / "s", trial)
    watched.look()
    told, seen = {}, seen_now(watched, Look())
    lengths = []
    for step in range(1, 5):
        live.add(step / 10, 5.0 / step)
        assert watched.is_behind()
        watched.look()
        told, seen = update(watched, Look(), seen)
        assert "charts" not in told
        assert "proposals" not in told
        lengths.append(len(told["parts"]["now"]))
    assert lengths == sorted(set(lengths))
    assert "so far: share of the trial (claimed loss, not a score)" in told["parts"]["now"]
    assert "so far" in session_body(watched, Look())
    assert not watched.is_behind()
    live.close()
    watched.look()
    assert "so far" not in update(watched, Look(), seen)[0]["parts"]["now"]


def test_a_row_that_was_taken_back_is_taken_back_here(tmp_path: Path) -> None:
    """A full disk undoes an append: the record is that of the shorter ledger."""
    folder = write_session(tmp_path / "s", make_rows(5, end=False))
    watched = Watched(folder)
    watched.look()
    length = watched.length
    lines = (folder / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    lines_at(folder, lines, length - 3)
    assert not watched.look() or watched.length == length - 3
    watched.look()
    assert (watched.length, watched.begun, watched.problem) == (length - 3, 2, "")


def test_a_damaged_ledger_is_shown_up_to_the_damage(tmp_path: Path) -> None:
    """The attack: a discard is made to read as a keep. The page says so and believes nothing after it."""
    folder = write_session(tmp_path / "s", make_rows(8, end=False))
    file = folder / "ledger.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    place = next(i for i, line in enumerate(lines) if b'"decision":"discard"' in line)
    lines[place] = lines[place].replace(b'"decision":"discard"', b'"decision":"keep"')
    file.write_bytes(b"".join(lines))
    watched = Watched(folder)
    watched.look()
    assert watched.length == place
    page = session_body(watched, Look())
    assert "the ledger is damaged" in page
    assert f"row {place} was changed" in page
    honest = Watched(write_session(tmp_path / "t", make_rows(8, end=False)))
    honest.look()
    assert "damaged" not in session_body(honest, Look())


def test_who_runs_is_seen_without_taking_its_lock(tmp_path: Path) -> None:
    """A session is running while a process holds its lock; asking does not keep a session from starting."""
    folder = write_session(tmp_path / "s", make_rows(2))
    (folder / "lock").touch()
    assert running({"s": folder}) == set()
    code = "import sys; from filelock import FileLock\n"
    code += "lock = FileLock(sys.argv[1]); lock.acquire(); print('held', flush=True); input()"
    command = [sys.executable, "-c", code, str(folder / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert running({"s": folder, "gone": tmp_path / "gone"}) == {"s"}
        process.communicate("\n")
    assert running({"s": folder}) == set()
    with FileLock(folder / "lock", timeout=0):
        pass


def test_links_and_insides_of_sessions_are_no_sessions(tmp_path: Path) -> None:
    """A link out of the folder is not followed; what a session's folder holds is its own."""
    outside = write_session(tmp_path / "outside" / "secret", make_rows(1))
    root = tmp_path / "root"
    write_session(root / "a" / "b" / "one", make_rows(1))
    write_session(root / "a" / "b" / "one" / "transcripts" / "inner", make_rows(1))
    (root / "link").symlink_to(outside.parent)
    assert [folder.name for folder in Places(root).sessions.values()] == ["one"]
    assert [folder.name for folder in Places(outside).sessions.values()] == ["secret"]


def test_wrong_use_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No folder, a port that is taken or none; help has examples."""
    with pytest.raises(UserError, match="not a folder"):
        main([str(tmp_path / "none")])
    with pytest.raises(UserError, match="port 70000"):
        main([str(tmp_path), "--port", "70000"])
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UserError, match="cannot be used"):
            main([str(tmp_path), "--port", str(taken.getsockname()[1])])
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "harness ui sessions/my-sweep" in capsys.readouterr().out


def test_comparison_and_transcript_are_pages(served: Served) -> None:
    """All sessions side by side; what the agent said, with the word that its hash stands in the ledger."""
    assert "Comparison of" in get(f"{served.address}compare/all/")[2]
    page = get(served.at("whole", "transcript/1"))[2]
    assert "heptagons" in page
    assert "unchanged since it was written" in page
    assert "no transcript" in get(served.at("whole", "transcript/2"))[2]


def test_the_script_of_the_page_is_what_the_hash_says(served: Served) -> None:
    """It is in the page itself: no file is fetched, so that none can be exchanged."""
    text = get(served.at("whole"))[2]
    assert text.count("<script") == 1
    assert not re.search(r'(src|href)="[^"]*//', text)
    assert hashlib.sha256(HOSTILE.encode()).hexdigest() not in text
    assert os.path.sep not in re.findall(r'data-fetch="([^"]*)"', text)[0].replace("/", "", 1)
