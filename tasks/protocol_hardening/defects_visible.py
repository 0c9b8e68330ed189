# ruff: noqa: ARG002 -- every operation and rule has the one signature that its name stands for
"""Six realistic defects that a candidate may train against. The hidden ones are of the same kind and not here.

Each is a mixin that overrides one or two small methods of Protocol.
"""


class HoldStaysWithFormerHolder:
    """A transfer moves the grant and forgets its holds, so that the former holder can still capture."""

    def after_transfer(self, grant):
        pass


class ReleaseTwice:
    """Release looks at the remaining amount, which it forgets to clear."""

    def releasable(self, hold):
        return hold.remaining > 0

    def after_release(self, hold):
        pass


class ReinstateBelow:
    """Reinstating a grant also reinstates what was revoked below it on its own."""

    def after_reinstate(self, grant):
        super().after_reinstate(grant)
        for child in grant.open_children():
            child.revoked = False


class LowerLimitForgetsSpending:
    """Lowering a limit starts a new period, with nothing spent."""

    def after_set_limit(self, grant, more):
        super().after_set_limit(grant, more)
        if more < 0:
            grant.used = 0


class NegativeRefund:
    """A refund of less than nothing is a capture that no hold covers."""

    def refundable(self, amount):
        return True


class ExpiryOfLeafOnly:
    """Only the grant's own expiry is looked at, not those above it."""

    def expiry_chain(self, grant):
        return [grant]


VISIBLE = (
    HoldStaysWithFormerHolder,
    ReleaseTwice,
    ReinstateBelow,
    LowerLimitForgetsSpending,
    NegativeRefund,
    ExpiryOfLeafOnly,
)
