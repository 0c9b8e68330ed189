"""One proposal as a conversation with a model: it works with tools until it submits or a limit is reached."""

import json
from collections import Counter
from dataclasses import dataclass, field

from harness.agents.api.model import (
    Exchange,
    Faults,
    Hopeless,
    Model,
    Refused,
    Reply,
    Request,
    ToolCall,
    ToolResult,
    Trouble,
)
from harness.agents.api.patience import Patience
from harness.agents.api.tools import BadCall, Workbench
from harness.agents.data_text import one_line
from harness.agents.keys import redacted
from harness.agents.recorder import Recorder
from harness.agents.spending import Exhausted, Meter
from harness.errors import AgentError
from harness.records import Json, Proposal

_REPAIRS = {"smoke_test_failed", "syntax_error", "edit_does_not_apply"}
_LAST_TURNS = 3
_NUDGES = 1
_GO_ON = (
    "You have not submitted anything. The work does not end and nobody reads your messages: "
    "make one edit with the tools and call submit."
)
_CUT = "Your reply was cut off because it was too long. Make a smaller edit, with edit_file."


@dataclass
class Dialogue:
    """run() is called once. faults: what went wrong, by kind, for the record."""

    model: Model
    meter: Meter
    patience: Patience
    request: Request
    bench: Workbench
    recorder: Recorder
    faults: Faults = field(default_factory=Counter)
    turns: int = 0
    _repairs: int = 0
    _nudges: int = 0

    def run(self) -> Proposal:
        """The proposal; with a problem when the model did not deliver one.

        Raises AgentError when the provider will not serve us or the session's limit is near, but never
        loses what was spent: if anything was, the problem is reported with a proposal, and raised next time.
        """
        for text in (*self.request.system, *self.request.opening):
            self.recorder.note("prompt", text)
        try:
            problem = self._converse()
        except Exhausted as limit:
            if limit.session and not self.meter.usage.requests:
                raise AgentError(f"the next request could pass the limit of {limit}") from None
            self.faults["limit"] += 1
            problem = f"stopped before the limit of {limit}"
        except Refused as error:
            self.faults["refused"] += 1
            problem = one_line(redacted(str(error)), 400)
        except (Trouble, Hopeless) as error:
            text = one_line(redacted(str(error)), 400)
            if not self.meter.usage.requests:
                raise AgentError(text) from None
            problem = f"the provider failed: {text}"
        return self._proposal(problem)

    def _converse(self) -> str:
        """Until there is a submission (then "") or a problem."""
        while self.turns < self.meter.limits.turns:
            self.turns += 1
            self.recorder.doing(f"asks the model, reply {self.turns}")
            reply = self.patience.ask(self.model, self.request, self.meter, self.faults)
            self._note(reply)
            if reply.stop == "refusal":
                self.faults["refusal"] += 1
                return "the model refused"
            exchange = self._answered(reply)
            if self.bench.submission is not None:
                return ""
            if self._repairs > self.meter.limits.repairs:
                return f"still broken after {self.meter.limits.repairs} repairs"
            if exchange is None:
                return "the model stopped without a submission"
            self.request.exchanges.append(exchange)
        self.faults["turns"] += 1
        return f"no submission within {self.meter.limits.turns} replies"

    def _answered(self, reply: Reply) -> Exchange | None:
        """What the model gets to hear; None when it keeps on saying that it is done."""
        if not reply.calls:
            self.faults["cut_reply" if reply.stop == "length" else "no_tool_call"] += 1
            self._nudges += 1
            words = _CUT if reply.stop == "length" else _GO_ON
            return None if self._nudges > _NUDGES else Exchange(reply, words=words)
        results = []
        for call in reply.calls:
            if self.bench.submission is not None:
                break
            results.append(self._called(call))
        return Exchange(reply, tuple(results), words=self._hint(reply))

    def _called(self, call: ToolCall) -> ToolResult:
        self.recorder.note("call", json.dumps(call.input, ensure_ascii=True), name=one_line(call.name, 60))
        try:
            result = self.bench.call(call)
        except BadCall as mistake:
            self.faults[mistake.kind] += 1
            self._repairs += mistake.kind in _REPAIRS or mistake.kind == "empty"
            result = ToolResult(call.number, str(mistake), failed=True)
        self.recorder.note("result", result.text, name=one_line(call.name, 60), failed=result.failed)
        return result

    def _note(self, reply: Reply) -> None:
        usage = reply.usage
        assert usage is not None
        counts: dict[str, Json] = {"input": usage.input_tokens, "cached": usage.cached_input_tokens}
        counts |= {"written": usage.cache_write_tokens, "output": usage.output_tokens}
        self.recorder.note("thinking", reply.thoughts, tokens=counts)
        if reply.text:
            self.recorder.note("text", reply.text)

    def _hint(self, reply: Reply) -> str:
        left = self.meter.limits.turns - self.turns
        words = _CUT if reply.stop == "length" else ""
        return f"{words} {left} replies are left: submit.".strip() if left <= _LAST_TURNS else words

    def _proposal(self, problem: str) -> Proposal:
        said = self.bench.submission
        state: dict[str, Json] = {
            "faults": dict(self.faults),
            "turns": self.turns,
            "largest_context_tokens": self.meter.largest_context,
            "cache_hit_share": round(self.meter.cache_hit_share, 3),
            "prices": self.meter.prices.described(),
        }
        self.recorder.note("end", problem or (said.rationale if said else ""), faults=dict(self.faults))
        state["transcript"] = self.recorder.close()
        return Proposal(
            dict(self.bench.changed),
            said.rationale if said else "",
            said.hypothesis if said else "",
            usage=self.meter.closed(),
            state=state,
            problem=problem,
        )
