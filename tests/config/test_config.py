"""The command line: what can be chosen, what comes out of it, and the one line that a mistake is worth."""

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import harness
from harness.__main__ import main
from harness.config import setup as config
from harness.config.choices import groups
from harness.config.locations import program_file, task_folders
from harness.errors import AgentError, UserError
from harness.ledger.interruption import HOW_IS_SAID
from harness.ledger.rows import SessionStartedRow
from harness.ledger.session_record import SessionRecord
from harness.sandbox.host import devices
from harness.session.folder import check_same
from harness.task.task import Profile
from harness.trial.local import Local

HEAVY = ("torch", "hydra", "omegaconf", "yaml", "pydantic", "numpy", "anthropic", "pandas", "git")


def call(*arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(arguments))
    return code, out.getvalue(), err.getvalue()


@pytest.fixture
def own_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder of the user's with one task in it, and the current folder somewhere else."""
    shutil.copytree(task_folders()["nanochat"], tmp_path / "mine" / "invented")
    monkeypatch.setenv("HARNESS_TASKS", str(tmp_path / "mine"))
    monkeypatch.chdir(tmp_path)
    return "invented"


def test_help_lists_every_choice_with_a_line_and_its_default() -> None:
    """--help names each group and each choice, explains both, and marks the defaults."""
    code, out, err = call("--help")
    assert (code, err) == (0, "")
    for group in groups().values():
        assert f"\n{group.name}: {group.about}\n" in out
        assert group.about
        assert group.default in group.choices
        assert f"\n  * {group.default}" in out
        for choice, about in group.choices.items():
            assert about, f"{group.name}={choice} has no comment line"
            assert about in out


def test_help_and_version_import_nothing_heavy() -> None:
    """--help and --version answer at once: neither Hydra nor any library that takes time is imported."""
    program = (
        "import sys; from harness.__main__ import main; main(['--help']); main(['--version']);"
        f"print('loaded', sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("loaded []\n")


def test_works_from_any_folder(tmp_path: Path) -> None:
    """`python -m harness` finds its own files wherever it is called."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "harness", "preset=smoke", "--cfg"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "_target_: harness.task.budget.Budget" in done.stdout


def test_the_default_is_complete() -> None:
    """Without any argument every part is there, built and of its own class."""
    setup = config.load([])
    assert setup.choices["preset"] == "default"
    assert setup.choices["task"] == setup.task.name == "nanochat"
    assert [guard.name for guard in setup.guards] == [*setup.config["guards"]]
    assert setup.program == program_file().read_text()
    assert setup.repeat == 0
    assert setup.session == config.SessionSettings()


@pytest.mark.parametrize(
    "group", ["task", "agent", "budget", "guards", "keep", "executor", "tracking", "preset"]
)
def test_every_choice_that_is_offered_can_be_loaded(
    group: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What --help lists exists: given keys and programs, each choice fits its constructor and is built."""
    for variable in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(variable, "none")
    for program in ("claude", "codex"):
        (tmp_path / program).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    for choice in groups()[group].choices:
        assert config.load([f"{group}={choice}"]).choices[group] == choice


def test_a_preset_chooses_for_other_groups_and_gives_way() -> None:
    """preset=smoke picks task and budget; a choice on the command line wins, wherever it stands."""
    smoke = config.load(["preset=smoke"])
    assert (smoke.choices["task"], smoke.choices["budget"]) == ("digits", "smoke")
    for arguments in (["preset=smoke", "task=nanochat"], ["task=nanochat", "preset=smoke"]):
        setup = config.load(arguments)
        assert (setup.choices["task"], setup.choices["budget"]) == ("nanochat", "smoke")


def test_a_new_folder_is_a_new_task(own_task: str) -> None:
    """A folder with a task.yaml is a choice without any registration, and is listed."""
    setup = config.load([f"task={own_task}"])
    assert Path(setup.config["task"]["folder"]) == task_folders()[own_task]
    assert own_task in call("--help")[1]


def test_tasks_in_the_current_folder_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`tasks/` in the current folder counts, and a folder without a task.yaml does not."""
    shutil.copytree(task_folders()["nanochat"], tmp_path / "tasks" / "local-one")
    (tmp_path / "tasks" / "no-task").mkdir()
    monkeypatch.chdir(tmp_path)
    assert "local-one" in task_folders()
    assert "no-task" not in task_folders()
    assert config.load(["task=local-one"]).choices["task"] == "local-one"


@pytest.mark.parametrize(
    "text", ["metric: [", "- a list\n", "", "\xff\xfe", "_target_: harness.task.Task\nmetric: ???\n"]
)
def test_a_broken_task_file_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A task.yaml that cannot be read is the user's mistake, told in one line."""
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "task.yaml").write_bytes(text.encode("latin-1"))
    monkeypatch.setenv("HARNESS_TASKS", str(tmp_path))
    code, _, err = call("task=broken", "--cfg")
    assert (code, err.count("\n")) == (2, 1)


def test_a_program_is_a_file(tmp_path: Path) -> None:
    """program=path/to/file.md gives the agent that text, whatever characters the path has."""
    file = tmp_path / "my 'odd' \\ ${program}, [x] = {y}.md"
    file.write_text("Only change the learning rate.\n")
    setup = config.load([f"program={file}"])
    assert setup.program == "Only change the learning rate.\n"
    assert setup.fingerprint != config.load([]).fingerprint


def test_the_fingerprint_covers_what_bears_on_results(own_task: str, tmp_path: Path) -> None:
    """It changes with the budget, the guards and the repeat; not with names, trackers or the task's place."""
    plain = config.load([f"task={own_task}"]).fingerprint
    for same in ("tracking=none", "session.tag=other", "session.folder=elsewhere"):
        assert config.load([f"task={own_task}", same]).fingerprint == plain
    for other in ("budget.seconds=7", "repeat=1", "keep.alpha=0.02", "~guards.scope"):
        assert config.load([f"task={own_task}", other]).fingerprint != plain
    (tmp_path / "mine").rename(tmp_path / "tasks")
    assert config.load([f"task={own_task}"]).fingerprint == plain


def test_a_task_that_lies_elsewhere_is_told_where_was_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tasks of one's own are found in the current folder alone: whoever stands in another one is told."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_TASKS", str(tmp_path))
    code, _, said = call("task=mine")
    assert code == 2
    assert f"(looked in {tmp_path}, " in said
    assert "there is no ./tasks here; others: HARNESS_TASKS=FOLDER)" in said


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("task=nanocat", "did you mean nanochat?"),
        ("task=elsewhere", "(looked in "),
        ("tusk=nanochat", "did you mean task?"),
        ("nanochat", "did you mean task=nanochat"),
        ("budget=", "budget=: no such choice; choices: cpu"),
        ("budget.second=3", "budget.second: no such key; did you mean seconds?"),
        ("budget.seconds=many", "budget.seconds: 'many'"),
        ("task.profiles.cpu.seconds=many", "task.profiles.cpu.seconds: 'many'"),
        ("program=nowhere.md", "nowhere.md does not exist"),
        ("program=nowhere", "program=nowhere: no such choice"),
        ("agent._target_=os.system", "agent._target_: 'os.system' is not below harness."),
        ("session.tag=../up", "tag '../up' may hold"),
        ("session.folder=${oc.env:NO_SUCH_VARIABLE}", "NO_SUCH_VARIABLE"),
        ("repeat=-", "repeat: '-'"),
        ("~task", "give task=choice"),
        ("task@other=digits", "give task=choice"),
        ("hydra.output_subdir=null", "hydra.output_subdir cannot be set here; the configuration is"),
        ("task=nanochat,digits", "several values; start a sweep with -m"),
        ("--multirun", "a sweep needs an argument with several values"),
        ("--verbose", "unknown option '--verbose'; options: --help"),
        ("agent.x=[", "cannot read 'agent.x=['"),
        ("extra=1", "extra: no such key"),
        ("", "'' is not key=value"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(argument: str, said: str) -> None:
    """A typing error, a wrong type or an unknown choice names the bad thing and lists what there is."""
    code, out, err = call(argument)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert err.startswith("harness: ")


keys = st.sampled_from(
    [*groups(), "session", "repeat", "sandbox", "budget.seconds", "guards.scope", "hydra", "task.x"]
)
garbage = st.one_of(
    st.text(max_size=12),
    st.text("=+~@${}[]'\"\\,:()x1. /", max_size=12),
    st.builds("{}={}".format, keys, st.text(max_size=8)),
    st.builds("{}={}".format, keys, st.text("=+~@${}[]'\"\\,:()x1. /", max_size=8)),
)


@settings(max_examples=80)
@given(st.lists(garbage, min_size=1, max_size=2))
@example(["task=${oc.env:HOME}"])
@example(["task={a:1}"])
@example(["budget.seconds=1e400"])
@example(["budget=null"])
@example(["\ud800=\udfff"])
@example(["program=/dev/zero"])
@example(["program=\x00.md"])
@example(["a.b.c.d=1", "a=2"])
def test_garbage_never_gives_a_traceback(arguments: list[str]) -> None:
    """Whatever is typed: either it is a good configuration, or one line and exit code 2."""
    code, _, err = call(*arguments, "--cfg")
    assert (code, err.count("\n")) in ((0, 0), (2, 1))


@given(st.text(st.characters(categories=("Ll", "Nd")), min_size=1, max_size=10), st.text(max_size=10))
@settings(max_examples=30)
def test_an_unknown_key_is_always_refused(name: str, value: str) -> None:
    """No key is swallowed: one that nothing knows ends with exit code 2."""
    code, _, err = call(f"unknown_{name}={value}", "--cfg")
    assert (code, err.count("\n")) == (2, 1)


def _with_start(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def start(_: object) -> int:
        raise error

    module = types.ModuleType("harness.session.start")
    module.__dict__["start"] = start
    monkeypatch.setitem(sys.modules, "harness.session.start", module)


def test_an_interrupt_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C: one line with the command that resumes, exit code 130."""
    _with_start(monkeypatch, KeyboardInterrupt())
    code, _, err = call("task=nanochat", "session.tag=two")
    assert code == 130
    assert err.strip().endswith("python -m harness task=nanochat session.tag=two")


def test_an_interrupted_session_has_said_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that is on the disk was named with `harness resume`; no second command stands beside it."""
    _with_start(monkeypatch, KeyboardInterrupt(HOW_IS_SAID))
    code, _, err = call("task=nanochat", "session.tag=two")
    assert (code, err.strip()) == (130, "harness: interrupted, nothing is lost")


def test_another_choice_is_named_before_the_keys_that_follow_from_it(tmp_path: Path) -> None:
    """A session of another agent: its name says more than the settings that this agent does not have."""
    begun = SessionStartedRow(
        fingerprint="a",
        choices={"agent": "optuna", "tracking": "local"},
        config={"agent": {"most": 8, "names": []}, "tracking": {"files": 1}},
    )
    now = types.SimpleNamespace(
        fingerprint="b",
        own_code={},
        choices={"agent": "random", "tracking": "none"},
        config={"agent": {"changes": 1}, "tracking": {}},
    )
    with pytest.raises(UserError, match=re.escape("(different: agent: optuna, now random, agent.most, ")):
        check_same(SessionRecord([begun]), now, tmp_path, lambda _: {})  # type: ignore[arg-type]


@pytest.mark.parametrize(("error", "expected"), [(UserError("a\nb"), 2), (AgentError("no\nkey"), 1)])
def test_errors_of_a_session_are_one_line(
    monkeypatch: pytest.MonkeyPatch, error: Exception, expected: int
) -> None:
    """Expected errors print their text on one line; only the user's own mistakes exit with 2."""
    _with_start(monkeypatch, error)
    code, _, err = call()
    assert (code, err.count("\n")) == (expected, 1)


@pytest.mark.parametrize(
    ("said", "found"),
    [(None, [0, 1, 2, 3]), ("2,1", [2, 1]), ("", []), ("-1", []), ("1,9,2", [1]), ("GPU-b, 0", [1, 0])],
)
def test_the_gpus_that_we_may_use(
    monkeypatch: pytest.MonkeyPatch, said: str | None, found: list[int]
) -> None:
    """Those that CUDA_VISIBLE_DEVICES names, as CUDA reads it: by number or by name, up to the first unknown word."""
    monkeypatch.setattr(devices, "visible_gpus", lambda: [f"/dev/nvidia{n}" for n in range(4)])
    monkeypatch.setattr(devices, "_unique_name", lambda node: f"GPU-{'abcd'[int(node[-1])]}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if said is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", said)
    assert devices.permitted_gpus() == found
    on_gpu, on_cpu = Profile(seconds=1.0, gpu=True), Profile(seconds=1.0)
    assert Local().device(on_cpu) is None
    assert (Local(gpu=3).device(on_gpu), Local(gpu=3).device(on_cpu)) == (3, 3)
    if found:
        assert Local().device(on_gpu) == found[0]
    else:
        with pytest.raises(UserError, match="needs a GPU"):
            Local().device(on_gpu)


def test_no_gpu_is_one_line_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "visible_gpus", list)
    monkeypatch.chdir(tmp_path)
    code, out, err = call("task=nanochat", "budget=gpu")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "needs a GPU" in err
    assert list(tmp_path.iterdir()) == []


def test_training_scoring_and_tries_share_one_gpu() -> None:
    """Nobody reads the setting by himself: null means the first GPU for a GPU profile, and none for others."""
    package = Path(harness.__file__).parent
    named = [file.name for file in package.rglob("*.py") if re.search(r"executor\.gpu\b", file.read_text())]
    assert sorted(named) == [
        "runner.py",
        "transfer.py",
    ]  # they set it or hand it on; all others ask for the device
