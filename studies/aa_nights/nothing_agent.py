"""Proposes changes of the incumbent that change nothing, one after the other and from the start again."""

from null_proposals import proposals

from harness.records import Proposal, View


class Nothing:
    """Stateless: the proposal's number says which of the changes that scripts/null_proposals.py knows."""

    reads_program = False
    repeatable = True

    def propose(self, view: View) -> Proposal:
        """Never ends the session: its budget does."""
        found = proposals(view.editable["train.py"].decode())
        what, changed = found[(view.number - 1) % len(found)]
        return Proposal({"train.py": changed.encode()}, rationale=f"No effect: {what}.")
