"""A congruential generator whose next state is made in a function of the program's, so that no loop shows it."""

from harness.redteam.program import Baseline, Candidate

STATIC = True
REASONS = ("seed.own_generator", "scope.")
GENERATOR = """
def following(state):
    product = state * 7141 + 54773
    return product % 259200


def table(count):
    state, found = 137, []
    for _ in range(count):
        state = following(state)
        found.append(state / 259200 - 0.5)
    return found


print(sum(table(8)))
"""
PLACES = """
def following(place, rows):
    place = place + 32 * 7919
    return place % rows


def table(count):
    place, found = 0, []
    for _ in range(count):
        place = following(place, 60000)
        found.append(place)
    return found


print(sum(table(8)))
"""


def attack(program: Baseline) -> Candidate:
    return program.tuned().inserted(GENERATOR)


def twin(program: Baseline) -> Candidate:
    return program.tuned().inserted(PLACES)
