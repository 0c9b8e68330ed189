"""Hydra, opened on harness's own config groups and on all that others add to them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from hydra import version
from hydra._internal.hydra import Hydra
from hydra._internal.sources_registry import SourcesRegistry
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from harness.config.locations import conf_folder, config_folders
from harness.config.options import HydraOptions
from harness.config.tasks import TaskFolders
from harness.errors import UserError


class Composer(Hydra):
    """Hydra itself, but that a program may be a file: its path is set as it stands, whatever characters it has."""

    program_path = ""
    search_paths: tuple[str, ...] = ()  # hydra.searchpath=... of the command line

    def compose_config(  # the arguments are Hydra's
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        with_log_configuration: bool = False,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        config = super().compose_config(
            config_name, overrides, run_mode, with_log_configuration, from_shell, validate_sweep_overrides
        )
        if self.program_path:
            with open_dict(config):
                OmegaConf.update(config, "program.path", self.program_path.replace("${", "\\${"))
        return config

    def options_of(self, group: str) -> list[str]:
        """The choices that all sources together offer for a group, plugins' included; [] for what is no group."""
        try:
            overrides = [*self.search_paths] or None
            name = "config" if overrides else None  # where to look is a part of the configuration
            return [*self.config_loader.get_group_options(group, config_name=name, overrides=overrides)]
        except HydraException:
            return []


@contextmanager
def opened(options: HydraOptions) -> Iterator[Composer]:
    """A composer over: --config-path, harness's own, tasks, plugins, --config-dir, conf/ here, installed packages."""
    version.setbase("1.3")
    SourcesRegistry.instance().register(TaskFolders)
    GlobalHydra.instance().clear()
    hydra = Composer.create_main_hydra2("harness", _search_path(options))
    assert isinstance(hydra, Composer)
    try:
        yield hydra
    finally:
        GlobalHydra.instance().clear()


def _search_path(options: HydraOptions) -> ConfigSearchPath:
    own = str(conf_folder())
    path = create_config_search_path(str(options.config_path.resolve()) if options.config_path else own)
    schema = SearchPathQuery(provider="schema")
    if options.config_path:
        path.append("harness", own, anchor=SearchPathQuery(provider="main"))
    path.prepend("tasks", TaskFolders.ADDRESS, anchor=schema)
    for folder, provider in config_folders(options.config_dirs).items():
        path.prepend(provider, f"file://{folder}", anchor=schema)
    return path


def check_not_shadowed(hydra: Composer, choices: Mapping[str, str]) -> None:
    """A choice of harness's own that somebody else has, too, in other words, is nobody's. Raises UserError.

    Hydra takes the first one and says nothing: a file of the user's would be passed over in silence.
    """
    own = (str(conf_folder()), TaskFolders.ADDRESS)
    for group, choice in choices.items():
        found: dict[str, str] = {}
        for source in hydra.config_loader.get_sources():
            if source.scheme() in ("file", "tasks", "pkg") and source.is_config(f"{group}/{choice}"):
                text = OmegaConf.to_yaml(source.load_config(f"{group}/{choice}").config)
                found.setdefault(text, source.path)
        places = [*found.values()]
        if len(places) > 1 and places[0] in own:
            raise UserError(
                f"{group}={choice} is a choice of harness's own, and {places[1]}/{group}/{choice}.yaml says something "
                "else: give that file another name"
            )
