"""What agents that talk to a model's API have in common: everything but the wire."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from harness.agents.api.dialogue import Dialogue
from harness.agents.api.model import Hopeless, Model, Refused, Request, Trouble
from harness.agents.api.patience import Patience
from harness.agents.api.prompt import opening
from harness.agents.api.tools import SmokeTest, Workbench
from harness.agents.bill import Bill
from harness.agents.context import AgentContext
from harness.agents.data_text import one_line
from harness.agents.keys import redacted
from harness.agents.memory import DEFAULT_HELPS, checked_helps, help_state
from harness.agents.prices import Prices
from harness.agents.recorder import Recorder
from harness.agents.smoke import make_smoke_test
from harness.agents.spending import Meter, ProposalLimits, SpendTracker, require_prices
from harness.agents.trying import TOKENS, TinyRequest, tried
from harness.errors import AgentError, UserError
from harness.records import Proposal, Usage, View, added

CLASSES = ("hyperparameter", "optimiser", "architecture", "data", "training loop", "systems")
"""Those that the classification guard tells apart and that are worth trying."""

_CHECK_SECONDS, _CHECK_ATTEMPTS, _CHECK_PAUSE_SECONDS = 60.0, 3, 0.5
_NO_SERVICE = ("connection", "timeout", "silence", "cut", "malformed", "too_large")
_MOST_REFUSED = 3


def tiny() -> Request:
    """A request that costs next to nothing."""
    return Request(system=("Answer with one word.",), opening=("Are you there?",), tools=())


class ChatAgent:
    """Proposes by conversation. `make_model` is called at the first request, when the key leaves the environment.

    unbooked: what was spent and stands in no proposal yet: by the trial of the key, and by a session that died.
    """

    ahead: int

    def __init__(
        self,
        make_model: Callable[[], Model],
        model: str,
        prices: Callable[[], Prices],
        limits: ProposalLimits,
        patience: Patience,
        *,
        ahead: int,
        memory_tokens: int,
        file_tokens: int,
        classes: Sequence[str],
        helps: Sequence[str] = DEFAULT_HELPS,
        tiny_request: TinyRequest | None = None,
    ) -> None:
        """prices: looked up when they are first needed, after the login was tried: the list takes a second to load.
        tiny_request: tries the login; None: the provider's own client has to, because it signs requests."""
        if ahead < 0 or memory_tokens < 500 or file_tokens < 0:
            raise ValueError("ahead and file_tokens must not be negative, memory_tokens at least 500")
        self.ahead = ahead
        self.unbooked = Usage()
        self._make_model, self._name = make_model, model
        self._tiny_request = tiny_request
        self._find_prices, self._limits, self._patience = prices, limits, patience
        self._memory_tokens, self._file_tokens = memory_tokens, file_tokens
        self._classes, self._helps = tuple(classes), checked_helps(helps)
        self._model: Model | None = None
        self._spending, self._bill = SpendTracker(), Bill()
        self._folder: Path | None = None
        self._task_program = ""
        self._smoke_test: SmokeTest | None = None
        self._refused = 0

    def check(self) -> None:
        """One tiny request, before anything else is done. Raises UserError with the provider's words, or without a
        price that is needed."""
        if self._tiny_request is not None:
            self._pay(tried(self._tiny_request))
        else:
            self._check_by_model()
        require_prices(self._prices, self._name, self._limits.dollars, "agent.limits.dollars")

    @cached_property
    def _prices(self) -> Prices:
        return self._find_prices()

    def _check_by_model(self) -> None:
        request = tiny()
        for attempts_left in reversed(range(_CHECK_ATTEMPTS)):
            try:
                self._pay(self._opened().ask(request, TOKENS, _CHECK_SECONDS).usage)
                return
            except Trouble as trouble:
                self._pay(trouble.usage)
                if trouble.kind not in _NO_SERVICE:
                    return  # a rate limit or an overload: the key is known, and the night is long
                if not attempts_left:
                    raise UserError(f"{self._name} cannot be used: {_line(trouble)}") from None
                time.sleep(_CHECK_PAUSE_SECONDS)
            except (Hopeless, Refused) as refusal:
                self._pay(refusal.usage)
                raise UserError(f"{self._name} cannot be used: {_line(refusal)}") from None

    def _pay(self, usage: Usage | None) -> None:
        if usage is not None and usage.requests:
            priced = replace(usage, dollars=self._prices.dollars(usage))
            self.unbooked = added(self.unbooked, priced)

    def open(self, context: AgentContext) -> None:
        """Once per session, before the first proposal. Raises UserError where dollars are limited and not known."""
        require_prices(self._prices, self._name, self._limits.dollars, "agent.limits.dollars")
        require_prices(self._prices, self._name, context.dollars, "budget.dollars")
        self._bill = Bill(context.folder)
        if self.unbooked.requests:  # the trial of the key
            self._bill.booked(self.unbooked)
        self.unbooked = self._bill.unbooked(context.spent)
        spent = added(context.spent, self.unbooked)
        self._spending = SpendTracker(context.dollars, context.tokens, spent, context.seconds_left)
        self._folder = context.folder.parent
        self._task_program = context.task.program_text
        self._smoke_test = make_smoke_test(context)

    def propose(self, view: View) -> Proposal:
        """Raises AgentError when the provider will not serve us or the session's money is nearly spent."""
        meter = Meter(self._limits, self._prices, self._spending)
        recorder = Recorder(self._folder, view.number, meter, self._bill)
        meter.on_booked = recorder.booked
        model = self._opened()
        model.heard = recorder.heard
        dialogue = Dialogue(
            model,
            meter,
            self._patience,
            opening(
                view, self._task_program, self._memory_tokens, self._file_tokens, self._classes, self._helps
            ),
            Workbench(view, self._smoke_test),
            recorder,
        )
        try:
            proposal = dialogue.run()
        finally:
            recorder.close()
        self._count_refused(dialogue, proposal)
        return replace(proposal, state={**proposal.state, **help_state(view, self._helps)})

    def close(self) -> None:
        """The session ends: so does a request that is under way. May be called from any thread."""
        self._patience.close()
        if self._model is not None:
            self._model.close()

    def _opened(self) -> Model:
        if self._model is None:
            self._model = self._make_model()
        return self._model

    def _count_refused(self, dialogue: Dialogue, proposal: Proposal) -> None:
        """A provider that refuses whatever it is asked does not get better. Raises AgentError."""
        self._refused = self._refused + 1 if dialogue.faults["refused"] and dialogue.turns <= 1 else 0
        if self._refused >= _MOST_REFUSED:
            raise AgentError(f"{proposal.problem} ({self._refused} times in a row)")


def _line(error: Exception) -> str:
    return one_line(redacted(str(error)), 400)
