"""Reference lines of the task on the variants of a split: python references.py [--split val]

hand_tests: fifty-five tests in the usual style, once. naive_random: random operations on random things.
hypothesis: a Hypothesis state machine that knows who may do what, 10,000 calls a variant like everybody.
state_aware: traces drawn from a simulated correct protocol; _weighted: with the operations' frequencies set by hand.
"""

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from attack import ISSUER_DOES
from campaign import MOST_OPERATIONS, Campaign, Trace
from evaluate import DEFECTS
from hand_tests import traces as hand_traces
from prepare import prepare
from protocol import ACTORS, OPERATIONS, SCOPES, Protocol, Rejected

WEIGHTS = {"delegate": 4, "hold": 5, "capture": 2, "tick": 0.5, "revoke": 0.5}
GOLDEN_SECRET = (
    b"golden: no secret, and never drawn with for a trial"  # the variants that golden/ is scored on
)
Source = Callable[[random.Random, Campaign], Iterator[Trace]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--split", default="val")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder, "public"), Path(folder, "private"), GOLDEN_SECRET)
        variants = json.loads(Path(folder, "private", f"{arguments.split}.json").read_text())
    sources: dict[str, Source] = {
        "hand_tests": lambda _random, _campaign: iter(hand_traces()),
        "naive_random": lambda chance, _campaign: endless(naive, chance),
        "state_aware": lambda chance, _campaign: endless(state_aware, chance, {}),
        "state_aware_weighted": lambda chance, _campaign: endless(state_aware, chance, WEIGHTS),
        "hypothesis": hypothesis_traces,
    }
    for name, source in sources.items():
        show(name, source, variants, 1 if name == "hand_tests" else arguments.seeds)


def show(name: str, source: Source, variants: list[dict], seeds: int) -> None:
    start, means, compounds = time.process_time(), [], []
    for seed in range(seeds):
        done = [campaign(source, variant, seed) for variant in variants]
        means.append(statistics.mean(sum(len(guilty) for _, guilty, _ in c.found) for c in done))
        compounds.append(statistics.mean(sum(len(guilty) > 1 for _, guilty, _ in c.found) for c in done))
    spread = f"{statistics.stdev(means):.2f}" if seeds > 1 else "-"
    seconds = (time.process_time() - start) / seeds
    print(
        f"{name}: {statistics.mean(means):.2f} of 10 retired (sd {spread}, {seeds} seeds),"
        f" {statistics.mean(compounds):.2f} compound, {seconds:.0f} CPU seconds",
        flush=True,
    )


def campaign(source: Source, variant: dict, seed: int) -> Campaign:
    running = Campaign([DEFECTS[number] for number in variant["defects"]], variant["calls"])
    for trace in source(random.Random(f"{variant['seed']} {seed}"), running):
        running.run([trace])
        if running.over:
            break
    return running


def endless(make: Callable[..., Trace], *arguments: object) -> Iterator[Trace]:
    while True:
        yield make(*arguments)


# --- naive ------------------------------------------------------------------------------------------------------


def naive(chance: random.Random) -> Trace:
    trace: Trace = []
    for position in range(MOST_OPERATIONS):
        name = chance.choice([*OPERATIONS])
        trace.append([name, *(naive_argument(chance, kind, position) for kind in OPERATIONS[name][0])])
    return trace


def naive_argument(chance: random.Random, kind: str, position: int) -> object:
    if kind == "scopes":
        return sorted(chance.sample(SCOPES, chance.randint(1, len(SCOPES))))
    if kind in ("grant", "hold"):
        return chance.randrange(max(1, position))
    ranges = {"amount": (-3, 20), "duration": (1, 10), "nonce": (0, 9), "tick": (1, 5)}
    if kind in ranges:
        return chance.randint(*ranges[kind])
    return chance.choice(ACTORS if kind == "actor" else SCOPES)


# --- state-aware ------------------------------------------------------------------------------------------------


def state_aware(chance: random.Random, weights: dict[str, float]) -> Trace:
    """Every operation fits the state that a correct protocol would be in; one in ten is asked by anybody."""
    model = Model()
    while len(model.trace) < MOST_OPERATIONS:
        names = [name for name in OPERATIONS if model.can(name)]
        name = chance.choices(names, [weights.get(name, 1.0) for name in names])[0]
        model.do(name, model.arguments(chance, name))
    return model.trace


class Model:
    def __init__(self) -> None:
        self.protocol, self.trace = Protocol(), []
        self.grants: list[int] = []  # positions
        self.holds: list[int] = []
        self.once: dict[int, set[str]] = {}  # scopes that a grant has or had

    def can(self, name: str) -> bool:
        return bool(name == "issue" or (self.holds if "hold" in OPERATIONS[name][0] else self.grants))

    def do(self, name: str, arguments: list) -> None:
        kinds, makes = OPERATIONS[name]
        places = {"grant": self.grants, "hold": self.holds}
        numbered = [places[k].index(v) if k in places else v for k, v in zip(kinds, arguments, strict=True)]
        position = len(self.trace)
        self.trace.append([name, *arguments])
        try:
            getattr(self.protocol, name)(*numbered)
        except Rejected:
            return
        if makes:
            places[makes].append(position)
        if makes == "grant":
            self.once[position] = set(self.protocol.grants[-1].own)
        if name == "merge":
            self.once[position] |= self.once[arguments[1]] | self.once[arguments[2]]
        if name == "widen":
            self.once[arguments[1]] |= set(arguments[2])

    def arguments(self, chance: random.Random, name: str) -> list:
        some = sorted(chance.sample(SCOPES, chance.randint(1, len(SCOPES))))
        anybody = chance.choice(ACTORS)
        if name == "issue":
            scopes = sorted(chance.sample(SCOPES, chance.choice([2, 3, 4])))
            return [anybody, chance.choice(ACTORS), scopes, chance.randint(5, 20), chance.randint(3, 15)]
        if name == "tick":
            return [chance.choice([1, 1, 2, 5])]
        if "hold" in OPERATIONS[name][0]:
            return self.about_hold(chance, name)
        position = self.recent(chance)
        grant = self.protocol.grants[self.grants.index(position)]
        right = grant.issuer if name in ISSUER_DOES else grant.holder
        who, limit, own = right if chance.random() < 0.9 else anybody, grant.limit, sorted(grant.own)
        rest = {
            "delegate": lambda: [
                chance.choice(ACTORS),
                sorted(chance.sample(own, chance.randint(1, len(own)))) if own else some,
                chance.choice([limit, max(1, limit // 2), max(1, limit // 3)]),
                chance.randint(2, 15),
            ],
            "hold": lambda: [
                chance.choice(sorted(self.once[position])),
                chance.choice([limit, max(1, limit // 2), 1, 2]),
            ],
            "merge": lambda: [chance.choice(self.siblings(grant, position) or self.grants)],
            "narrow": lambda: [some],
            "widen": lambda: [some],
            "set_limit": lambda: [chance.choice([max(1, limit // 2), limit + 5, limit * 2])],
            "renew": lambda: [chance.randint(1, 15)],
            "transfer": lambda: [chance.choice(ACTORS)],
        }
        return [who, position, *rest.get(name, list)()]

    def about_hold(self, chance: random.Random, name: str) -> list:
        position = chance.choice(self.holds)
        hold = self.protocol.holds[self.holds.index(position)]
        right = chance.choice([hold.by, hold.grant.holder])
        who = right if chance.random() < 0.9 else chance.choice(ACTORS)
        amounts = {"capture": [hold.amount, max(1, hold.amount // 2), 1], "refund": [1, hold.amount, -1]}
        amount = [chance.choice(amounts[name])] if name in amounts else []
        return [who, position, *amount, *([chance.choice([1, 7])] if name == "capture" else [])]

    def recent(self, chance: random.Random) -> int:
        if chance.random() < 0.5:
            return chance.choice(self.grants)
        return self.grants[-1 - min(len(self.grants) - 1, int(chance.expovariate(1)))]

    def siblings(self, grant, position: int) -> list[int]:
        pairs = zip(self.grants, self.protocol.grants, strict=True)
        return [
            p for p, g in pairs if p != position and g.parent is grant.parent and g.holder == grant.holder
        ]


# --- Hypothesis -------------------------------------------------------------------------------------------------


def hypothesis_traces(chance: random.Random, campaign: Campaign) -> Iterator[Trace]:
    """Sixty examples at a time from a state machine over the variant as it is now, its state seen through a model."""
    from hypothesis import HealthCheck, Phase, seed, settings
    from hypothesis.stateful import run_state_machine_as_test

    quiet = settings(
        max_examples=60,
        stateful_step_count=MOST_OPERATIONS,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    while True:
        recorded: list[Trace] = []
        machine = seed(chance.getrandbits(32))(state_machine(recorded, campaign))
        run_state_machine_as_test(machine, settings=quiet)
        yield from (trace for trace in recorded if trace)


def state_machine(recorded: list[Trace], campaign: Campaign):
    from hypothesis import strategies
    from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

    actors, scope = strategies.sampled_from(ACTORS), strategies.sampled_from(SCOPES)
    scopes = strategies.lists(scope, min_size=1, unique=True).map(sorted)
    amounts, durations, places = (
        strategies.integers(1, 20),
        strategies.integers(1, 10),
        strategies.integers(0, 5),
    )
    some_grants = precondition(lambda machine: machine.model.grants)
    some_holds = precondition(lambda machine: machine.model.holds)

    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.model = Model()
            self.model.protocol = campaign.kind()

        def teardown(self) -> None:
            recorded.append(self.model.trace)

        def on_grant(self, name, place, rest, who=None) -> None:
            position = self.model.grants[place % len(self.model.grants)]
            grant = self.model.protocol.grants[self.model.grants.index(position)]
            right = grant.issuer if name in ISSUER_DOES else grant.holder
            self.model.do(name, [who or right, position, *rest])

        def on_hold(self, name, place, rest) -> None:
            position = self.model.holds[place % len(self.model.holds)]
            hold = self.model.protocol.holds[self.model.holds.index(position)]
            self.model.do(name, [hold.by, position, *rest])

        @rule(who=actors, to=actors, scopes=scopes, amount=amounts, duration=durations)
        def issue(self, who, to, scopes, amount, duration):
            self.model.do("issue", [who, to, scopes, amount, duration])

        @some_grants
        @rule(place=places, to=actors, scopes=scopes, amount=amounts, duration=durations)
        def delegate(self, place, to, scopes, amount, duration):
            self.on_grant("delegate", place, [to, scopes, amount, duration])

        @some_grants
        @rule(place=places, scope=scope, amount=amounts)
        def hold(self, place, scope, amount):
            self.on_grant("hold", place, [scope, amount])

        @some_grants
        @rule(place=places, name=strategies.sampled_from(["narrow", "widen"]), scopes=scopes)
        def change_scopes(self, place, name, scopes):
            self.on_grant(name, place, [scopes])

        @some_grants
        @rule(place=places, name=strategies.sampled_from(["set_limit", "renew"]), amount=amounts)
        def change_number(self, place, name, amount):
            self.on_grant(name, place, [amount])

        @some_grants
        @rule(place=places, name=strategies.sampled_from(["revoke", "reinstate"]))
        def change_state(self, place, name):
            self.on_grant(name, place, [])

        @some_grants
        @rule(place=places, to=actors)
        def transfer(self, place, to):
            self.on_grant("transfer", place, [to])

        @some_grants
        @rule(place=places, other=places)
        def merge(self, place, other):
            self.on_grant("merge", place, [self.model.grants[other % len(self.model.grants)]])

        @some_holds
        @rule(place=places, amount=amounts, nonce=strategies.integers(0, 9))
        def capture(self, place, amount, nonce):
            self.on_hold("capture", place, [amount, nonce])

        @some_holds
        @rule(place=places)
        def release(self, place):
            self.on_hold("release", place, [])

        @some_holds
        @rule(place=places, amount=strategies.integers(-3, 20))
        def refund(self, place, amount):
            self.on_hold("refund", place, [amount])

        @rule(duration=strategies.integers(1, 5))
        def tick(self, duration):
            self.model.do("tick", [duration])

    return Machine


if __name__ == "__main__":
    main()
