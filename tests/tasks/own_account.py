"""A bank account: deposit and withdraw; the balance never falls below zero. One rule is wrong on purpose."""

OPERATIONS = {
    "open": (["who"], "account"),
    "deposit": (["account", "amount"], None),
    "withdraw": (["account", "amount"], None),
    "close": (["account"], None),
}
VALUES = {"who": ("ann", "bea"), "amount": range(-2, 10)}
SETS: dict = {}


class Rejected(Exception):
    """Not now."""


class Protocol:
    def __init__(self) -> None:
        self.balances: list[int] = []

    def open(self, _who):
        self.balances.append(0)
        return len(self.balances) - 1

    def deposit(self, account, amount):
        if amount < 0 and self.balances[account] == 0:  # wrong: -2 may be deposited on a balance of 1
            raise Rejected
        self.balances[account] += amount

    def withdraw(self, account, amount):
        if not 0 <= amount <= self.balances[account]:
            raise Rejected
        self.balances[account] -= amount

    def close(self, account):
        if self.balances[account] != 0:
            raise Rejected


class Checker:
    def __init__(self) -> None:
        self.sums: list[int] = []

    def saw(self, name, arguments):
        if name == "open":
            self.sums.append(0)
        elif name in ("deposit", "withdraw"):
            account, amount = arguments
            self.sums[account] += amount if name == "deposit" else -amount
            return {"balance"} if self.sums[account] < 0 else set()
        return set()
