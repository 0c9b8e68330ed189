"""The trusted program between the referee and an untrusted one: confines, starts, watches, empties.

It runs as `python -I -S` from an empty environment, imports the standard library only, and reads its whole
plan from standard input (see plan.py). Its words to the referee go over one control socket.
A call that nobody may make is a line in `calls.py`; `seccomp.py` is for calls whose arguments decide.
"""
