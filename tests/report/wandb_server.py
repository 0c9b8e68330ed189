"""A W&B server on loopback that keeps what arrives: enough of the protocol for sessions, resumption and sync."""

import gzip
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USER = {
    "id": "u", "entity": "e", "username": "u", "flags": "{}", "email": "u@localhost", "admin": False, "name": "n",
    "apiKeys": {"edges": []}, "teams": {"edges": []}, "deletedAt": None, "defaultFramework": "",
}  # fmt: skip
PROJECT = {"id": "pid", "name": "harness", "entityName": "e", "entity": {"id": "eid", "name": "e"}}


class WandbServer:
    """runs: name -> {"history": {line number: entry}, "sent": [entries as they came], "config", "summary", ...}."""

    def __init__(self) -> None:
        self.runs: dict[str, dict[str, Any]] = {}
        self.views: list[dict[str, Any]] = []
        self.artifacts: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.unknown: list[str] = []
        self.operations: list[str] = []
        self.is_down = False
        self.lock = threading.Lock()
        server = self

        class Handler(_Handler):
            state = server

        self._http = _Http(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def run(self, name: str) -> dict[str, Any]:
        fresh = {"history": {}, "sent": [], "complete": False, "config": {}, "summary": {}, "group": None}
        return self.runs.setdefault(name, fresh)

    def history(self, name: str) -> list[dict[str, Any]]:
        """Entries in the order of their lines; there must be no gap."""
        lines = self.runs[name]["history"]
        assert sorted(lines) == list(range(len(lines)))
        return [lines[number] for number in sorted(lines)]

    def stream(self, path: str, body: dict[str, Any]) -> None:
        run = self.run(path.split("/")[-2])
        for file, chunk in (body.get("files") or {}).items():
            lines = (
                [json.loads(line) for line in chunk["content"]]
                if file.endswith(("history.jsonl", "summary.json"))
                else []
            )
            if file.endswith("history.jsonl"):
                run["sent"] += lines
                run["history"].update(enumerate(lines, chunk["offset"]))
            elif file.endswith("summary.json") and lines:
                run["summary"] = lines[-1]
        run["complete"] = bool(body.get("complete")) or run["complete"]

    def answer(self, operation: str, query: str, values: dict[str, Any]) -> Any:
        """What GraphQL gives, None for an operation that it does not know."""
        known = getattr(self, f"_{operation}", None)
        if known is not None:
            return known(values)
        if operation == "Viewer" or "viewer" in query[:200]:
            return {"viewer": USER}
        if "nternalId" in query:
            return {"project": {"internalId": "pint"}}
        return None

    def _ServerFeaturesQuery(self, _values: dict[str, Any]) -> Any:
        return {"serverInfo": {"features": []}}

    def _UpsertBucket(self, values: dict[str, Any]) -> Any:
        name = values.get("name") or values.get("id")
        inserted = name not in self.runs
        run = self.run(name)
        if values.get("config"):
            run["config"] = json.loads(values["config"])
        run["group"] = values.get("groupName") or run["group"]
        bucket = {
            "id": f"id-{name}", "name": name, "displayName": values.get("displayName") or name, "description": None,
            "config": json.dumps(run["config"]), "sweepName": None, "historyLineCount": len(run["history"]),
            "project": PROJECT,
        }  # fmt: skip
        return {"upsertBucket": {"bucket": bucket, "inserted": inserted}}

    def _GetProjects(self, _values: dict[str, Any]) -> Any:
        page = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
        node = {"__typename": "Project", "id": "pid", "name": "harness", "entityName": "e", "isBenchmark": False,
                "createdAt": "2026-01-01T00:00:00Z", "user": None}  # fmt: skip
        return {"models": {"pageInfo": page, "edges": [{"node": node}]}}

    def _upsertView(self, values: dict[str, Any]) -> Any:
        view = {"id": "v1", "name": "x", "type": "runs", "project": PROJECT, "user": {"name": "n", "username": "u"},
                "createdAt": "2026-01-01T00:00:00", "updatedAt": "2026-01-01T00:00:00"}  # fmt: skip
        view |= {key: values.get(key) for key in ("displayName", "description", "spec")}
        self.views.append(view)
        return {"upsertView": {"view": {**view, "user": {**view["user"], "userInfo": {}}}, "inserted": True}}

    def _RunResumeStatus(self, values: dict[str, Any]) -> Any:
        name = values["name"]
        if name not in self.runs:
            return {"model": None}
        run = self.runs[name]
        tail = [json.dumps(entry) for entry in self.history(name)[-1:]]
        bucket = {
            "id": f"id-{name}", "name": name, "displayName": name, "summaryMetrics": json.dumps(run["summary"]),
            "config": json.dumps(run["config"]), "historyLineCount": len(run["history"]), "eventsLineCount": 0,
            "logLineCount": 0, "historyTail": json.dumps(tail), "eventsTail": "[]", "tags": [],
            "wandbConfig": json.dumps({"t": 1}),
        }  # fmt: skip
        return {
            "model": {"id": "pid", "name": "harness", "bucket": bucket, "entity": {"id": "eid", "name": "e"}}
        }

    def _ArtifactType(self, _values: dict[str, Any]) -> Any:
        return {"project": {"artifact": None}}

    def _CreateArtifact(self, values: dict[str, Any]) -> Any:
        self.artifacts.append({**values["input"], "files": [], "committed": False})
        made = {
            "id": f"artifact-{len(self.artifacts)}",
            "state": "PENDING",
            "artifactSequence": {"latestArtifact": None},
        }
        return {"createArtifact": {"artifact": made}}

    def _artifact(self, identity: str) -> dict[str, Any]:
        return self.artifacts[int(identity.split("-")[-1]) - 1]

    def _CreateArtifactManifest(self, values: dict[str, Any]) -> Any:
        return self._manifest(f"manifest-{values['artifactID']}", "createArtifactManifest")

    def _UpdateArtifactManifest(self, values: dict[str, Any]) -> Any:
        return self._manifest(values["artifactManifestID"], "updateArtifactManifest")

    def _manifest(self, identity: str, answer: str) -> Any:
        file = {"id": f"file-{identity}", "uploadUrl": f"{self.url}/storage/{identity}", "uploadHeaders": []}
        return {answer: {"artifactManifest": {"id": identity, "file": file}}}

    def _CreateArtifactFiles(self, values: dict[str, Any]) -> Any:
        edges = []
        for spec in values["input"]["artifactFiles"] if "input" in values else values["artifactFiles"]:
            self._artifact(spec["artifactID"])["files"].append(spec["name"])
            where = f"{spec['artifactID']}/{spec['name']}"
            node = {"id": where, "name": spec["name"], "displayName": spec["name"],
                    "uploadUrl": f"{self.url}/storage/{where}", "uploadHeaders": [],
                    "uploadMultipartUrls": None, "storagePath": where,
                    "artifact": {"id": spec["artifactID"]}}  # fmt: skip
            edges.append({"node": node})
        return {"createArtifactFiles": {"files": {"edges": edges}}}

    def _CommitArtifact(self, values: dict[str, Any]) -> Any:
        self._artifact(values["artifactID"])["committed"] = True
        return {"commitArtifact": {"artifact": {"id": values["artifactID"], "digest": "x"}}}

    def _CreateRunFiles(self, values: dict[str, Any]) -> Any:
        files = [{"name": name, "uploadUrl": f"{self.url}/storage/{name}"} for name in values["files"]]
        return {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": files}}


class _Http(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """Clients that are killed reset their connections: not worth a traceback."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: WandbServer

    def log_message(self, *_: Any) -> None:
        """Not on the test's output."""

    def _body(self) -> bytes:
        content = self.rfile.read(int(self.headers.get("content-length") or 0))
        return gzip.decompress(content) if self.headers.get("content-encoding") == "gzip" else content

    def _send(self, answer: Any, code: int = 200) -> None:
        content = json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        content = self._body()
        if self.state.is_down:
            return self._send({"error": "down"}, 503)
        if "file_stream" in self.path:
            with self.state.lock:
                self.state.stream(self.path, json.loads(content))
            return self._send({"exitcode": None, "limits": {}})
        if "otel" in self.path:
            return self._send({})
        if "graphql" not in self.path:
            self.state.unknown.append(f"POST {self.path} {content[:80]!r}")
            return self._send({}, 404)
        asked = json.loads(content)
        query = asked["query"]
        operation = asked.get("operationName") or re.search(r"(?:query|mutation)\s+(\w+)", query)[1]
        with self.state.lock:
            self.state.operations.append(operation)
            answer = self.state.answer(operation, query, asked.get("variables") or {})
            if answer is None:
                self.state.unknown.append(f"{operation} {json.dumps(asked.get('variables'))[:2000]}\n{query}")
                return self._send({"errors": [{"message": f"unsupported {operation}"}]})
        return self._send({"data": answer})

    def do_PUT(self) -> None:
        content = self._body()
        self.state.files[self.path.removeprefix("/storage/")] = content
        self._send({})

    def do_GET(self) -> None:
        self._send({}, 404)
