"""Guards: pure functions from evidence to a verdict. Each imports `harness.records` only."""
