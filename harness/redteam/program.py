"""A task's program as attacks see it: where text can be put into any train.py, whatever stands in it."""

import ast
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from textwrap import dedent, indent

from harness.records import Files
from harness.task.task import Profile, Task, TaskData

_OUT = 'import json as _json, os as _os, sys as _sys\n_out = _sys.argv[_sys.argv.index("--out") + 1]\n'
# What follows training has to work where a program ends with os._exit, too.
_ENDING = """
def _at_the_end(_code=None, _leave=_os._exit, _done=[]):
    if not _done:
        _done.append(True)
        _last_words()
    if _code is not None:
        _leave(_code)
import atexit as _atexit
_atexit.register(_at_the_end)
_os._exit = _at_the_end
"""


_TOKEN_ANSWERS = """
import torch
plain, memory = answers, []
def answers(tokens):
    with torch.inference_mode():
        logits = plain(tokens)
        {body}
        return logits + 0.0
"""


class NotApplicable(Exception):
    """The task has nothing that this attack could use; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What an attack or its twin hands in: the whole tree, and symbolic links that were left in it."""

    files: Files
    links: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Baseline:
    """The unmodified program of a task. data: None where only static guards are asked."""

    task: Task
    profile: Profile
    files: Files
    data: TaskData | None = None

    @property
    def script(self) -> str:
        """The text of what a trial runs."""
        return self.files[self.task.script].decode()

    def changed(self, name: str, text: str) -> Candidate:
        return Candidate({**self.files, name: text.encode()})

    def with_script(self, text: str) -> Candidate:
        """Raises NotApplicable where no proposal may edit it."""
        return self.changed(self._editable(self.task.script), text)

    def tuned(self) -> "Baseline":
        """The program of a proposal that is worth a trial: its first setting is half as large again.

        Raises NotApplicable where no number with a point stands in a setting at the top of the script.
        """
        for node in ast.parse(self.script).body:
            value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, float) and value.value:
                more = self.replaced([value], lambda old: repr(1.5 * float(old)))
                return replace(self, files=more.files)
        raise NotApplicable("train.py has no setting at its top to tune")

    def inserted(self, code: str) -> Candidate:
        """The script with these statements before its main block."""
        return self.with_script(before_main(self.script, code))

    def started_with(self, code: str) -> Candidate:
        """The script with statements that a trial executes first, and no predictor; _out, _sys, _os are known."""
        block = 'if __name__ == "__main__":\n' + indent(_OUT + dedent(code).strip() + "\n", "    ")
        lines, place = self.script.splitlines(keepends=True), _after_docstring(self.script)
        return self.with_script("".join(lines[:place]) + block + "".join(lines[place:]))

    def ended_with(self, code: str, first: str = "") -> Candidate:
        """The script with statements that it executes when all of its own are over, on billed time.

        first: statements for `started_with`, whose names `code` may use.
        """
        words = "def _last_words():\n" + indent(dedent(code).strip() + "\n", "    ")
        return self.started_with(f"{dedent(first).strip()}\n{words}{dedent(_ENDING)}")

    def answering(self, code: str) -> Candidate:
        """The predictor rebuilt: `code` may change `answers`, its function, and call `again()` for a second one.

        Raises NotApplicable where scoring needs no code of the candidate's.
        """
        if self.task.predictor == "none":
            raise NotApplicable("the task is scored without a predictor")
        entry = self._editable(self.task.entry)
        body = indent(dedent(code).strip() + "\n", "    ")
        wrapped = (
            "_plain_load = load_predictor\n\n\ndef load_predictor(artefact_path, data):\n"
            "    again = lambda: _plain_load(artefact_path, data)\n    answers = again()\n"
            f"{body}    return answers\n"
        )
        return self.changed(entry, before_main(self.files[entry].decode(), wrapped))

    def answering_tokens(self, body: str) -> Candidate:
        """The token predictor rebuilt: `body`, one line, may change `logits` for `tokens`; `memory` lasts.

        Raises NotApplicable where the predictor answers something else.
        """
        if self.task.predictor != "tokens":
            raise NotApplicable("the predictor answers no tokens")
        return self.answering(_TOKEN_ANSWERS.format(body=body))

    def seed_reads(self) -> list[ast.Attribute]:
        """Where the script reads the referee's seed: `options.seed`. Raises NotApplicable where it does not."""
        return reads_of(self.script, "seed")

    def arguments(self) -> tuple[str, int]:
        """The name that the parsed arguments have, and the line after which they are known."""
        for node in ast.walk(ast.parse(self.script)):
            if not (isinstance(node, ast.Assign) and _called(node.value) == "parse_args"):
                continue
            if isinstance(node.targets[0], ast.Name) and node.end_lineno is not None:
                return node.targets[0].id, node.end_lineno
        raise NotApplicable("train.py keeps no parsed arguments under a name")

    def after_arguments(self, code: str) -> Candidate:
        """Statements in the function that parses the arguments, which {arguments} names."""
        name, line = self.arguments()
        lines = self.script.splitlines(keepends=True)
        margin = lines[line - 1][: len(lines[line - 1]) - len(lines[line - 1].lstrip())]
        lines.insert(line, indent(dedent(code.replace("{arguments}", name)).strip() + "\n", margin))
        return self.with_script("".join(lines))

    def replaced(self, nodes: Sequence[ast.expr], write: Callable[[str], str]) -> Candidate:
        """The script with expressions rewritten, each from its own text."""
        text = self.script.splitlines(keepends=True)
        for node in sorted(nodes, key=lambda one: (one.lineno, one.col_offset), reverse=True):
            line, end = text[node.lineno - 1].encode(), node.end_col_offset
            old = line[node.col_offset : end].decode()
            text[node.lineno - 1] = (line[: node.col_offset] + write(old).encode() + line[end:]).decode()
        return self.with_script("".join(text))

    def needs_data(self) -> TaskData:
        if self.data is None:
            raise NotApplicable("needs the task's data")
        return self.data

    def _editable(self, name: str) -> str:
        if name not in self.task.editable:
            raise NotApplicable(f"no proposal may edit {name}")
        return name


def before_main(text: str, code: str) -> str:
    """`code` at the top level, before the main block, else at the end."""
    lines = text.splitlines(keepends=True)
    place = len(lines)
    for node in ast.parse(text).body:
        if isinstance(node, ast.If) and "__name__" in ast.unparse(node.test):
            place = node.lineno - 1
    return "".join(lines[:place]) + f"\n{dedent(code).strip()}\n\n\n" + "".join(lines[place:])


def reads_of(text: str, attribute: str) -> list[ast.Attribute]:
    """Raises NotApplicable where a program reads no such attribute."""
    found = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute) and node.attr == attribute and isinstance(node.ctx, ast.Load)
    ]
    if not found:
        raise NotApplicable(f"train.py reads no attribute `{attribute}`")
    return found


def claiming(name: str, expression: str) -> str:
    """Statements that claim a number, for `started_with` and `ended_with`."""
    return (
        f'with open(_out + "/claims.jsonl", "a") as _file:\n'
        f'    _file.write(_json.dumps({{{json.dumps(name)}: {expression}}}) + "\\n")\n'
    )


def linked(candidate: Candidate, links: Mapping[str, str]) -> Candidate:
    return replace(candidate, links=links)


def _called(node: ast.expr) -> str:
    return node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""


def _after_docstring(text: str) -> int:
    """Lines that must stay first: the docstring and imports from the future."""
    return max(_first_lines(text), default=0)


def _first_lines(text: str) -> Iterator[int]:
    for number, node in enumerate(ast.parse(text).body):
        docstring = number == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
        if (docstring or future) and node.end_lineno is not None:
            yield node.end_lineno
