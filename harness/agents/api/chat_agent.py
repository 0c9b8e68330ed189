"""What agents that talk to a model's API have in common: everything but the wire."""

from collections.abc import Callable, Sequence

from harness.agents.api.dialogue import Dialogue
from harness.agents.api.model import Model
from harness.agents.api.patience import Patience
from harness.agents.api.prompt import opening
from harness.agents.api.tools import SmokeTest, Workbench
from harness.agents.context import AgentContext
from harness.agents.smoke import make_smoke_test
from harness.agents.spending import Meter, Prices, ProposalLimits, SpendTracker
from harness.records import Proposal, View

CLASSES = ("hyperparameter", "optimiser", "architecture", "data", "training loop", "systems")
"""Those that the classification guard tells apart and that are worth trying."""


class ChatAgent:
    """Proposes by conversation. `make_model` is called in open(), when the key may leave the environment."""

    ahead: int

    def __init__(
        self,
        make_model: Callable[[], Model],
        prices: Prices,
        limits: ProposalLimits,
        patience: Patience,
        *,
        ahead: int,
        memory_tokens: int,
        file_tokens: int,
        classes: Sequence[str],
    ) -> None:
        if ahead < 0 or memory_tokens < 500 or file_tokens < 0:
            raise ValueError("ahead and file_tokens must not be negative, memory_tokens at least 500")
        self.ahead = ahead
        self._make_model = make_model
        self._prices = prices
        self._limits = limits
        self._patience = patience
        self._memory_tokens = memory_tokens
        self._file_tokens = file_tokens
        self._classes = tuple(classes)
        self._model: Model | None = None
        self._spending = SpendTracker()
        self._task_program = ""
        self._smoke_test: SmokeTest | None = None

    def open(self, context: AgentContext) -> None:
        """Once per session, before the first proposal."""
        self._spending = SpendTracker(context.dollars, context.tokens, context.spent)
        self._task_program = context.task.program_text
        self._smoke_test = make_smoke_test(context)

    def propose(self, view: View) -> Proposal:
        """Raises AgentError when the provider will not serve us or the session's money is nearly spent."""
        if self._model is None:
            self._model = self._make_model()
        dialogue = Dialogue(
            self._model,
            Meter(self._limits, self._prices, self._spending),
            self._patience,
            opening(view, self._task_program, self._memory_tokens, self._file_tokens, self._classes),
            Workbench(view, self._smoke_test),
        )
        return dialogue.run()
