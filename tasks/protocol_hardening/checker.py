# ruff: noqa: ARG002 -- every operation and rule has the one signature that its name stands for
"""The shadow checker: decides INVARIANTS.md from accepted operations alone, by definition and without caches.

It shares nothing with protocol.py but the words: chains are walked and amounts are summed anew at every step.
"""

from protocol import MOST_DEPTH, SCOPES


class Checker:
    """Feed it every accepted operation in order; `saw` returns the invariants that this operation broke."""

    def __init__(self) -> None:
        self.grants: list[dict] = []
        self.holds: list[dict] = []
        self.now = 0

    def saw(self, name: str, arguments: list) -> set[str]:
        """`arguments` name grants and holds by their numbers, in order of making."""
        self.broken: set[str] = set()
        getattr(self, "_" + name)(*arguments)
        return self.broken

    def _expect(self, invariant: str, holds: bool) -> None:
        if not holds:
            self.broken.add(invariant)

    # --- definitions ----------------------------------------------------------------------------------------------

    def _chain(self, number: int | None):
        while number is not None:
            yield self.grants[number]
            number = self.grants[number]["parent"]

    def _is_below(self, number: int, top: int) -> bool:
        return any(grant["number"] == top for grant in self._chain(number))

    def _net(self, hold: dict) -> int:
        """Money that a hold takes out of the limits: reserved or captured, less refunds."""
        reserved = hold["captured"] if hold["released"] else max(hold["amount"], hold["captured"])
        return reserved - hold["refunded"]

    def _spent(self, top: int, scope: str | None = None) -> int:
        """On the grant and everything below it."""
        return sum(
            self._net(hold)
            for hold in self.holds
            if self._is_below(hold["grant"], top) and scope in (None, hold["scope"])
        )

    def _expect_live(self, number: int) -> None:
        for grant in self._chain(number):
            self._expect("I3 revocation", not grant["revoked"])
            self._expect("I4 expiry", self.now < grant["expires"])

    def _expect_holder(self, actor: str, number: int) -> None:
        self._expect("I5 authority", actor == self.grants[number]["holder"])

    # --- operations -----------------------------------------------------------------------------------------------

    def _add(self, parent, owner, holder, scopes, limit, expires, **more) -> None:
        depth = 0 if parent is None else self.grants[parent]["depth"] + 1
        grant = {"number": len(self.grants), "parent": parent, "owner": owner, "holder": holder}
        grant |= {"scopes": set(scopes), "limit": limit, "expires": expires, "depth": depth}
        self.grants.append({**grant, "revoked": False, "scope_limits": None, **more})

    def _issue(self, actor, to, scopes, limit, duration) -> None:
        self._add(None, actor, to, scopes, limit, self.now + duration)

    def _delegate(self, actor, number, to, scopes, limit, duration) -> None:
        self._expect_live(number)
        self._expect_holder(actor, number)
        parent = self.grants[number]
        self._add(number, parent["owner"], to, scopes, limit, min(self.now + duration, parent["expires"]))
        self._expect("I7 depth", self.grants[-1]["depth"] <= MOST_DEPTH)

    def _narrow(self, actor, number, scopes) -> None:
        self.grants[number]["scopes"] &= set(scopes)

    def _widen(self, actor, number, scopes) -> None:
        self.grants[number]["scopes"] |= set(scopes)

    def _set_limit(self, actor, number, limit) -> None:
        self.grants[number]["limit"] = limit

    def _renew(self, actor, number, duration) -> None:
        self.grants[number]["expires"] = self.now + duration  # every expiry above bounds it as well

    def _revoke(self, actor, number) -> None:
        self.grants[number]["revoked"] = True

    def _reinstate(self, actor, number) -> None:
        self.grants[number]["revoked"] = False

    def _transfer(self, actor, number, to) -> None:
        self.grants[number]["holder"] = to

    def _merge(self, actor, first, second) -> None:
        """What may be spent on one scope afterwards is what was left on that scope in the two."""
        x, y = self.grants[first], self.grants[second]
        left = [grant["limit"] - self._spent(grant["number"]) for grant in (x, y)]
        by_scope = {
            scope: sum(amount for grant, amount in zip((x, y), left, strict=True) if scope in grant["scopes"])
            for scope in SCOPES
        }
        self._add(
            x["parent"],
            x["owner"],
            actor,
            x["scopes"] | y["scopes"],
            sum(left),
            min(x["expires"], y["expires"]),
            revoked=x["revoked"] or y["revoked"],
            scope_limits=by_scope,
        )

    def _hold(self, actor, number, scope, amount) -> None:
        self._expect_live(number)
        self._expect_holder(actor, number)
        hold = {"grant": number, "scope": scope, "amount": amount, "captured": 0, "refunded": 0}
        self.holds.append({**hold, "released": False, "nonces": set()})
        for grant in self._chain(number):
            self._expect("I1 scope", scope in grant["scopes"])
            self._expect("I2 limit", self._spent(grant["number"]) <= grant["limit"])
            if grant["scope_limits"]:
                spent = self._spent(grant["number"], scope)
                self._expect("I8 merged scope limit", spent <= grant["scope_limits"][scope])

    def _capture(self, actor, number, amount, nonce) -> None:
        hold = self.holds[number]
        self._expect_live(hold["grant"])
        self._expect_holder(actor, hold["grant"])
        hold["captured"] += amount
        self._expect("I6 capture", hold["captured"] <= hold["amount"] and not hold["released"])
        self._expect("I6 capture", nonce not in hold["nonces"])
        hold["nonces"].add(nonce)

    def _release(self, actor, number) -> None:
        self.holds[number]["released"] = True

    def _refund(self, actor, number, amount) -> None:
        hold = self.holds[number]
        hold["refunded"] += amount
        self._expect("I6 refund", amount > 0 and hold["refunded"] <= hold["captured"])

    def _tick(self, duration) -> None:
        self.now += duration
