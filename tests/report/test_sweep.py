"""Sweeps: which sessions they are made of, that a failed one is a result, that an interrupted sweep goes on."""

import io
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from harness.config.compose import composed
from harness.config.setup import load
from harness.errors import UserError
from harness.ledger.reading import Tail
from harness.ledger.sweep_record import Record, read
from harness.sweep import runner as sweeps
from harness.sweep.arms import sweep_of
from harness.sweep.live import LiveArms
from harness.sweep.runner import Runner, _slots_elsewhere, main, trial_places
from harness.task.task import Profile
from tests.report.conftest import wait_until

STUB = """
import json, os, sys, time
from pathlib import Path
arguments = dict(argument.partition("=")[::2] for argument in sys.argv[2:])
folder = Path(arguments["session.folder"].strip('"')) / "session"
folder.mkdir(parents=True, exist_ok=True)
with (folder.parent.parent / "starts.txt").open("a") as file:
    file.write(f"{folder.parent.name} {arguments.get('executor.gpu', '-')} {os.environ['HARNESS_SWEEP']}\\n")
if arguments["agent"] == "bad":
    sys.exit("harness: no key for the agent")
row = {"seq": 0, "kind": "session_started", "task": "t", "choices": {"agent": arguments["agent"]}}
(folder / "ledger.jsonl").write_text(json.dumps(row) + "\\n")
running = folder.parent.parent / f"running-{os.getpid()}"
running.touch()
time.sleep(float(os.environ.get("STUB_SECONDS", "0.05")))
with (folder.parent.parent / "most.txt").open("a") as file:
    file.write(f"{len(list(running.parent.glob('running-*')))}\\n")
running.unlink()
"""


def test_arms_are_the_product_and_repeats_are_interleaved():
    """Every combination once; all arms of repeat 0 come before any of repeat 1; fixed arguments go to each."""
    sweep = sweep_of(["program=default,bold", "budget.hours=1", "agent=claude,optuna", "repeat=0,1,2"])
    assert len(sweep.arms) == 12
    assert [arm.choices["repeat"] for arm in sweep.arms] == ["0"] * 4 + ["1"] * 4 + ["2"] * 4
    assert len({arm.name for arm in sweep.arms}) == 12
    assert sweep.arms[1].arguments == ("budget.hours=1", "program=default", "agent=optuna", "repeat=0")
    assert sweep.arms[0].name == "program-default_agent-claude_repeat-0"


def test_hydra_grammar_is_understood():
    """Ranges, quoted values with commas, paths of programs; a list in brackets is one value."""
    assert [arm.choices for arm in sweep_of(["repeat=range(0,3)"]).arms] == [
        {"repeat": str(n)} for n in range(3)
    ]
    assert len(sweep_of(["program=a/b.md,../c.md"]).arms) == 2
    sweep = sweep_of(["agent=a,b", "x=[1,2]"])
    assert [arm.arguments[0] for arm in sweep.arms] == ["x=[1,2]", "x=[1,2]"]


def test_same_command_same_folder_in_any_order_and_a_tag_names_it():
    """The folder is found again by the arguments, or by the name that was given."""
    first, second = sweep_of(["a=1,2", "b=3"]), sweep_of(["b=3", "a=1,2"])
    assert first.folder == second.folder != sweep_of(["a=1,2", "b=4"]).folder
    assert sweep_of(["a=1,2", "session.tag=night", "session.folder=x/y"]).folder == Path("x/y/night")


@pytest.mark.parametrize(
    "arguments",
    [["agent=random"], [], ["agent=a,b", "sweep.slots=0"], ["agent=a,a"], ["agent=glob(x*)"], ["=,"],
     ["a=range(0,2000)"], ["a=1,2", "session.tag=x,y"], ["keep.alpha=interval(0,1)"], ["budget.hours=glob(*)"]],
)  # fmt: skip
def test_what_is_no_sweep_is_one_line(arguments):
    """A user's mistake is a UserError."""
    with pytest.raises(UserError):
        sweep_of(arguments)


@given(st.lists(st.text("abc/.-_ ", min_size=1, max_size=150), min_size=2, max_size=6, unique=True))
def test_names_of_arms_are_distinct_folders(values):
    """Whatever the values hold, two arms never share a folder and no folder is a path."""
    quoted = ",".join(f"'{value}'" for value in values)
    names = [arm.name for arm in sweep_of([f"agent={quoted}"]).arms]
    assert len(set(names)) == len(values)
    assert all("/" not in name and not name.startswith(".") and len(name) < 200 for name in names)


def test_one_timed_trial_a_gpu():
    """More would slow each other unseen: refused. Fixed work may share a GPU, and what needs none has the cores."""
    timed, fixed, host = Profile(1, gpu=True), Profile(1, gpu=True, steps=5), Profile(1, "cpu")
    assert trial_places([timed, host], [0, 1]) == [0, 1]
    assert trial_places([timed], [2, 5], 1) == [2]
    assert trial_places([fixed], [0], 2) == [0, 0]
    assert trial_places([host], [0], 3) == trial_places([timed], [], 3) == [None] * 3
    with pytest.raises(UserError, match="there is 1 GPU, and timed trials"):
        trial_places([timed, fixed], [0], 2)


def test_a_sweep_that_would_share_a_gpu_is_refused_before_it_starts(tmp_path, monkeypatch):
    """From the configuration alone: profile gpu of nanochat is timed, with budget.steps it is not."""
    seen = []
    monkeypatch.setattr(sweeps, "permitted_gpus", lambda: [0])
    monkeypatch.setattr(Runner, "run", lambda runner: seen.append(runner.slots))
    command = ["task=nanochat", "budget=gpu", "repeat=0,1", "sweep.slots=2", f"session.folder={tmp_path}"]
    with pytest.raises(UserError, match=r"budget\.steps=N"):
        main(command)
    assert not list(tmp_path.iterdir())
    main([*command, "budget.steps=100"])
    main(["task=digits", *command[2:]])
    assert seen == [[0, 0], [None, None]]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a sweep whose sessions are stubs; returns the sweep's folder."""
    (tmp_path / "stub.py").write_text(STUB)
    monkeypatch.chdir(tmp_path)

    def call(*arguments, slots=(None,), abreast=1):
        sweep = sweep_of([*arguments, "session.tag=s"])
        command = (sys.executable, str(tmp_path / "stub.py"))
        Runner(sweep, Record(sweep.folder), list(slots), abreast, command).run()
        return tmp_path / "sessions" / "s"

    return call


def test_a_failed_arm_is_a_result_and_is_not_repeated(run):
    """It is written down with its last line; the others go on; the same command runs nothing again."""
    folder = run("agent=good,bad", "repeat=0,1")
    ended = Record(folder).ended()
    assert {name: row["code"] for name, row in ended.items()} == {
        "agent-good_repeat-0": 0, "agent-bad_repeat-0": 1, "agent-good_repeat-1": 0, "agent-bad_repeat-1": 1,
    }  # fmt: skip
    assert ended["agent-bad_repeat-0"]["error"] == "harness: no key for the agent"
    starts = (folder / "starts.txt").read_text()
    run("agent=good,bad", "repeat=0,1")
    assert (folder / "starts.txt").read_text() == starts
    assert [line.split()[0] for line in starts.splitlines()] == list(ended)
    assert all(line.split()[2] == "s" for line in starts.splitlines())
    run("agent=good,bad", "repeat=0,1", "sweep.retry_failed=true")
    assert (folder / "starts.txt").read_text().count("agent-bad") == 4


def test_slots_are_kept_and_each_gpu_has_one_session(run, monkeypatch):
    """Never more sessions than slots at once; a session is told its GPU and keeps it."""
    monkeypatch.setenv("STUB_SECONDS", "0.2")
    folder = run("agent=a,b,c", "repeat=0,1", slots=(0, 1))
    assert max(map(int, (folder / "most.txt").read_text().split())) <= 2
    assert {line.split()[1] for line in (folder / "starts.txt").read_text().splitlines()} == {"0", "1"}


def test_sessions_go_on_side_by_side(run, monkeypatch):
    """As many as were asked for, and never more."""
    monkeypatch.setenv("STUB_SECONDS", "1.0")
    folder = run("agent=a,b,c,d,e,f", abreast=3)
    assert max(map(int, (folder / "most.txt").read_text().split())) == 3


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_interrupted_sweep_goes_on_with_the_same_command(run, tmp_path, number):
    """Ended arms stay ended, the one under way is run again; no session outlives the sweep."""
    code = (
        "import sys\nfrom harness.sweep.runner import Runner\nfrom harness.sweep.arms import sweep_of\n"
        "from harness.ledger.sweep_record import Record\n"
        "sweep = sweep_of(['agent=a,b,c', 'session.tag=s'])\n"
        f"command = (sys.executable, '-c', 'import sys\\nfrom harness.sweep.child import end_with_parent\\n"
        f"end_with_parent(int(sys.argv[1]))\\nexec(open({str(tmp_path / 'stub.py')!r}).read())')\n"
        "Runner(sweep, Record(sweep.folder), [None], 1, command).run()\n"
    )
    file = tmp_path / "sweep.py"
    file.write_text(code.replace("'-c', 'import", "'-c', '''import").replace(".read())')", ".read())''')"))
    folder = tmp_path / "sessions" / "s"
    with subprocess.Popen(
        [sys.executable, file], env={**os.environ, "STUB_SECONDS": "30"}, stderr=subprocess.DEVNULL
    ) as process:
        wait_until(lambda: list(folder.glob("running-*")))
        process.send_signal(number)
    (running,) = folder.glob("running-*")
    pid = int(running.name.split("-")[1])
    wait_until(lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text())
    running.unlink()
    assert Record(folder).ended() == {}
    run("agent=a,b,c")
    assert [row["code"] for row in Record(folder).ended().values()] == [0, 0, 0]
    assert (folder / "starts.txt").read_text().count("agent-a ") == 2


def test_a_torn_record_is_passed_over(tmp_path):
    """A kill in the middle of a line costs that line only."""
    record = Record(tmp_path)
    record.add("arm_ended", arm="a", code=0)
    with (tmp_path / "sweep.jsonl").open("a") as file:
        file.write('{"kind": "arm_en')
    again = Record(tmp_path)
    again.add("arm_ended", arm="b", code=0)
    assert [row["arm"] for row in read(tmp_path)] == ["a", "b"]


def test_every_arm_is_checked_before_any_is_started(tmp_path, monkeypatch):
    """A typo in the last choice is found at once."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="did you mean optuna"):
        main(["agent=random,optunna"])
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_that_only_building_finds_is_found_before_any_starts(tmp_path, monkeypatch):
    """A key that is missing for the last arm: the arm is named, and nothing was made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UserError, match=r"arm agent=openai: .*OPENAI_API_KEY"):
        main(["preset=smoke", "agent=random,openai"])
    with pytest.raises(UserError, match=r"arm agent=random repeat=x: repeat: 'x'"):
        main(["preset=smoke", "agent=random,optuna", "repeat=0,x"])
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_its_agent_does_not_read_makes_no_arm(capsys, tmp_path, monkeypatch):
    """Merged and said where another agent reads it; refused where nobody does; limits still tell arms apart."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    dry = ["preset=smoke", "program=default,bold", "repeat=0,1"]
    assert main([*dry, "agent=random,openai"], dry=True) == 0
    out = capsys.readouterr().out
    assert "6 arms, nothing is started" in out
    assert "agent reads no program: program=bold repeat=1 agent=random" in out
    with pytest.raises(UserError, match="no program is read by agent optuna and random"):
        main([*dry, "agent=random,optuna"], dry=True)
    main(["preset=smoke", "agent=random", "budget.hours=1,2"], dry=True)
    assert "2 arms" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_says_hours_and_costs(capsys, tmp_path, monkeypatch):
    """From the limits; where nothing limits an arm, that is said; earlier sessions here teach it what a trial takes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    command = [
        "preset=smoke",
        "keep=greedy",
        "agent=random,openai",
        "budget.proposals=50",
        "budget.certificate=0",
    ]
    main(command, dry=True)
    out = capsys.readouterr().out
    # 1 + 50 * 1.2 trials of 2 seconds, and at most 2 dollars a proposal
    assert "agent=random  2 min, $0" in out
    assert "agent=openai  2 min, at most $100.00" in out
    assert "no earlier session here" in out
    main(["preset=smoke", "agent=random,openai"], dry=True)
    out = capsys.readouterr().out
    assert "no limit of hours (budget.hours, .trials or .proposals)" in out
    assert "no limit of dollars (budget.dollars)" in out
    folder = tmp_path / "sessions" / "earlier"
    folder.mkdir(parents=True)
    config = load(["preset=smoke", "agent=random"]).config
    rows = [
        {"seq": 0, "kind": "session_started", "task": "digits", "config": config},
        {"seq": 1, "kind": "trial_started", "trial_id": "b-1", "role": "baseline"},
        {"seq": 2, "kind": "trial_finished", "trial_id": "b-1", "outcome": "completed", "wall_seconds": 60.0},
    ]
    (folder / "ledger.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    main(command, dry=True)
    out = capsys.readouterr().out
    assert "agent=random  1.0 h, $0" in out
    assert "from 1 earlier sessions in sessions" in out


def test_the_table_of_arms_follows_their_ledgers(tmp_path):
    """State, keeps and costs as they grow; more arms than the terminal has lines leave the ones under way."""
    arms = {f"a{n}": (f"agent=a{n}", tmp_path / f"a{n}") for n in range(60)}
    view = LiveArms(arms)
    for n in range(30):
        view.set(f"a{n}", "ended")
    view.set("a30", "under way")
    (tmp_path / "a30" / "session").mkdir(parents=True)
    (tmp_path / "a30" / "session" / "ledger.jsonl").write_text(
        '{"seq": 0, "kind": "session_started", "task": "t"}\n'
    )
    console = Console(file=io.StringIO(), width=100, height=20)
    console.print(view.table(20))
    text = console.file.getvalue()
    assert "agent=a30" in text
    assert "0 of 0" in text
    assert "30 of 60 arms have ended, 1 under way, 29 wait" in text
    assert len(text.splitlines()) <= 20


@pytest.mark.slow
def test_real_sessions_killed_in_the_middle_and_compared(tmp_path):
    """Two control agents on the smallest task: one command, kill -9, the same command, every arm ended once."""
    command = [sys.executable, "-m", "harness", "-m", "agent=random,optuna", "repeat=0,1", "preset=smoke",
               "budget.proposals=2", "session.tag=s", f"session.folder={tmp_path}", "sweep.slots=1",
               "sweep.abreast=2"]  # fmt: skip
    with subprocess.Popen(command, cwd=tmp_path) as process:
        wait = time.monotonic() + 600
        while not re.search(
            '"proposed"', "".join(p.read_text() for p in tmp_path.glob("s/*/*/ledger.jsonl"))
        ):
            assert time.monotonic() < wait
            time.sleep(0.5)
        process.kill()
    subprocess.run(command, cwd=tmp_path, check=True, timeout=1200)
    ended = [row for row in read(tmp_path / "s") if row["kind"] == "arm_ended"]
    assert [row["code"] for row in ended] == [0, 0, 0, 0]
    trials = []
    for ledger in tmp_path.glob("s/*/*/ledger.jsonl"):
        rows = Tail(ledger).rows()
        assert rows[-1]["kind"] == "session_ended"
        finished = [row["trial_id"] for row in rows if row["kind"] == "trial_finished"]
        assert len(finished) == len(set(finished))
        started = {row["trial_id"]: row["time"] for row in rows if row["kind"] == "trial_started"}
        trials += [
            (started[row["trial_id"]], row["time"], ledger.parent)
            for row in rows
            if row["kind"] == "trial_finished" and row["reason"] != "interrupted"
        ]
    trials.sort()
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(trials))  # one at a time
    changes = sum(first[2] != second[2] for first, second in itertools.pairwise(trials))
    assert changes > len(trials) / 2  # turn by turn, not session by session
    said = subprocess.run(
        [sys.executable, "-m", "harness.compare", tmp_path / "s", "--json", tmp_path / "c.json"],
        check=True, capture_output=True, text=True, timeout=300,
    ).stdout  # fmt: skip
    assert "cannot tell" in said or "better" in said
    assert len(json.loads((tmp_path / "c.json").read_text())["arms"]) == 2


def test_arms_elsewhere_share_the_slots_of_the_queue():
    """The number of trials under way in all arms together is the executor's; cards are the sweep's to give."""
    queue = composed(["task=digits", "executor=slurm", "executor.slots=7"])[0]
    assert _slots_elsewhere(queue) == 7
    assert _slots_elsewhere(composed(["task=digits"])[0]) is None
    assert _slots_elsewhere(composed(["task=digits", "executor.gpus=all"])[0]) is None


def test_an_arm_on_several_cards_takes_turns_for_each(tmp_path: Path) -> None:
    """It is bound to none of them; its neighbour gets one card and knows of no other."""
    sweep = sweep_of(["agent=random,optuna", f"session.folder={tmp_path}"])
    sweep.folder.mkdir(parents=True)
    code = (
        "import json, os, sys; print(json.dumps([sys.argv[2:], "
        "{name: value for name, value in os.environ.items() if 'TURNS' in name}]))"
    )
    several = frozenset({sweep.arms[0].name})
    command = (sys.executable, "-c", code)
    Runner(sweep, Record(sweep.folder), [0, 1], 1, command, several).run()
    told = [json.loads((sweep.folder / arm.name / "output.log").read_text()) for arm in sweep.arms]
    words, turns = zip(*told, strict=True)
    bound = [any(word.startswith("executor.gpu=") for word in each) for each in words]
    assert bound == [False, True]
    assert turns[0].keys() == {"HARNESS_TURNS", "HARNESS_TURNS_GPU0", "HARNESS_TURNS_GPU1"}
    assert len(set(turns[0].values())) == 2
    assert turns[1].keys() == {"HARNESS_TURNS"}
