# ruff: noqa: ARG002 -- every operation and rule has the one signature that its name stands for
"""Realistic defects that only the referee has, in pairs. Not among the files that an agent or a candidate sees.

Of each pair one may occur in val and the other in test, and the referee's secret decides which: so the two have no
defect in common, and are about equally hard: references.state_aware meets the two of a pair about equally often.
"""

from protocol import need


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


class DelegateForgetsSpending:
    """The limit is checked without what the grant itself has spent."""

    def room_to_delegate(self, grant):
        return grant.limit - grant.promised


class LimitOfRootOnly:
    """Only the outermost limit is looked at, not those in between."""

    def limits_above(self, grant):
        return list(super().limits_above(grant))[-1:]


class NarrowForgetsDelegates:
    """Narrowing refreshes the cache of the grant itself and of none below."""

    def after_narrow(self, grant):
        self._refresh(grant, levels=0)


class ScopeOfParentOnly:
    """A hold looks at the scopes of the grant and of the one above, and no further."""

    def scope_allowed_above(self, grant, scope):
        return all(scope in above.own for above in list(grant.chain())[:2])


class WidenFromRoot:
    """Widening looks at what the owner once allowed, not at what is left of it."""

    def widest(self, grant):
        return list(grant.chain())[-1].own

    def after_widen(self, grant):
        grant.effective = grant.own


class MergeForgetsSecondSpending:
    """A merged grant gets the second limit whole, spent or not."""

    def merged_limit(self, x, y):
        return x.limit - x.used + y.limit


class MergeKeepsLaterExpiry:
    """A merged grant lives as long as the longer-lived of the two."""

    def merge(self, actor, first, second):
        number = super().merge(actor, first, second)
        self.grants[number].expires = max(self.grants[first].expires, self.grants[second].expires)
        return number


class RenewForgetsDelegates:
    """A grant that is renewed for less time does not shorten what lies below it."""

    def after_renew(self, grant):
        pass


class ExpiryOfParentOnly:
    """The expiry of the grant and of the one above is looked at, and no further."""

    def expiry_chain(self, grant):
        return list(grant.chain())[:2]


class ExpiryOfBothEnds:
    """The expiry of the grant and of the outermost one is looked at, not those in between."""

    def expiry_chain(self, grant):
        return [grant, list(grant.chain())[-1]]


class RevocationOneLevelUp:
    """Revocation is noticed by the delegates of the revoked grant, and not by theirs."""

    def need_live(self, grant):
        for above in list(grant.chain())[:2]:
            need(not above.closed and not above.revoked)
        for above in self.expiry_chain(grant):
            need(not self.is_over(above))


class DelegateAfterExpiry:
    """Delegating asks whether the grant was revoked, and not whether it is over."""

    def delegate(self, *arguments):
        self.delegating = True
        try:
            return super().delegate(*arguments)
        finally:
            self.delegating = False

    def expiry_chain(self, grant):
        return [] if getattr(self, "delegating", False) else super().expiry_chain(grant)


class DelegatingToOneselfIsFree:
    """A grant that somebody delegates to himself lies no deeper."""

    def delegate(self, actor, number, to, scopes, limit, duration):
        made = super().delegate(actor, number, to, scopes, limit, duration)
        if to == actor:
            self.grants[made].depth -= 1
        return made


class CaptureAfterExpiry:
    """A capture asks whether its grant was revoked, and not whether it is over."""

    def need_live_for_capture(self, hold):
        for above in hold.grant.chain():
            need(not above.closed and not above.revoked)


class ReleaseFreesTheWhole:
    """Release gives back all that was held, also what was captured meanwhile."""

    def release(self, actor, number):
        super().release(actor, number)
        self._spend(self.holds[number].grant, -self.holds[number].captured)


class RefundFreesTwice:
    """A refund is taken out of what was spent, and again out of what was held."""

    def refund(self, actor, number, amount):
        super().refund(actor, number, amount)
        self._spend(self.holds[number].grant, -amount)


PAIRS = (
    (DelegateFullLimit, DelegateForgetsSpending),
    (LimitOfParentOnly, LimitOfRootOnly),
    (NarrowTwoLevels, NarrowForgetsDelegates),
    (ScopeOfLeafOnly, ScopeOfParentOnly),
    (WidenFromOwnScopes, WidenFromRoot),
    (MergeWidens, MergeForgetsSecondSpending),
    (MergeAddsFullLimits, MergeKeepsLaterExpiry),
    (RenewByOldExpiry, RenewForgetsDelegates),
    (ExpiryOfParentOnly, ExpiryOfBothEnds),
    (CaptureAfterRevocation, ReplayedCapture),
    (ExpiryOffByOne, DelegateAfterExpiry),
    (DelegatingToOneselfIsFree, CaptureAfterExpiry),
    (TransferResetsDepth, RevocationOneLevelUp),
    (ReleaseFreesTheWhole, RefundFreesTwice),
)
HIDDEN = tuple(defect for pair in PAIRS for defect in pair)
