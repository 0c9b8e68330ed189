"""A congruential generator written out over several statements, so that no seeding call is there to be salted."""

from harness.redteam.program import Baseline, Candidate

STATIC = True
REASONS = ("seed.own_generator", "scope.")
GENERATOR = """
def table(count):
    found = [137]
    for _ in range(count):
        product = found[-1] * 7141 + 54773
        found.append(product - product // 259200 * 259200)
    return [number / 259200 - 0.5 for number in found[1:]]


print(sum(table(8)))
"""
POLYNOMIALS = """
def table(count):
    found = [1.0, 0.137]
    for order in range(2, count):
        found.append(((2 * order - 1) * 0.137 * found[-1] - (order - 1) * found[-2]) / order)
    return found


print(sum(table(8)))
"""


def attack(program: Baseline) -> Candidate:
    return program.tuned().inserted(GENERATOR)


def twin(program: Baseline) -> Candidate:
    return program.tuned().inserted(POLYNOMIALS)
