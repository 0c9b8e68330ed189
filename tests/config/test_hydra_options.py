"""Hydra's own options, as people know them: usual spellings, usual output, choices from folders of the user's."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.config.compose import composed, sweeper_params
from harness.config.options import options
from harness.config.setup import load
from harness.errors import UserError
from harness.sweep.arms import sweep_of
from tests.config.test_config import call

ROOT = Path(__file__).parents[2]
PROGRAM = """
import hydra
@hydra.main(version_base="1.3", config_path={conf!r}, config_name="config")
def main(_): ...
main()
"""
QUICK = "# Half a second a trial\ndefaults:\n  - smoke\n  - _self_\nseconds: 0.5\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with `conf/` in it."""
    (tmp_path / "conf" / "budget").mkdir(parents=True)
    (tmp_path / "conf" / "budget" / "quick.yaml").write_text(QUICK)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def hydra_app(folder: Path, *arguments: str) -> str:
    """What a plain Hydra program over the same groups prints; tasks, which are folders, lie beside them as files."""
    shutil.copytree(ROOT / "conf", folder / "conf")
    (folder / "conf" / "task").mkdir()
    for task in (ROOT / "tasks").glob("*/task.yaml"):
        shutil.copy(task, folder / "conf" / "task" / f"{task.parent.name}.yaml")
    (folder / "harness.py").write_text(PROGRAM.format(conf=str(folder / "conf")))
    command = [sys.executable, "-P", "harness.py", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["--cfg", "job", "-p", "keep"],
        ["-c", "hydra", "--package", "hydra.sweep"],
        ["--cfg", "hydra", "-p", "hydra.overrides", "keep.looks=4"],
        ["--cfg", "all", "-p", "budget.seconds", "--resolve", "budget.seconds=3"],
        ["--info", "defaults", "keep=strict"],
        ["--info", "defaults-tree"],
    ],
)
def test_the_output_is_hydras_own(arguments: list[str], tmp_path: Path) -> None:
    """Word for word what a @hydra.main program over the same groups prints."""
    code, out, err = call(*arguments)
    assert (code, err) == (0, "")
    assert out == hydra_app(tmp_path, *arguments)


def test_cfg_shows_interpolations_and_resolves_them(here: Path) -> None:
    """--cfg job as it is written, --cfg job --resolve as it is meant; --cfg alone is checked as well."""
    (here / "conf" / "budget" / "quick.yaml").write_text(QUICK + "trials: ${repeat}\n")
    assert "trials: ${repeat}\n" in call("budget=quick", "--cfg", "job")[1]
    assert "trials: 3\n" in call("budget=quick", "--cfg", "job", "--resolve", "repeat=3")[1]
    assert "trials: 3\n" in call("--cfg", "budget=quick", "repeat=3")[1]
    everything = call("budget=quick", "-c", "all")[1]
    assert everything.startswith("hydra:\n")
    assert "_target_: harness.task.budget.Budget" in everything


@pytest.mark.parametrize("kind", ["all", "config", "defaults", "defaults-tree", "plugins", "searchpath"])
def test_info_of_every_kind(kind: str, here: Path) -> None:
    """Each of Hydra's kinds prints something and ends well."""
    code, out, _ = call("--info", kind)
    assert code == 0
    assert out.strip()
    if kind == "searchpath":
        places = [line.split("|")[1].strip() for line in out.splitlines() if "://" in line]
        assert places == ["hydra", "main", "tasks", "current-folder", "schema"]


def test_conf_here_and_config_dir_add_choices(here: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """`conf/` in the current folder and --config-dir in every spelling; what they add is in the help."""
    assert composed(["budget=quick"])[0]["budget"]["seconds"] == 0.5
    assert "quick" in call("--help")[1]
    other = tmp_path_factory.mktemp("other")
    (other / "keep").mkdir()
    (other / "keep" / "loose.yaml").write_text("# Everything\ndefaults: [race]\nalpha: 0.2\n")
    for spelling in (["--config-dir", str(other)], ["-cd", str(other)], [f"--config-dir={other}"]):
        config, choices = composed([*spelling, "keep=loose", "budget=quick"])
        assert (config["keep"]["alpha"], choices["keep"], choices["budget"]) == (0.2, "loose", "quick")
        assert "loose" in call("--help", *spelling)[1]
    code, _, err = call("keep=loose", "--cfg")
    assert (code, err.count("\n")) == (2, 1)


def test_a_task_may_be_a_file_of_such_a_folder(here: Path) -> None:
    """conf/task/NAME.yaml builds on a task's folder by Hydra's defaults."""
    (here / "conf" / "task").mkdir()
    (here / "conf" / "task" / "half.yaml").write_text(
        "# Half\ndefaults:\n  - digits\n  - _self_\nunit: halves\n"
    )
    setup = load(["task=half"])
    assert (setup.choices["task"], setup.task.unit) == ("half", "halves")


def test_what_a_session_is_made_of_can_be_loaded_from_elsewhere(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recorded arguments name `conf/` by its whole path."""
    setup = load(["budget=quick"])
    elsewhere = here / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert load([*setup.arguments]).fingerprint == setup.fingerprint


def test_a_file_that_would_be_passed_over_is_named(here: Path) -> None:
    """One of ours and one of the user's with the same name and other words: refused; with --config-path theirs wins."""
    (here / "conf" / "keep").mkdir()
    (here / "conf" / "keep" / "race.yaml").write_text("defaults: [strict]\nalpha: 0.2\n")
    code, _, err = call("keep=race", "--cfg")
    assert (code, err.count("\n")) == (2, 1)
    assert "keep=race is a choice of harness's own" in err
    assert composed(["keep=strict"])[1]["keep"] == "strict"
    assert composed(["-cp", str(here / "conf"), "keep=race"])[0]["keep"]["alpha"] == 0.2


def test_a_primary_configuration_of_ones_own(here: Path) -> None:
    """--config-name and -cn, with harness's own configuration among its defaults."""
    (here / "conf" / "evening.yaml").write_text(
        "defaults:\n  - config\n  - override task: digits\n  - override budget: quick\n  - _self_\nrepeat: 4\n"
    )
    for spelling in (["--config-name", "evening"], ["-cn", "evening"], ["-cn=evening.yaml"]):
        config, choices = composed([*spelling, "keep=strict"])
        assert (choices["task"], choices["budget"], choices["keep"]) == ("digits", "quick", "strict")
        assert config["repeat"] == 4
    assert call("-cn", "morning")[0] == 2


def test_groups_within_groups_and_groups_of_ones_own(here: Path) -> None:
    """conf/keep/looks/few.yaml and conf/experiment/one.yaml are added as Hydra adds them."""
    for file, text in {
        "keep/looks/few.yaml": "# @package keep\nmax_runs: 3\n",
        "experiment/one.yaml": "# @package _global_\ndefaults:\n  - override /keep: strict\nrepeat: 2\n",
    }.items():
        (here / "conf" / file).parent.mkdir(parents=True, exist_ok=True)
        (here / "conf" / file).write_text(text)
    config, choices = composed(["+experiment=one", "+keep/looks=few"])
    assert (choices["keep"], config["keep"]["max_runs"], config["repeat"]) == ("strict", 3, 2)


def test_several_choices_of_the_guards(here: Path) -> None:
    """guards=[default,mine] is both, in that order; a choice that is none is named."""
    (here / "conf" / "guards").mkdir()
    (here / "conf" / "guards" / "mine.yaml").write_text("mine:\n  _target_: guards.complexity.Complexity\n")
    config, choices = composed(["guards=[minimal,mine]"])
    assert ([*config["guards"]], choices["guards"]) == (["scope", "integrity", "mine"], "minimal,mine")
    with pytest.raises(UserError, match="guards=main: no such choice; did you mean mine"):
        composed(["guards=[minimal,main]"])


def test_a_searchpath_on_the_command_line(here: Path) -> None:
    """hydra.searchpath adds folders, as in Hydra."""
    (here / "more" / "keep").mkdir(parents=True)
    (here / "more" / "keep" / "loose.yaml").write_text("defaults: [race]\nalpha: 0.2\n")
    config, _ = composed([f"hydra.searchpath=[file://{here}/more]", "keep=loose"])
    assert config["keep"]["alpha"] == 0.2


PLUGIN = """
from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

class Lab(SearchPathPlugin):
    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        search_path.append("lab", "pkg://lab.conf")
"""


@pytest.mark.parametrize("way", ["plugin", "entry point"])
def test_installed_packages_add_choices(way: str, tmp_path: Path) -> None:
    """Through Hydra's search-path plugins, or an entry point of the group harness.conf."""
    site = tmp_path / "site"
    (site / "lab" / "conf" / "keep").mkdir(parents=True)
    for package in ("lab", "lab/conf"):
        (site / package / "__init__.py").touch()
    (site / "lab" / "conf" / "keep" / "loose.yaml").write_text("# Lab\ndefaults: [race]\nalpha: 0.2\n")
    if way == "plugin":
        (site / "hydra_plugins" / "lab").mkdir(parents=True)
        (site / "hydra_plugins" / "lab" / "__init__.py").write_text(PLUGIN)
    else:
        (site / "lab-1.dist-info").mkdir()
        (site / "lab-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: lab\nVersion: 1\n")
        (site / "lab-1.dist-info" / "entry_points.txt").write_text("[harness.conf]\nlab = lab.conf\n")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{site}"}
    command = [sys.executable, "-m", "harness", "keep=loose", "--cfg", "job", "-p", "keep.alpha"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("0.2\n", "")


@pytest.mark.parametrize(
    ("argument", "instead"),
    [
        ("hydra.run.dir=out/one", ['session.folder="out"', 'session.tag="one"']),
        ("hydra.sweep.dir=/a/b/c", ['session.folder="/a/b"', 'session.tag="c"']),
        ("hydra.run.dir=one", ['session.folder="."', 'session.tag="one"']),
        ("hydra.job.name=night", ['session.tag="night"']),
        ("hydra/launcher=joblib", ["executor=local"]),
        ("hydra/launcher=basic", ["executor=local"]),
    ],
)
def test_what_has_a_counterpart_becomes_it(argument: str, instead: list[str]) -> None:
    """Habits of Hydra's users work, in a session and in a sweep."""
    assert composed([argument]) == composed(instead)
    assert [arm.arguments for arm in sweep_of([argument, "repeat=0,1"]).arms] == [
        arm.arguments for arm in sweep_of([*instead, "repeat=0,1"]).arms
    ]


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("hydra/launcher=rq", "executor=CHOICE, choices: local"),
        ("hydra/sweeper=optuna", "agent=optuna"),
        ("hydra.sweep.subdir=x", "session.folder=FOLDER"),
        ("hydra.job.chdir=true", "never changes its folder"),
        ("hydra.launcher.n_jobs=2", "executor.KEY=VALUE"),
        ("hydra.verbose=true", "--info"),
        ("hydra/job_logging=disabled", "leave it out"),
        ("hydra.run.dir=out/${now:%Y}", "must find the same folder"),
    ],
)
def test_what_has_none_is_refused_with_what_to_write(argument: str, said: str) -> None:
    """One line, exit code 2."""
    code, out, err = call(argument)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err


def test_a_launcher_in_a_file_is_not_passed_over(here: Path) -> None:
    """A preset that chooses a launcher is refused: no session would use it."""
    (here / "conf" / "preset").mkdir()
    (here / "conf" / "preset" / "mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /hydra/sweeper: mine\n"
    )
    (here / "conf" / "hydra" / "sweeper").mkdir(parents=True)
    (here / "conf" / "hydra" / "sweeper" / "mine.yaml").write_text("_target_: a.B\n")
    with pytest.raises(UserError, match="chooses hydra/sweeper: mine"):
        composed(["preset=mine"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--cfg", "job", "--info"], "only one of"),
        (["--resolve"], "goes with --cfg"),
        (["-p", "keep"], "goes with --cfg"),
        (["--config-dir", "nowhere"], "'nowhere' is not a folder"),
        (["--config-dir"], "expected one argument"),
        (["--experimental-rerun", "x.pickle"], "harness resume TAG"),
        (["--cfg", "job", "-p", "nothing"], "package 'nothing' not found"),
        (["--dry-run"], "give it with -m"),
        (["-sc"], "install=SHELL"),
        (["-sc", "install=tcsh"], "tcsh"),
    ],
)
def test_a_wrong_option_is_one_line(arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 2, and what to do."""
    monkeypatch.setattr(sys, "argv", ["harness"])
    code, out, err = call(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err


def test_options_stand_anywhere() -> None:
    """Between arguments, too; --cfg and --info take a word only where it is one of theirs."""
    found = options(["a=1", "-m", "b=2", "-cd", str(ROOT), "c=3"])
    assert (found.overrides, found.multirun, found.config_dirs) == (("a=1", "b=2", "c=3"), True, (ROOT,))
    assert options(["--info", "a=1"]).overrides == ("a=1",)
    assert options(["hydra.mode=MULTIRUN", "a=1,2"]).multirun


def test_sweeps_that_a_file_asks_for(here: Path) -> None:
    """hydra.sweeper.params of a configuration is swept, unless the command line says otherwise."""
    (here / "conf" / "nightly.yaml").write_text(
        "defaults: [config, _self_]\n"
        "hydra:\n  sweeper:\n    params:\n      agent: random,optuna\n      repeat: range(2)\n"
    )
    assert sweeper_params(["-cn", "nightly"]) == ["agent=random,optuna", "repeat=range(2)"]
    assert sweeper_params(["-cn", "nightly", "agent=replay", "task=digits,nanochat"]) == ["repeat=range(2)"]


@pytest.mark.parametrize(
    ("argument", "values"),
    [
        ("keep=choice(race,strict)", ["race", "strict"]),
        ("keep=glob([r*,s*],exclude=st*)", ["race", "rerun"]),
        ("repeat=range(1,6,2)", ["1", "3", "5"]),
        ("keep=sort(strict,race)", ["race", "strict"]),
        ("keep=race,strict", ["race", "strict"]),
    ],
)
def test_the_grammar_of_sweeps(argument: str, values: list[str]) -> None:
    """Choices, globs, ranges and sorted lists are Hydra's."""
    key = argument.partition("=")[0]
    assert [arm.choices[key] for arm in sweep_of([argument]).arms] == values


def test_a_glob_with_one_match_is_that_choice() -> None:
    """No arm is given a pattern to compose."""
    arms = sweep_of(["keep=glob(str*)", "repeat=0,1"]).arms
    assert [arm.arguments for arm in arms] == [("keep=strict", "repeat=0"), ("keep=strict", "repeat=1")]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("agent=o", ["agent=openai", "agent=optuna"]),
        ("preset=smoke bud", ["budget.", "budget="]),
        ("keep.al", ["keep.alpha="]),
        ("repo", ["report"]),
    ],
)
def test_completion_in_a_real_bash(line: str, found: list[str], here: Path) -> None:
    """What `eval "$(harness -sc install=bash)"` gives when Tab is pressed."""
    (here / "harness").write_text(
        f"#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -c "
        '\'import sys; sys.argv[0] = "harness"; from harness.__main__ import main; sys.exit(main())\' "$@"\n'
    )
    (here / "harness").chmod(0o755)
    script = (
        'eval "$(harness -sc install=bash)"\n'
        f'COMP_LINE="harness {line}"; COMP_POINT=${{#COMP_LINE}}; COMP_CWORD={len(line.split())}\n'
        'hydra_bash_completion\nprintf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    environment = {**os.environ, "PATH": f"{here}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script], cwd=here, env=environment, capture_output=True, text=True, check=True
    )
    assert sorted(set(done.stdout.split()) & set(found)) == sorted(found)
    assert all(word.startswith(line.split()[-1]) for word in done.stdout.split())
