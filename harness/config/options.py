"""The options of a command line, Hydra's own and ours, apart from its `key=value` arguments. No Hydra here."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from harness.errors import UserError

CFG = ("job", "hydra", "all")
INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
RESOLVED = "resolved"  # `--cfg` alone: what the session is made of, checked
OPTIONS = (
    "--help, --version, --cfg, --resolve, --package, --info, --multirun, --dry-run, --config-dir, --config-name, "
    "--config-path, --shell-completion, --hydra-help"
)


@dataclass(frozen=True, slots=True)
class HydraOptions:
    """overrides: the `key=value` arguments. config_dirs: folders that add choices; config_path: one that comes before
    harness's own. config_name: the primary configuration. cfg, info: what is to be shown, "" for nothing.
    """

    overrides: tuple[str, ...]
    config_dirs: tuple[Path, ...] = ()
    config_path: Path | None = None
    config_name: str = "config"
    cfg: str = ""
    resolve: bool = False
    package: str | None = None
    info: str = ""
    hydra_help: bool = False
    shell_completion: bool = False
    multirun: bool = False
    dry_run: bool = False

    def where(self) -> tuple[str, ...]:
        """The options that say where choices come from, as they are handed to another process: absolute."""
        said = [f"--config-dir={folder.resolve()}" for folder in self.config_dirs]
        said += [f"--config-path={self.config_path.resolve()}"] if self.config_path else []
        return (*said, *([f"--config-name={self.config_name}"] if self.config_name != "config" else []))


def options(arguments: Sequence[str]) -> HydraOptions:
    """Reads them wherever they stand. Raises UserError, one line, for what is none and for folders that are none."""
    found, unknown = _parser().parse_known_intermixed_args(_with_defaults(arguments))
    if unknown:
        raise UserError(f"unknown option {unknown[0]!r}; options: {OPTIONS}")
    if found.experimental_rerun is not None:
        raise UserError(
            "--experimental-rerun reads a pickle, which harness never does; give harness resume TAG"
        )
    multirun = found.multirun or "hydra.mode=MULTIRUN" in found.overrides
    shown = [
        name
        for name in ("cfg", "info", "hydra_help", "shell_completion")
        if getattr(found, name) not in ("", False)
    ]
    if len(shown) + found.run + multirun > 1:
        raise UserError(
            "give only one of --run, --multirun, --cfg, --info, --hydra-help and --shell-completion"
        )
    if found.resolve and not found.cfg:
        raise UserError("--resolve goes with --cfg, e.g. --cfg job --resolve")
    if found.package and not found.cfg:
        raise UserError("--package goes with --cfg, e.g. --cfg job --package agent")
    if found.dry_run and not multirun:
        raise UserError("--dry-run lists the arms of a sweep; give it with -m. For one session: --cfg")
    overrides = [each for each in found.overrides if not each.startswith("hydra.mode=")]
    path = _folder(found.config_path) if found.config_path is not None else None
    return HydraOptions(
        overrides=tuple(overrides),
        config_dirs=tuple(_folder(each) for each in found.config_dir),
        config_path=path,
        config_name=found.config_name.removesuffix(".yaml"),
        cfg=found.cfg,
        resolve=found.resolve,
        package=found.package,
        info=found.info,
        hydra_help=found.hydra_help,
        shell_completion=found.shell_completion,
        multirun=multirun,
        dry_run=found.dry_run,
    )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{' '.join(message.split())}; see --help")


def _parser() -> argparse.ArgumentParser:
    """The spellings are those of Hydra 1.3."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--cfg", "-c", choices=(*CFG, RESOLVED), default="")
    parser.add_argument("--resolve", action="store_true")
    parser.add_argument("--package", "-p")
    parser.add_argument("--run", "-r", action="store_true")
    parser.add_argument("--multirun", "-m", action="store_true")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--shell-completion", "-sc", action="store_true")
    parser.add_argument("--config-path", "-cp")
    parser.add_argument("--config-name", "-cn", default="config")
    parser.add_argument("--config-dir", "-cd", action="append", default=[])
    parser.add_argument("--experimental-rerun")
    parser.add_argument("--info", "-i", choices=INFO, default="")
    parser.add_argument("--hydra-help", action="store_true")
    return parser


def _with_defaults(arguments: Sequence[str]) -> list[str]:
    """`--cfg` and `--info` may stand alone; what follows them is then an argument of its own."""
    said: list[str] = []
    for place, argument in enumerate(arguments):
        after = arguments[place + 1] if place + 1 < len(arguments) else ""
        if argument in ("--cfg", "-c") and after not in CFG:
            said.append(f"--cfg={RESOLVED}")
        elif argument in ("--info", "-i") and after not in INFO:
            said.append("--info=all")
        else:
            said.append(argument)
    return said


def _folder(name: str) -> Path:
    folder = Path(name)
    try:
        if folder.is_dir():
            return folder
    except ValueError:  # a zero byte
        pass
    raise UserError(
        f"{name!r} is not a folder: --config-dir and --config-path take one that holds config groups"
    )
