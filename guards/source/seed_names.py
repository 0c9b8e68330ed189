"""Names that have to do with seeding, wherever they come from. A new library's names belong here."""

GLOBAL = {"manual_seed", "manual_seed_all", "seed", "seed_all", "set_rng_seed", "set_seed", "seed_everything"}
MAKERS = {
    "default_rng", "RandomState", "SeedSequence", "PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64",
    "BitGenerator", "Random", "SystemRandom", "PRNGKey",
}  # fmt: skip
STATE = {
    "initial_seed", "fork_rng", "set_rng_state", "set_rng_state_all", "get_rng_state", "get_rng_state_all",
    "setstate", "getstate", "set_state", "get_state", "graphsafe_set_state", "clone_state", "advance", "jumped",
    "jump", "spawn", "bit_generator", "urandom", "getrandom", "randbits", "token_bytes", "default_generators",
}  # fmt: skip
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
TELLING = (GLOBAL | MAKERS | STATE | {"use_deterministic_algorithms"}) - {
    "seed", "Random", "advance", "spawn", "jump", "get_state", "set_state", "set_seed",
}  # fmt: skip
