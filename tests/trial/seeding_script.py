"""Draws from every kind of generator and prints what came, as JSON: a candidate for test_salted_seeding.py."""

import json
import random
import sys


def python() -> dict[str, object]:
    found: dict[str, object] = {"unseeded": random.random(), "own unseeded": random.Random().random()}
    random.seed(42)
    found["seeded"] = random.random()
    found["own"] = random.Random("text").random()

    class Mine(random.Random):
        """A subclass that seeds itself its own way."""

        def seed(self, a: object = None, version: int = 2) -> None:  # noqa: ARG002 -- the signature is Random's
            super().seed(7)

    return {**found, "subclass": Mine(1).random()}


def numpy() -> dict[str, object]:
    import numpy as np

    found: dict[str, object] = {
        "unseeded": np.random.rand(),
        "own unseeded": np.random.default_rng().random(),
    }
    np.random.seed(42)
    found["legacy"] = np.random.rand()
    found["legacy, array"] = np.random.RandomState([1, 2]).rand()
    found["RandomState"] = np.random.RandomState(np.int64(42)).rand()
    np.random.mtrand._rand.seed(9)
    found["behind rand"] = np.random.rand()
    found["default_rng"] = np.random.default_rng([42, 7]).random()
    for name in ("PCG64", "PCG64DXSM", "MT19937", "SFC64", "Philox"):
        found[name] = np.random.Generator(getattr(np.random, name)(42)).random()
    found["Philox, key"] = np.random.Generator(np.random.Philox(key=42)).random()
    found["children"] = [int(child.generate_state(1)[0]) for child in np.random.SeedSequence(42).spawn(2)]
    found["spawned"] = [child.random() for child in np.random.default_rng(42).spawn(2)]
    return found


def torch() -> dict[str, object]:
    import torch

    found: dict[str, object] = {"unseeded": torch.rand(1).item()}
    found["generator unseeded"] = torch.rand(1, generator=torch.Generator()).item()
    torch.manual_seed(42)
    found["manual_seed"] = torch.rand(1).item()
    torch.random.manual_seed(42)
    found["random.manual_seed"] = torch.rand(1).item()
    found["generator"] = torch.randperm(9, generator=torch.Generator(device="cpu").manual_seed(42)).tolist()
    torch.default_generator.manual_seed(42)
    found["default_generator"] = torch.rand(1).item()
    torch.seed()
    found["seed"] = torch.rand(1).item()
    found["sobol"] = torch.quasirandom.SobolEngine(2, scramble=True, seed=42).draw(1).tolist()
    return found


def libraries() -> dict[str, object]:
    from scipy import stats
    from sklearn.linear_model import SGDClassifier
    from sklearn.utils import check_random_state

    model = SGDClassifier(random_state=42, max_iter=3, tol=None).fit(
        [[0.0], [1.0], [0.2], [0.9]], [0, 1, 0, 1]
    )
    found: dict[str, object] = {"sklearn": check_random_state(42).rand(), "sgd": model.coef_.tolist()}
    found["scipy"] = stats.norm.rvs(random_state=42)
    found["scipy qmc"] = stats.qmc.Sobol(2, seed=42).random(1).tolist()
    return found


KINDS = {"python": python, "numpy": numpy, "torch": torch, "libraries": libraries}

if __name__ == "__main__":
    print(json.dumps({kind: KINDS[kind]() for kind in sys.argv[1:]}))
