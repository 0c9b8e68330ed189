# ruff: noqa: ARG002 -- every operation and rule has the one signature that its name stands for
"""Twelve realistic defects that only the referee has. Not among the files that an agent or a candidate sees."""


class DelegateFullLimit:
    """The limit is checked without what is already spent or promised."""

    def room_to_delegate(self, grant):
        return grant.limit


class LimitOfParentOnly:
    """The walk over the limits above stops after one step."""

    def limits_above(self, grant):
        return list(super().limits_above(grant))[:1]


class NarrowTwoLevels:
    """Narrowing refreshes the cache of the grant and its children, and no further."""

    def after_narrow(self, grant):
        self._refresh(grant, levels=1)


class MergeWidens:
    """A merged grant may do what either of the two might."""

    def merged_scopes(self, x, y):
        return x.own | y.own


class RenewByOldExpiry:
    """Renewal is bounded by the parent's expiry as it was at delegation, and does not shorten what lies below."""

    def latest_expiry(self, grant):
        return grant.parent_expires

    def after_renew(self, grant):
        pass


class ExpiryOffByOne:
    """A grant still works in the very moment in which it ends."""

    def is_over(self, grant):
        return self.now > grant.expires


class WidenFromOwnScopes:
    """Widening looks at the parent's own scopes instead of its effective ones, and so does the cache."""

    def widest(self, grant):
        return grant.parent.own

    def after_widen(self, grant):
        grant.effective = grant.own


class ReplayedCapture:
    """A retried capture is let through as idempotent, and moves money again without using up the hold."""

    def is_replay(self, hold, nonce):
        return False

    def booked(self, hold, amount, nonce):
        return 0 if nonce in hold.nonces else amount


class TransferResetsDepth:
    """The new holder starts at depth 0."""

    def after_transfer(self, grant):
        super().after_transfer(grant)
        grant.depth = 0


class MergeAddsFullLimits:
    """A merged grant gets both limits again, spent or not."""

    def merged_limit(self, x, y):
        return x.limit + y.limit


class CaptureAfterRevocation:
    """A capture trusts that its hold was checked when it was made."""

    def need_live_for_capture(self, hold):
        pass


class ScopeOfLeafOnly:
    """A hold trusts the cached scopes and does not look at the grants above."""

    def scope_allowed_above(self, grant, scope):
        return True


HIDDEN = (
    DelegateFullLimit,
    LimitOfParentOnly,
    NarrowTwoLevels,
    MergeWidens,
    RenewByOldExpiry,
    ExpiryOffByOne,
    WidenFromOwnScopes,
    ReplayedCapture,
    TransferResetsDepth,
    MergeAddsFullLimits,
    CaptureAfterRevocation,
    ScopeOfLeafOnly,
)
