"""Zone: the harness's own attacks on a task, each beside an honest twin. Only its command uses it.

An attack is a file in attacks/: see `attack.py` for what stands in one.
"""
