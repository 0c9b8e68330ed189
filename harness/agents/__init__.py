"""Zone: who proposes. Agents see copies and rounded scores; nothing here may name a referee's secret.

Agents are in `api/`, `command_line/` and `controls/`, each with a file in `conf/agent/`; the files here they share.
"""
