"""Group E: protected files, the interpreter, and artefacts that are not what they seem."""

# ruff: noqa: E501 -- lines of the candidates' source text

import struct

import pytest
from safetensors_bytes import safetensors_bytes
from sandbox_levels import TrialBench

from harness.records import Outcome

HONEST = "finish({'honest': True})"


def test_an_honest_artefact_is_taken(bench: TrialBench) -> None:
    """The twin of every artefact below."""
    assert bench.said(HONEST) == {"honest": True}


def test_own_source_cannot_be_changed(bench: TrialBench) -> None:
    """E1, E19: a trial can neither rewrite its tree, nor add to it, nor change what the gate or the data are."""
    source = (
        "tree = Path(sys.argv[0]).parent\n"
        "targets = [tree / 'train.py', tree / 'prepare.py', tree / 'new.py', tree / 'harness/gate.py', data / 'meta.json', data / 'x']\n"
        "finish([tried(lambda: p.write_text('x')) for p in targets] + [tried(lambda: os.unlink(targets[0])), tried(lambda: os.rename(tree, '/tmp/t'))])"
    )
    answers = bench.said(source, tree={"prepare.py": b"x = 1"})
    assert all(answer in {"PermissionError", "OSError", "FileNotFoundError"} for answer in answers), answers


def test_own_source_can_be_read_and_imported(bench: TrialBench) -> None:
    """The twin: modules beside train.py can be imported, data can be read."""
    source = "import prepare\nfinish([prepare.x, json.loads((data / 'meta.json').read_text())['profile']])"
    assert bench.said(source, tree={"prepare.py": b"x = 1"}) == [1, "cpu"]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        ("os.symlink('/etc/passwd', out / 'model.json')", "artefact_link"),
        ("finish(0, 'other.json'); os.symlink('other.json', out / 'model.json')", "artefact_link"),
        ("finish(0, 'other.json'); os.link(out / 'other.json', out / 'model.json')", "artefact_hard_link"),
        ("os.mkfifo(out / 'model.json')", "artefact_not_regular"),
        ("os.mkdir(out / 'model.json')", "artefact_not_regular"),
        ("s = socket.socket(socket.AF_UNIX); s.bind(str(out / 'model.json'))", "artefact_not_regular"),
        ("f = open(out / 'model.json', 'wb'); f.truncate(9_000_000)", "artefact_too_large"),
        ("import pickle; (out / 'model.json').write_bytes(pickle.dumps({'a': 1}))", "artefact_malformed"),
        ("(out / 'model.json').write_text('{\"a\": NaN}')", "artefact_malformed"),
        ("(out / 'model.json').write_text('[' * 100_000)", "artefact_malformed"),
        ("finish(); os.chmod(out / 'model.json', 0)", ""),
        ("pass", "no_artefact"),
    ],
)
def test_artefacts_that_are_no_plain_file_are_refused(best_bench: TrialBench, make: str, reason: str) -> None:
    """E2, E17: links, other kinds of files, oversized, sparse and malformed ones are refused, each for its reason."""
    result = best_bench.trial(make, artefact_bytes=8_000_000)
    if not reason:  # a file that only its owner could open is still ours, unless we have no privilege
        assert result.reason in {"", "artefact_unreadable"}
        return
    assert (result.outcome, result.reason) == (Outcome.CRASHED, reason)
    assert result.artefact == ""


def test_a_device_as_artefact_is_refused(bench: TrialBench) -> None:
    """E2: no device node can be made in the first place."""
    assert bench.said("finish(tried(lambda: os.mknod(out / 'd', 0o20666, os.makedev(1, 5))))") in {
        "PermissionError",
        "OSError",
    }


GOOD = {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (safetensors_bytes(GOOD, bytes(8)), ""),
        (safetensors_bytes(GOOD, bytes(7)), "artefact_malformed"),
        (safetensors_bytes(GOOD, bytes(9)), "artefact_malformed"),
        (b"\x80\x04\x95" + bytes(40), "artefact_malformed"),
        (struct.pack("<Q", 1 << 62) + b"{}", "artefact_malformed"),
    ],
    ids=["honest", "cut-off", "with-appendix", "pickle", "huge-header"],
)
def test_weights_are_checked_without_being_executed(
    best_bench: TrialBench, content: bytes, reason: str
) -> None:
    """E17: a safetensors file whose header describes it exactly is taken, anything else refused."""
    source = f"(out / 'w.safetensors').write_bytes({content!r})"
    result = best_bench.trial(source, artefact="w.safetensors")
    assert result.reason == reason
    assert bool(result.artefact_sha256) == (reason == "")


def test_site_files_are_no_way_in(bench: TrialBench) -> None:
    """E4: no sitecustomize, usercustomize or .pth file is ever executed, and none can be planted."""
    mark = b"import builtins; builtins.planted = True\n"
    tree = {"sitecustomize.py": mark, "usercustomize.py": mark, "x.pth": mark}
    source = (
        "import builtins, sysconfig, subprocess\n"
        "libraries = [p for p in sys.path if p.endswith('-packages')] + [sysconfig.get_path('stdlib')]\n"
        "planted = [tried(lambda: Path(p, 'x.pth').write_text('import os')) for p in libraries]\n"
        "child = subprocess.run([sys.executable, '-c', 'import builtins, sys; print(hasattr(builtins, \"planted\"), \"\" in sys.path)'],"
        " capture_output=True, text=True).stdout.split()\n"
        "finish([hasattr(builtins, 'planted'), child, planted, 'harness' in sys.modules and sys.modules['harness'].__file__, bool(sys.flags.no_site)])"
    )
    own, child, planted, _, no_site = bench.said(source, tree=tree)
    assert own is False
    assert child == ["False", "False"]
    assert set(planted) <= {"PermissionError", "OSError"}, planted
    assert no_site is True


def test_tree_shadows_no_library(bench: TrialBench) -> None:
    """E5: files of the tree named like a module of the standard library or of a package are not imported for it."""
    tree = {
        "random.py": b"shadow = 1",
        "json.py": b"shadow = 1",
        "filelock.py": b"shadow = 1",
        "own.py": b"shadow = 1",
    }
    source = (
        "import random, filelock, own\nfinish([hasattr(m, 'shadow') for m in (random, json, filelock, own)])"
    )
    assert bench.said(source, tree=tree) == [False, False, False, True]


def test_environment_starts_empty(bench: TrialBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """E7: nothing of our environment comes in: no preloaded library, no Python settings, no keys."""
    for name in ("LD_PRELOAD", "PYTHONSTARTUP", "PYTHONINSPECT", "CUDA_INJECTION64_PATH", "SECRET_KEY"):
        monkeypatch.setenv(name, "/outside/value")
    environment = bench.said("finish(dict(os.environ))")
    assert "/outside/value" not in environment.values()
    assert environment["OMP_NUM_THREADS"] == "1"
    assert set(environment) & {"SECRET_KEY", "LD_PRELOAD", "SSH_AUTH_SOCK", "PYTHONPATH"} == set()


def test_repository_is_out_of_sight(bench: TrialBench) -> None:
    """E14, C12: neither the harness's checkout, nor home folders, nor the session's folder can be read."""
    places = [str(bench.folder), str(bench.public), __file__, str(bench.folder / "artefacts")]
    source = f"finish([tried(lambda: len(os.listdir(p)) if os.path.isdir(p) else len(open(p).read())) for p in {places}])"
    assert all(isinstance(answer, str) for answer in bench.said(source))


def test_descriptors_are_counted(bench: TrialBench) -> None:
    """A7: a trial inherits standard input, the log and the gate, and nothing else of ours."""
    source = "finish(sorted(os.readlink(f'/proc/self/fd/{n}') .split(':')[0] for n in os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{n}')))"
    assert set(bench.said(source)) <= {"/dev/null", "pipe", "socket"}
