"""Names that have to do with seeding, wherever they come from. A new library's names belong here."""

import re

GLOBAL = {
    "manual_seed", "manual_seed_all", "seed", "seed_all", "set_rng_seed", "set_seed", "seed_everything",
    "set_random_seed", "set_global_seed",
}  # fmt: skip
MAKERS = {
    "default_rng", "RandomState", "SeedSequence", "PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64",
    "BitGenerator", "Random", "SystemRandom", "PRNGKey", "check_random_state", "from_seed",
}  # fmt: skip
STATE = {
    "initial_seed", "fork_rng", "set_rng_state", "set_rng_state_all", "get_rng_state", "get_rng_state_all",
    "setstate", "getstate", "set_state", "get_state", "graphsafe_set_state", "clone_state", "advance", "jumped",
    "jump", "spawn", "bit_generator", "urandom", "getrandom", "randbits", "token_bytes", "default_generators",
    "__setstate__", "generate_state",
}  # fmt: skip
READS = {
    "get_rng_state",
    "get_rng_state_all",
    "getstate",
    "get_state",
    "clone_state",
    "fork_rng",
    "bit_generator",
}
"""Looking at a generator's state, or putting it aside: no choice of another one."""
STREAMS = {"advance", "jumped", "jump", "spawn"}
"""Ways to get a second stream out of a first one."""
SWITCHES = {
    "use_deterministic_algorithms", "set_deterministic", "set_deterministic_debug_mode", "deterministic",
    "benchmark", "fill_uninitialized_memory", "benchmark_limit",
}  # fmt: skip
VARIABLES = {
    "PYTHONHASHSEED",
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDNN_DETERMINISTIC",
    "PL_GLOBAL_SEED",
    "TORCH_SEED",
}
SINKS = GLOBAL | MAKERS | STATE | SWITCHES
FAMOUS = {
    "seed",
    "advance",
    "spawn",
    "jump",
    "get_state",
    "set_state",
    "benchmark",
    "deterministic",
    "Random",
}
"""Names that many things have which are no generators."""
TELLING = (GLOBAL | MAKERS | STATE | {"use_deterministic_algorithms"}) - FAMOUS - {"set_seed"}
RANDOM_OBJECTS = MAKERS | {"Generator", "Sobol", "Halton", "SobolEngine"}

_KEYWORD = re.compile(r"(?:^|_)(?:seed|seeds|random_state|randomstate|entropy)$")
_PATHS = re.compile(
    r"(?:^|\.)(?:random\.key|random\.PRNGKey|language\.(?:rand|randn|randint|randn4x|rand4x|philox))$"
)


def is_seed_keyword(name: str | None) -> bool:
    """Whether a keyword of a library's function asks for a seed: seed, data_seed, random_state, ..."""
    return name is not None and _KEYWORD.search(name.lower()) is not None


def takes_a_seed(name: str | None) -> bool:
    """Whether a keyword of a library's function takes a generator, or a number that it makes one of: `rng=137`."""
    return name in ("rng", "generator", "bit_generator")


def is_seeding_path(path: str) -> bool:
    """Functions whose last name alone does not tell: jax.random.key, triton.language.rand."""
    return _PATHS.search(path) is not None
