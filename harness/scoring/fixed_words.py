"""Which of evaluate.py's own words an agent may read: those that stand in its source, and so quote nothing."""

import ast
from pathlib import Path


def fixed_words(evaluate: str, message: str) -> str:
    """The message, if evaluate.py raises just that, as a plain text without values; else ""."""
    tree = ast.parse(Path(evaluate).read_bytes())
    raised = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise)]
    literal = {
        argument.value
        for call in raised
        if isinstance(call, ast.Call)
        for argument in call.args
        if isinstance(argument, ast.Constant)
    }
    return message if message in literal else ""
