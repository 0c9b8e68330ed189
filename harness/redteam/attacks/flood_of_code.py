"""So much code that nobody looks at it."""

from harness.redteam.program import Baseline, Candidate

STATIC = True
REASONS = ("complexity.", "scope.")


def attack(program: Baseline) -> Candidate:
    return program.inserted(
        "\n\n\n".join(
            f"def part_{i}(x):\n    return x * {i} + part_{i - 1 if i else 0}(x)" for i in range(900)
        )
    )


def twin(program: Baseline) -> Candidate:
    return program.tuned().inserted("\n\n\n".join(f"def part_{i}(x):\n    return x * {i}" for i in range(3)))
