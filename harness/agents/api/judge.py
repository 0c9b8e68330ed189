"""A language model that answers one question: for the guard that lets a model read each change and veto it."""

from harness.agents.api.claude import Messages
from harness.agents.api.clients import claude_login
from harness.agents.api.model import Request

_SYSTEM = (
    "You review changes of training programs for a benchmark. Answer exactly in the form that is asked for."
)
_OUTPUT_TOKENS = 4000  # room for a model that thinks before its one line


class ModelJudge:
    """Claude, asked without tools and without memory. What it costs is not part of budget.dollars: cents a night."""

    def __init__(self, model: str, base_url: str | None = None, seconds: float = 60.0) -> None:
        """seconds: longest wait for an answer. Raises UserError without a key."""
        self._login = claude_login(None, "guards=with_judge")
        self._arguments, self._seconds = (model, base_url), seconds
        self._model: Messages | None = None

    def ask(self, question: str) -> str:
        """The answer. Raises Trouble, Refused or Hopeless: the guard then says that the judge was not available."""
        if self._model is None:
            self._model = Messages(*self._arguments, login=self._login)
        request = Request(system=(_SYSTEM,), opening=(question,), tools=())
        return self._model.ask(request, _OUTPUT_TOKENS, self._seconds).text
