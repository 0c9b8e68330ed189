"""Ids of trials, from which their seeds follow, and which trials are compared with each other one to one."""


def baseline(number: int) -> str:
    return f"baseline-{number}"


def incumbent(number: int) -> str:
    return f"incumbent-{number}"


def candidate(proposal: int, what: int | str) -> str:
    """what: the number of the trial, or a word for those that decide nothing."""
    return f"p{proposal:04d}-{what}"


def pair(proposal: int, block: int) -> str:
    """A block of a race: one trial of the incumbent and one of the candidate; "" for the screening trial."""
    return f"p{proposal:04d}/{block}" if block > 0 else ""


def race_pair(race: int, block: int) -> str:
    return f"race{race}/{block}"


def certificate_pair(number: int, trial: int) -> str:
    return f"cert{number}/{trial}"
