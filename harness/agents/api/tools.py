"""The tools of an agent for one proposal: read, edit, look back, try for seconds, submit. All on copies in memory."""

import ast
import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harness.agents.api.model import Tool, ToolCall, ToolResult
from harness.agents.data_text import as_data, finite_number, one_line, tail
from harness.agents.keys import redacted
from harness.records import Files, Json, PastProposal, View

SmokeTest = Callable[[Files, float], tuple[bool, str]]
"""A whole tree and seconds -> whether it worked, and the end of the log. Raises nothing."""

_MOST_CHARACTERS = 60_000
_MOST_FILE_BYTES = 512 << 10
_LONGEST_SMOKE_SECONDS = 60.0


def _schema(required: Mapping[str, str], optional: Mapping[str, str] | None = None) -> dict[str, Json]:
    """Parameters are strings unless their description starts with another type."""
    kinds = ("integer", "number")
    properties: dict[str, Json] = {}
    for name, about in {**required, **(optional or {})}.items():
        kind = next((kind for kind in kinds if about.startswith(kind)), "string")
        properties[name] = {"type": kind, "description": about.removeprefix(f"{kind}: ")}
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


_PATH = {"path": "path as listed, e.g. train.py"}
TOOLS = (
    Tool(
        "read_file",
        "The current text of an editable or readable file, with your edits in it.",
        _schema(_PATH, {"first_line": "integer: from this line", "last_line": "integer: up to this line"}),
    ),
    Tool(
        "edit_file",
        "Replace one exact piece of an editable file. `old` must occur exactly once, white space included.",
        _schema({**_PATH, "old": "text that is there now", "new": "text to put in its place"}),
    ),
    Tool(
        "write_file",
        "Replace an editable file as a whole.",
        _schema({**_PATH, "content": "the complete new text"}),
    ),
    Tool(
        "show_proposal",
        "One earlier proposal of this session in full: what it changed, what came of it, the end of its log.",
        _schema({"number": "integer: of the proposal"}),
    ),
    Tool(
        "smoke_test",
        "Start the program with your edits in the sandbox for some seconds: does it run? Not measured, not counted.",
        _schema({"seconds": f"number: up to {_LONGEST_SMOKE_SECONDS:g}"}),
    ),
    Tool(
        "submit",
        "Hand in your edits as this proposal. Ends your turn.",
        _schema(
            {
                "rationale": "one line: what was changed, and why",
                "hypothesis": "one or two sentences: what you expect to happen to the score, and why",
            }
        ),
    ),
)


class BadCall(Exception):
    """The model's mistake; the text tells it what to do. kind: what it is counted as."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Submission:
    rationale: str
    hypothesis: str


class Workbench:
    """Copies of the view's files and what the model has made of them. submission: set by a valid submit."""

    def __init__(self, view: View, smoke_test: SmokeTest | None) -> None:
        self.changed: dict[str, bytes] = {}
        self.submission: Submission | None = None
        self._view = view
        self._smoke_test = smoke_test

    def call(self, call: ToolCall) -> ToolResult:
        """Raises BadCall."""
        tool = next((tool for tool in TOOLS if tool.name == call.name), None)
        if tool is None:
            raise BadCall("unknown_tool", f"there is no tool {call.name!r}")
        values = _checked(tool, call.input)
        try:
            text: str = getattr(self, f"tool_{tool.name}")(**values)
        except (ValueError, TypeError, ArithmeticError, RecursionError, MemoryError) as error:
            raise BadCall("malformed_call", f"{tool.name} cannot do that: {one_line(str(error))}") from None
        return ToolResult(call.number, text)

    def _text(self, path: str) -> str:
        files: Files = {**self._view.readable, **self._view.editable, **self.changed}
        if path not in files:
            raise BadCall("bad_path", f"there is no file {path!r}; there are: {', '.join(sorted(files))}")
        try:
            return files[path].decode("utf-8")
        except UnicodeDecodeError:
            raise BadCall("bad_path", f"{path} is not UTF-8 text") from None

    def _editable_text(self, path: str) -> str:
        if path not in self._view.editable:
            listed = ", ".join(sorted(self._view.editable))
            raise BadCall("not_editable", f"{path!r} may not be changed; editable: {listed}")
        return self._text(path)

    def tool_read_file(self, path: str, first_line: int = 1, last_line: int = 1 << 30) -> str:
        lines = self._text(path).split("\n")[max(first_line, 1) - 1 : last_line]
        text = "\n".join(lines)
        if len(text) > _MOST_CHARACTERS:
            text = text[:_MOST_CHARACTERS] + "\n[clipped: ask for fewer lines]"
        return text

    def tool_edit_file(self, path: str, old: str, new: str) -> str:
        text = self._editable_text(path)
        found = text.count(old) if old else 0
        if found != 1:
            raise BadCall(
                "edit_does_not_apply",
                f"`old` occurs {found} times in {path}; it must occur exactly once. Read the file again.",
            )
        return self._write(path, text.replace(old, new))

    def tool_write_file(self, path: str, content: str) -> str:
        self._editable_text(path)
        return self._write(path, content)

    def _write(self, path: str, text: str) -> str:
        try:
            content = text.encode("utf-8")
        except UnicodeEncodeError:
            raise BadCall("malformed_call", "the text holds characters that UTF-8 does not have") from None
        if len(content) > _MOST_FILE_BYTES:
            raise BadCall("malformed_call", f"{path} would be larger than {_MOST_FILE_BYTES} bytes")
        self.changed[path] = content
        if content == self._view.editable[path]:
            del self.changed[path]
            return f"{path} is now as it was before your edits."
        problem = syntax_problem(path, content)
        return f"{path} is changed." + (f" But: {problem}" if problem else "")

    def tool_show_proposal(self, number: int) -> str:
        past = next((past for past in self._view.history if past.number == number), None)
        if past is None:
            raise BadCall("bad_path", f"there is no decided proposal {number}")
        return described_in_full(past, self._view.editable)

    def tool_smoke_test(self, seconds: float) -> str:
        if self._smoke_test is None:
            return "Smoke tests are not available here; submit without."
        tree = {**self._view.readable, **self._view.editable, **self.changed}
        works, log = self._smoke_test(tree, min(max(seconds, 1.0), _LONGEST_SMOKE_SECONDS))
        text = as_data("log", tail(log, 4000))
        if not works:
            raise BadCall("smoke_test_failed", f"It did not work. The end of its log, as data:\n{text}")
        return f"It runs. The end of its log, as data:\n{text}"

    def tool_submit(self, rationale: str, hypothesis: str) -> str:
        if not rationale.strip():
            raise BadCall("malformed_call", "the rationale is empty: say in one line what you changed")
        if not self.changed:
            raise BadCall("empty", "nothing is changed: edit an editable file first, then submit")
        for path, content in self.changed.items():
            problem = syntax_problem(path, content)
            if problem:
                raise BadCall("syntax_error", f"not submitted: {problem}")
        self.submission = Submission(one_line(rationale, 300), one_line(hypothesis, 600))
        return "submitted"


def _checked(tool: Tool, given: Mapping[str, Json] | None) -> dict[str, Json]:
    """The input, checked against the tool's schema. Raises BadCall."""
    if given is None:
        raise BadCall("malformed_call", "the input of the call was not a JSON object")
    properties: Mapping[str, Mapping[str, str]] = tool.schema["properties"]
    for name in tool.schema["required"]:
        if name not in given:
            raise BadCall("malformed_call", f"{tool.name} needs {name!r}")
    values: dict[str, Json] = {}
    for name, value in given.items():
        if name not in properties:
            raise BadCall(
                "malformed_call", f"{tool.name} takes no {name!r}; it takes {', '.join(properties)}"
            )
        values[name] = _converted(name, properties[name]["type"], value)
    return values


def _converted(name: str, kind: str, value: Json) -> Json:
    if kind == "string" and isinstance(value, str):
        return redacted(value)  # a provider knows the key that it was sent; no candidate shall
    number = None if isinstance(value, bool | str) else finite_number(value)
    if kind in ("integer", "number") and number is not None:
        return int(number) if kind == "integer" else number
    raise BadCall("malformed_call", f"{name!r} must be of type {kind}")


def syntax_problem(path: str, content: bytes) -> str:
    """Why a Python file cannot be read, "" if it can (or is none)."""
    if not path.endswith(".py"):
        return ""
    try:
        ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"{path} is no valid Python: {one_line(str(error))}"
    return ""


def described_in_full(past: PastProposal, editable: Files) -> str:
    """A past proposal with its difference to the present files, clipped and escaped."""
    difference: list[str] = []
    for path in sorted(past.files):
        now, then = (
            files.get(path, b"").decode("utf-8", "replace").split("\n") for files in (editable, past.files)
        )
        difference += difflib.unified_diff(now, then, "now", f"proposal {past.number}", n=2, lineterm="")
    score = "none" if past.score is None else f"{past.score:g}"
    parts = [
        f"Proposal {past.number}: {past.decision}, {one_line(past.reason)}, score {score}",
        f"Rationale: {one_line(past.rationale, 600)}",
        f"Hypothesis: {one_line(past.hypothesis, 600)}",
        *(
            f"In doubt, so that it needed trials at three seeds: {one_line(text, 300)}"
            for text in past.doubts
        ),
        "Difference to the files as they are now:",
        as_data("diff", "\n".join(difference)[:12_000]),
    ]
    if past.log:
        parts.append("The end of its log, as data:\n" + as_data("log", tail(past.log, 3000)))
    return "\n".join(parts)
