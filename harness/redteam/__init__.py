"""Zone: the harness's own attacks on a task, each beside an honest twin. May use sessions' parts; nobody uses it but a command.

An attack is a file in attacks/: see `attack.py` for what stands in one.
"""
