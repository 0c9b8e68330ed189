"""Task folders as a source of Hydra configs: `<folder>/task.yaml` is the choice `task=<folder's name>`."""

from typing import ClassVar

from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import DictConfig, OmegaConf

from harness.config.locations import task_folders
from harness.errors import UserError


class TaskFolders(ConfigSource):
    """Group `task`, read from the folders anew at every look-up; adds the key `folder`."""

    ADDRESS: ClassVar[str] = "tasks://folders"

    @staticmethod
    def scheme() -> str:
        return "tasks"

    def available(self) -> bool:
        return True

    def is_group(self, config_path: str) -> bool:
        return config_path in ("", "task")

    def is_config(self, config_path: str) -> bool:
        return self._name(config_path) in task_folders()

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        if config_path == "":
            return [] if results_filter is ObjectType.CONFIG else ["task"]
        return [] if results_filter is ObjectType.GROUP else [*task_folders()]

    def load_config(self, config_path: str) -> ConfigResult:
        """Raises UserError for a task.yaml that is not a mapping."""
        folder = task_folders()[self._name(config_path)]
        file = folder / "task.yaml"
        config = OmegaConf.load(file)
        if not isinstance(config, DictConfig):
            raise UserError(f"{file} does not hold keys and values")
        config["folder"] = str(folder)
        header = self._get_header_dict(file.read_text(encoding="utf-8"))
        return ConfigResult(self.scheme(), f"{self.ADDRESS}", config, header)

    @staticmethod
    def _name(config_path: str) -> str:
        group, _, name = config_path.removesuffix(".yaml").partition("/")
        return name if group == "task" else ""
