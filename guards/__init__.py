"""Guards: pure functions from evidence to a verdict. Each imports `harness.records` only.

A guard's `stages` (static, runtime, promotion) say when it is asked; `conf/guards/` says which are, and in which order.
"""
