"""What Hydra's own options show, with Hydra's own output: --cfg, --info, --hydra-help and shell completion."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator

from hydra._internal.utils import get_args_parser
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from harness.config.compose import innermost, prepared
from harness.config.options import HydraOptions
from harness.config.search import Composer, opened
from harness.errors import UserError


def show(given: HydraOptions, commands: list[str]) -> int:
    """Prints what was asked for. commands: names of harness's own, for completion. Raises UserError."""
    try:
        with opened(given) as hydra, _complaints():
            if given.shell_completion:
                _complete(hydra, given, commands)
                return 0
            overrides = prepared(hydra, given)
            if given.hydra_help:
                hydra.hydra_help(given.config_name, get_args_parser(), _Arguments(overrides))
            elif given.info:
                hydra.show_info(given.info, given.config_name, overrides)
            else:
                hydra.show_cfg(given.config_name, overrides, given.cfg, given.package, given.resolve)
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:
        raise UserError(f"configuration: {innermost(error)}") from error
    return 0


class _Arguments:
    """The one attribute of its parser's answer that Hydra's help reads."""

    def __init__(self, overrides: list[str]) -> None:
        self.overrides = overrides


@contextlib.contextmanager
def _complaints() -> Iterator[None]:
    """Hydra leaves with exit code 1 and words on stderr where a package is unknown: the user's mistake, in a line."""
    words = io.StringIO()
    try:
        with contextlib.redirect_stderr(words):
            yield
    except SystemExit as left:
        if left.code not in (0, None):
            raise UserError(f"configuration: {' '.join(words.getvalue().split())}") from None
    else:
        sys.stderr.write(words.getvalue())


def _complete(hydra: Composer, given: HydraOptions, commands: list[str]) -> None:
    asked = [each.partition("=")[0] for each in given.overrides]
    if asked not in (["install"], ["uninstall"], ["query"]):
        raise UserError(
            "--shell-completion takes install=SHELL, uninstall=SHELL or query=SHELL; shells: bash, fish, zsh"
        )
    if asked == ["query"]:
        for word in _own_words(os.environ.get("COMP_LINE", ""), commands):
            print(word)
        hydra.shell_completion(given.config_name, [*given.overrides])
    elif os.path.basename(sys.argv[0]) == "harness":
        hydra.shell_completion(given.config_name, [*given.overrides])
    else:
        raise UserError('completion is for the command harness: eval "$(harness -sc install=bash)"')


def _own_words(line: str, commands: list[str]) -> list[str]:
    """Commands that the first word may become, while it is being typed."""
    words = line.split()
    typed = "" if line.endswith(" ") else words[-1] if len(words) > 1 else ""
    is_first = len(words) + line.endswith(" ") <= 2
    return [name for name in commands if is_first and name.startswith(typed)]
