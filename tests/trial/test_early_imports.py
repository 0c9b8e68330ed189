"""What is imported before a program follows from its code, not from its words."""

import pytest

from harness.config.setup import load
from harness.task.imports import _builds_optimisers, early_imports, imports

USES = [
    "import torch\ntorch.optim.AdamW([])",
    "import torch.optim",
    "import torch.optim as optim",
    "from torch import optim",
    "from torch.optim import SGD",
    "def late():\n    from torch.optim.lr_scheduler import LambdaLR",
]
NAMES = [
    "# torch.optim takes seconds\nimport torch",
    '"""Without torch.optim."""',
    "text = 'torch.optim'",
    "def broken(:",
]


@pytest.mark.parametrize("program", USES)
def test_optimisers_that_are_used_are_there_early(program: str) -> None:
    """Their machinery takes seconds to import, and a program may build one after its gate."""
    assert _builds_optimisers(program.encode())


@pytest.mark.parametrize("program", NAMES)
def test_a_word_about_them_is_no_use(program: str) -> None:
    """A comment would cost every process of the session half its memory, and the time to copy it."""
    assert not _builds_optimisers(program.encode())


def test_the_default_sessions_programs_stay_light() -> None:
    """nanochat on a processor brings optimisers of its own, its program for a GPU does not."""
    task = load(["task=nanochat"]).task
    assert early_imports(task) == ("numpy", "torch", "safetensors.torch")
    assert "torch._dynamo" in early_imports(load(["task=nanochat", "budget=gpu"]).task)


def test_files_that_are_no_python_import_nothing() -> None:
    """The interpreter says what is wrong with them; a tree's own modules are no packages."""
    tree = {
        "train.py": b"import model, torch",
        "model.py": b"import numpy",
        "odd.py": b"import (",
        "a.txt": b"import os",
    }
    assert imports(tree) == ["numpy", "torch"]
