# ruff: noqa: ARG002 -- every operation and rule has the one signature that its name stands for
"""Delegated spending authorisations: who may spend how much, on what, until when, on whose behalf.

A correct implementation, with the caches that a production system keeps: effective scopes, money spent below a
grant, money promised to delegates. INVARIANTS.md says what must hold; checker.py decides it independently.
Small methods are the places where a defect can sit: a defective variant overrides one or two of them.
"""

SCOPES = ("food", "travel", "cloud", "ads")
ACTORS = ("alice", "bob", "carol", "dave")
MOST_DEPTH = 4
LONGEST_TICK = 5
FOREVER = 10**9

# Kinds of argument: one of the words, any set of the words, or a whole number (a range to draw from, not a bound).
VALUES = {
    "actor": ACTORS,
    "scope": SCOPES,
    "amount": range(-3, 21),
    "duration": range(1, 11),
    "nonce": range(10),
    "tick": range(1, 6),
}
SETS = {"scopes": SCOPES}

# What an operation takes, and which kind of thing it makes. A grant or a hold is named by the position, in the trace,
# of the operation that made it.
OPERATIONS = {
    "issue": (["actor", "actor", "scopes", "amount", "duration"], "grant"),
    "delegate": (["actor", "grant", "actor", "scopes", "amount", "duration"], "grant"),
    "narrow": (["actor", "grant", "scopes"], None),
    "widen": (["actor", "grant", "scopes"], None),
    "set_limit": (["actor", "grant", "amount"], None),
    "renew": (["actor", "grant", "duration"], None),
    "revoke": (["actor", "grant"], None),
    "reinstate": (["actor", "grant"], None),
    "transfer": (["actor", "grant", "actor"], None),
    "merge": (["actor", "grant", "grant"], "grant"),
    "hold": (["actor", "grant", "scope", "amount"], "hold"),
    "capture": (["actor", "hold", "amount", "nonce"], None),
    "release": (["actor", "hold"], None),
    "refund": (["actor", "hold", "amount"], None),
    "tick": (["tick"], None),
}


class Rejected(Exception):
    """The protocol refuses the operation; nothing has changed."""


def need(condition: object) -> None:
    if not condition:
        raise Rejected


class Grant:
    def __init__(self, number, parent, owner, holder, scopes, limit, expires, depth) -> None:
        self.number, self.parent, self.owner, self.holder = number, parent, owner, holder
        self.own = frozenset(scopes)
        self.effective = self.own & parent.effective if parent else self.own  # cache
        self.limit, self.expires, self.depth = limit, expires, depth
        self.parent_expires = parent.expires if parent else FOREVER  # as it was at the start
        self.revoked = self.closed = False
        self.used = 0  # held or captured on this grant itself
        self.below = 0  # the same on all grants below it: cache
        self.promised = 0  # limits of its delegates: cache
        self.children: list[Grant] = []

    def chain(self):
        """This grant and everything above it."""
        grant = self
        while grant is not None:
            yield grant
            grant = grant.parent

    @property
    def issuer(self):
        return self.parent.holder if self.parent else self.owner

    def open_children(self):
        return [child for child in self.children if not child.closed]


class Hold:
    def __init__(self, grant, by, scope, amount) -> None:
        self.grant, self.by, self.scope, self.amount = grant, by, scope, amount
        self.remaining, self.captured, self.refunded, self.open = amount, 0, 0, True
        self.nonces: set[int] = set()


class Protocol:
    """Every public method is an operation: it raises Rejected, or returns what it made (a number) or None."""

    def __init__(self) -> None:
        self.grants: list[Grant] = []
        self.holds: list[Hold] = []
        self.now = 0

    # --- operations ---------------------------------------------------------------------------------------------

    def issue(self, actor, to, scopes, limit, duration):
        need(limit > 0 and duration > 0 and scopes)
        return self._make(None, actor, to, scopes, limit, self.now + duration, 0)

    def delegate(self, actor, number, to, scopes, limit, duration):
        grant = self.grants[number]
        need(actor == grant.holder)
        self.need_live(grant)
        need(scopes and frozenset(scopes) <= grant.effective)
        need(limit > 0 and duration > 0 and grant.depth + 1 <= MOST_DEPTH)
        need(limit <= self.room_to_delegate(grant))
        grant.promised += limit
        expires = min(grant.expires, self.now + duration)
        return self._make(grant, grant.owner, to, scopes, limit, expires, grant.depth + 1)

    def narrow(self, actor, number, scopes):
        grant = self._open_grant(number, actor)
        grant.own &= frozenset(scopes)
        self.after_narrow(grant)

    def widen(self, actor, number, scopes):
        grant = self._open_grant(number, actor)
        need(grant.parent is not None and frozenset(scopes) <= self.widest(grant))
        grant.own |= frozenset(scopes)
        self.after_widen(grant)

    def set_limit(self, actor, number, limit):
        grant = self._open_grant(number, actor)
        need(limit > 0)
        more, parent = limit - grant.limit, grant.parent
        if parent is not None:
            need(more <= parent.limit - parent.used - parent.promised)
            parent.promised += more
        grant.limit = limit
        self.after_set_limit(grant, more)

    def renew(self, actor, number, duration):
        grant = self._open_grant(number, actor)
        need(duration > 0)
        grant.expires = min(self.now + duration, self.latest_expiry(grant))
        self.after_renew(grant)

    def revoke(self, actor, number):
        grant = self.grants[number]
        need(not grant.closed and actor in (grant.issuer, grant.owner))
        grant.revoked = True

    def reinstate(self, actor, number):
        grant = self._open_grant(number, actor)
        need(grant.revoked)
        grant.revoked = False
        self.after_reinstate(grant)

    def transfer(self, actor, number, to):
        grant = self.grants[number]
        need(actor == grant.holder)
        self.need_live(grant)
        grant.holder = to
        self.after_transfer(grant)

    def merge(self, actor, first, second):
        """Two delegates of one grant become one, which keeps the narrower rights and what is left of both limits."""
        x, y = self.grants[first], self.grants[second]
        need(x is not y and x.parent is not None and x.parent is y.parent)
        need(x.holder == y.holder == actor)
        self.need_live(x)
        self.need_live(y)
        need(not x.open_children() and not y.open_children())
        need(not any(hold.open and hold.grant in (x, y) for hold in self.holds))
        scopes, limit = self.merged_scopes(x, y), self.merged_limit(x, y)
        need(scopes)
        x.parent.promised += limit - x.limit - y.limit
        x.closed = y.closed = True
        return self._make(x.parent, x.owner, actor, scopes, limit, min(x.expires, y.expires), x.depth)

    def hold(self, actor, number, scope, amount):
        grant = self.grants[number]
        need(actor == grant.holder and amount > 0)
        self.need_live(grant)
        need(scope in grant.effective)
        need(self.scope_allowed_above(grant, scope))
        # A limit that was lowered, or a merge, can leave less promised below than is spent there.
        need(grant.used + max(grant.promised, grant.below) + amount <= grant.limit)
        for above in self.limits_above(grant):
            need(above.used + above.below + amount <= above.limit)
        self._spend(grant, amount)
        self.holds.append(Hold(grant, actor, scope, amount))
        return len(self.holds) - 1

    def capture(self, actor, number, amount, nonce):
        hold = self.holds[number]
        need(actor == hold.by and 0 < amount <= hold.remaining and hold.open)
        self.need_live_for_capture(hold)
        need(not self.is_replay(hold, nonce))
        hold.captured += amount
        hold.remaining -= self.booked(hold, amount, nonce)
        hold.nonces.add(nonce)
        if hold.remaining == 0:
            hold.open = False

    def release(self, actor, number):
        hold = self.holds[number]
        need(actor == hold.by and self.releasable(hold))
        self._spend(hold.grant, -hold.remaining)
        hold.open = False
        self.after_release(hold)

    def refund(self, actor, number, amount):
        hold = self.holds[number]
        need(actor == hold.by and hold.refunded + amount <= hold.captured and self.refundable(amount))
        hold.refunded += amount
        self._spend(hold.grant, -amount)

    def tick(self, duration):
        need(0 < duration <= LONGEST_TICK)
        self.now += duration

    # --- rules --------------------------------------------------------------------------------------------------

    def need_live(self, grant):
        for above in grant.chain():
            need(not above.closed and not above.revoked)
        for above in self.expiry_chain(grant):
            need(not self.is_over(above))

    def expiry_chain(self, grant):
        return grant.chain()

    def is_over(self, grant):
        return self.now >= grant.expires

    def need_live_for_capture(self, hold):
        self.need_live(hold.grant)

    def room_to_delegate(self, grant):
        return grant.limit - grant.used - grant.promised

    def scope_allowed_above(self, grant, scope):
        return all(scope in above.own for above in grant.chain())

    def limits_above(self, grant):
        return [above for above in grant.chain() if above is not grant]

    def widest(self, grant):
        return grant.parent.effective

    def latest_expiry(self, grant):
        return grant.parent.expires if grant.parent else FOREVER

    def merged_scopes(self, x, y):
        return x.own & y.own

    def merged_limit(self, x, y):
        return (x.limit - x.used) + (y.limit - y.used)

    def is_replay(self, hold, nonce):
        return nonce in hold.nonces

    def booked(self, hold, amount, nonce):
        """How much of the hold a capture uses up."""
        return amount

    def releasable(self, hold):
        return hold.open

    def refundable(self, amount):
        return amount > 0

    # --- caches -------------------------------------------------------------------------------------------------

    def after_narrow(self, grant):
        self._refresh(grant)

    def after_widen(self, grant):
        self._refresh(grant)

    def after_set_limit(self, grant, more):
        pass

    def after_renew(self, grant):
        for child in grant.open_children():
            child.expires = min(child.expires, grant.expires)
            self.after_renew(child)

    def after_reinstate(self, grant):
        pass

    def after_transfer(self, grant):
        for hold in self.holds:
            if hold.grant is grant:
                hold.by = grant.holder

    def after_release(self, hold):
        hold.remaining = 0

    def _refresh(self, grant, levels=FOREVER):
        """Recompute effective scopes of a grant and of `levels` levels below it."""
        grant.effective = grant.own & grant.parent.effective if grant.parent else grant.own
        for child in grant.open_children() if levels else []:
            self._refresh(child, levels - 1)

    def _spend(self, grant, amount):
        grant.used += amount
        for above in grant.chain():
            if above is not grant:
                above.below += amount

    def _open_grant(self, number, actor):
        grant = self.grants[number]
        need(not grant.closed and actor == grant.issuer)
        return grant

    def _make(self, parent, owner, holder, scopes, limit, expires, depth):
        grant = Grant(len(self.grants), parent, owner, holder, scopes, limit, expires, depth)
        self.grants.append(grant)
        if parent is not None:
            parent.children.append(grant)
        return grant.number
