"""The live page's server: addresses, and the events by which pages follow ledgers. It reads and writes nothing."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from harness.compare.comparison import compare
from harness.compare.page import comparison_body
from harness.errors import HarnessError
from harness.ledger.record_parts import ProposalRecord
from harness.report.analysis import t_quantile
from harness.report.charts.progress import HOURS, PROPOSALS
from harness.report.escape import as_html
from harness.report.html.page import name_of
from harness.report.html.proposals import body
from harness.report.html.transcripts import transcript_body, transcript_of, transcript_title
from harness.ui.guarded import Guarded
from harness.ui.index_page import SessionIndex, index_body
from harness.ui.parts import PARTS
from harness.ui.places import Places
from harness.ui.search import matching
from harness.ui.session_page import Look, Shown, seen_now, session_body, tools, update
from harness.ui.shell import live_page
from harness.ui.watched import Watched

LOOPBACK = "127.0.0.1"
_LOOK_SECONDS = 0.25
_INDEX_SECONDS = 2.0
_REST, _INDEX_REST = 5, 20  # an update that cost a second is followed by so many seconds of rest
_BEAT_SECONDS = 15.0
_SEEN = ("begun", "length", "said", "marks")  # the first fields of Shown, in their order


@dataclass(frozen=True, slots=True)
class LivePages:
    """The pages of one folder."""

    places: Places
    index: SessionIndex

    def application(self, token: str) -> Guarded:
        """All of it, behind the token."""
        routes = [
            Route("/", self._index),
            Route("/events", self._index_events),
            Route("/compare/{key}/", self._compare),
            Route("/s/{key}/", self._session),
            Route("/s/{key}/events", self._session_events),
            Route("/s/{key}/find", self._find),
            Route("/s/{key}/part/{name}", self._part),
            Route("/s/{key}/proposal/{number:int}", self._proposal),
            Route("/s/{key}/transcript/{number:int}", self._transcript),
        ]
        return Guarded(Starlette(routes=routes), token)

    def _index(self, _: Request) -> Response:
        self.index.refresh()
        name = self.places.folder.name or str(self.places.folder)
        return HTMLResponse(
            live_page(f"Sessions: {name}", index_body(self.index, name), home="./", events="events")
        )

    async def _index_events(self, _: Request) -> Response:
        return _events(self._index_updates())

    async def _index_updates(self) -> AsyncIterator[str]:
        machine = sweeps = ""
        while True:
            began = time.monotonic()
            cards = await run_in_threadpool(self.index.look)
            told: dict[str, Any] = {"cards": cards} if cards else {}
            now = await run_in_threadpool(self.index.machine), await run_in_threadpool(self.index.sweeps)
            parts = {"machine": now[0]} if now[0] != machine else {}
            parts |= {"sweeps": now[1]} if now[1] != sweeps else {}
            machine, sweeps = now
            yield _event({**told, "parts": parts} if parts else told)
            took = time.monotonic() - began
            await asyncio.sleep(0.05 if cards else max(_INDEX_SECONDS, _INDEX_REST * took))

    def _watched(self, request: Request) -> Watched | None:
        key = request.path_params["key"]
        if key not in self.places.sessions:
            self.places.find()
        return self.places.watched(key)

    def _session(self, request: Request) -> Response:
        watched = self._watched(request)
        if watched is None:
            return _nothing()
        with watched.lock:
            watched.look()
            look, chosen = self._look(request)
            others = self._others(request.path_params["key"], watched)
            seen = seen_now(watched, look)
            query = "&".join(filter(None, (_query(seen), request.url.query)))
            return HTMLResponse(
                live_page(
                    name_of(watched.record),
                    session_body(watched, look),
                    home="../../",
                    tools=tools(look, others, chosen),
                    events=f"events?{query}",
                )
            )

    def _look(self, request: Request) -> tuple[Look, list[str]]:
        chosen = request.query_params.getlist("control")[:4]
        controls = [found for key in chosen if (found := self.places.watched(key))]
        for control in controls:
            control.look()
        axis = HOURS if request.query_params.get("axis") == HOURS else PROPOSALS
        return Look(axis, tuple(control.record for control in controls if control.length)), chosen

    def _others(self, key: str, watched: Watched) -> list[tuple[str, str]]:
        """Sessions that lie beside it, in the same sweep or folder."""
        beside = watched.folder.parent
        return [
            (other, self.places.relative(folder))
            for other, folder in self.places.sessions.items()
            if other != key and folder.is_relative_to(beside)
        ][:200]

    async def _session_events(self, request: Request) -> Response:
        watched = await run_in_threadpool(self._watched, request)
        if watched is None:
            return _nothing()
        look, _ = await run_in_threadpool(self._look, request)
        return _events(_session_updates(watched, look, _seen(request)))

    def _find(self, request: Request) -> Response:
        watched = self._watched(request)
        words = request.query_params.get("words", "")[:400]
        return _nothing() if watched is None else JSONResponse(matching(watched, words))

    def _part(self, request: Request) -> Response:
        watched, part = self._watched(request), PARTS.get(request.path_params["name"])
        if watched is None or part is None:
            return _nothing()
        with watched.lock:
            watched.look()
            return HTMLResponse(part.draw(watched) or "<p>Nothing.</p>")

    def _of_proposal(self, request: Request, draw: Callable[[Watched, ProposalRecord], str]) -> Response:
        watched = self._watched(request)
        if watched is None:
            return _nothing()
        with watched.lock:
            watched.look()
            proposal = watched.record.proposals.get(request.path_params["number"])
            return _nothing() if proposal is None else HTMLResponse(draw(watched, proposal))

    def _proposal(self, request: Request) -> Response:
        return self._of_proposal(request, _proposal_body)

    def _transcript(self, request: Request) -> Response:
        return self._of_proposal(request, _transcript_page)

    def _compare(self, request: Request) -> Response:
        """A sweep's arms; `all`: everything below the folder."""
        folders = {"all": self.places.folder, **self.places.sweeps}
        folder = folders.get(request.path_params["key"])
        if folder is None:
            return _nothing()
        try:
            shown = comparison_body(compare(folder))
        except HarnessError as error:
            shown = f'<h1>Comparison</h1><div class="banner">{as_html(error, 400)}</div>'
        return HTMLResponse(live_page(f"Comparison: {folder.name}", shown, home="../../"))


def _proposal_body(watched: Watched, proposal: ProposalRecord) -> str:
    """Its transcript is a page of the server here."""
    link = ""
    if transcript_of(proposal):
        link = f'<p><a href="transcript/{proposal.number}">what the agent said and did</a></p>'
    return link + body(watched.record, proposal, transcript=False)


def _transcript_page(watched: Watched, proposal: ProposalRecord) -> str:
    shown = "<p>There is no transcript of this proposal.</p>"
    if transcript_of(proposal):
        try:
            shown = transcript_body(proposal, watched.folder)
        except OSError:
            shown = "<p>The transcript that the ledger names is not there.</p>"
    return live_page(transcript_title(proposal), shown, home="../../../")


async def _session_updates(watched: Watched, look: Look, seen: Shown) -> AsyncIterator[str]:
    """One event for whatever was written since the last; the more an update costs, the rarer they are."""
    rest, beat = 0.0, time.monotonic()
    parts: dict[str, str] = {}  # as they were told last: what looks the same is not told again
    while True:
        told: dict[str, Any] = {}
        if watched.is_behind() or not _shows_all(seen, watched):
            told, seen, cost = await run_in_threadpool(_update, watched, look, seen)
            rest = _REST * cost
        if "parts" in told:
            told["parts"] = {name: html for name, html in told["parts"].items() if parts.get(name) != html}
            parts |= told["parts"]
        if told:
            yield f"id: {_query(seen)}\n{_event(told)}"
        elif time.monotonic() - beat > _BEAT_SECONDS:
            beat = time.monotonic()
            yield ": still here\n\n"
        await asyncio.sleep(max(_LOOK_SECONDS, min(rest, 2.0)) if told else _LOOK_SECONDS)


def _update(watched: Watched, look: Look, seen: Shown) -> tuple[dict[str, Any], Shown, float]:
    """What changed, what is shown then, and the CPU seconds that it cost."""
    began = time.thread_time()
    with watched.lock:
        watched.look()
        told, seen = ({}, seen) if _shows_all(seen, watched) else update(watched, look, seen)
    return told, seen, time.thread_time() - began


def _shows_all(seen: Shown, watched: Watched) -> bool:
    return (seen.begun, seen.length, seen.said) == (watched.begun, watched.length, watched.said)


def _query(seen: Shown) -> str:
    return f"begun={seen.begun}&length={seen.length}&said={seen.said}&marks={seen.marks}"


def _seen(request: Request) -> Shown:
    """What the page was made of, or the last event that reached it. Charts are sent whole once."""
    query = request.headers.get("last-event-id") or request.url.query
    numbers: dict[str, int] = {}
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name in _SEEN and value.isdecimal() and len(value) < 12:
            numbers[name] = int(value)
    begun, length, said, marks = (numbers.get(name, 0) for name in _SEEN)
    return Shown(begun, length, said, marks)


def _event(told: dict[str, Any]) -> str:
    return f"data: {json.dumps(told)}\n\n"


def _events(source: AsyncIterator[str]) -> Response:
    return StreamingResponse(source, media_type="text/event-stream")


def _nothing() -> Response:
    return PlainTextResponse("There is nothing of this name.", status_code=404)


def listening(port: int) -> socket.socket:
    """A socket on the loopback; port 0 takes any. Raises OSError when another process has the port."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((LOOPBACK, port))
        made.listen(128)  # whoever is faster than the server waits
    except OSError:
        made.close()
        raise
    return made


def serve(folder: Path, token: str, source: socket.socket) -> None:
    """Serves until it is interrupted."""
    threading.Thread(target=t_quantile, args=(4, 0.975), daemon=True).start()  # loads scipy meanwhile
    places = Places(folder)
    application = LivePages(places, SessionIndex(places)).application(token)
    config = uvicorn.Config(
        application,
        access_log=False,  # it would hold the token
        log_level="warning",
        server_header=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=1,
    )
    uvicorn.Server(config).run(sockets=[source])
