"""A program connects to its own sockets and to nobody else's; what libraries do with sockets of their own works."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from sandbox_levels import TrialBench

from harness.records import Level

OWN = """
import threading
from multiprocessing.connection import Client, Listener
home = os.environ['TMPDIR']
"""


@pytest.fixture
def open_listeners(temporary: Path) -> Iterator[Path]:
    """Listeners of the machine, open to everybody, as a terminal multiplexer's or an agent's would be to their user."""
    temporary.chmod(0o777)
    stream, box = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with stream, box:
        stream.bind(str(temporary / "stream"))
        stream.listen()
        stream.setblocking(False)
        box.bind(str(temporary / "box"))
        box.setblocking(False)
        for name in ("stream", "box"):
            (temporary / name).chmod(0o777)
        yield temporary
        with pytest.raises(BlockingIOError):
            stream.accept()
        with pytest.raises(BlockingIOError):
            box.recv(1)


ATTACK = """
import ctypes, threading
place, home = PLACE, os.environ['TMPDIR']
os.symlink(place + '/stream', home + '/link')
os.symlink(place, home + '/folder')
hard = tried(lambda: os.link(place + '/stream', home + '/hard'))
moved = tried(lambda: os.rename(place + '/stream', home + '/moved'))
def connect(path, kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_UNIX, kind) as s: s.connect(path)
got = []
for path in (place + '/stream', home + '/link', home + '/folder/stream', '/proc/self/root' + place + '/stream',
             f'/proc/{os.getppid()}/root' + place + '/stream', home + '/../../' + place + '/stream', home + '/hard'):
    for kind in (1, 5): got.append(tried(lambda: connect(path, kind)))
for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
    got.append(tried(lambda: connect(place + '/box', kind)))
    got.append(tried(lambda: socket.socket(socket.AF_UNIX, kind).sendto(b'x', place + '/box')))
    got.append(tried(lambda: socket.socketpair(socket.AF_UNIX, kind)[0].sendto(b'x', place + '/box')))
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
got.append(tried(lambda: a.connect(place + '/stream')))
got.append(tried(lambda: a.sendmsg([b'x'], [], 0, place + '/box') and 1/0))

# the address changes while it is looked at, and so does the link: own, then the machine's
own = socket.socket(socket.AF_UNIX); own.bind(home + '/own'); own.listen(64)
libc, over = ctypes.CDLL(None, use_errno=True), []
good, bad = (ctypes.create_string_buffer(b'\\x01\\x00' + p.encode(), 110).raw
             for p in (home + '/own', place + '/stream'))
address = ctypes.create_string_buffer(good, 110)
def swap():
    while not over:
        ctypes.memmove(address, bad, 110); ctypes.memmove(address, good, 110)
        os.symlink(place + '/stream', home + '/next'); os.rename(home + '/next', home + '/turn')
        os.symlink(home + '/own', home + '/next'); os.rename(home + '/next', home + '/turn')
threading.Thread(target=swap, daemon=True).start()
for _ in range(40):
    s = socket.socket(socket.AF_UNIX); libc.connect(s.fileno(), address, 110); s.close()
    with socket.socket(socket.AF_UNIX) as s: tried(lambda: s.connect(home + '/turn'))
over.append(1)
finish([got, hard, moved])
"""


def test_no_path_of_the_machine_can_be_connected_to(bench: TrialBench, open_listeners: Path) -> None:
    """H1: not by its path, through a link, a second name, a folder, /proc, a datagram, nor by changing it meanwhile.

    The fixture looks: nobody has connected, nothing has arrived.
    """
    got, hard, moved = bench.said(ATTACK.replace("PLACE", repr(str(open_listeners))), seconds=20)
    assert all(isinstance(answer, str) for answer in got), got
    assert isinstance(hard, str)
    assert isinstance(moved, str)


def test_own_listeners_and_managers_work(bench: TrialBench) -> None:
    """The twin: listeners in tmp, in both kinds, with a full queue, by a relative path; multiprocessing's managers."""
    source = OWN + (
        "import multiprocessing\n"
        "said = []\n"
        "with Listener(home + '/a', authkey=b'k') as l:\n"
        "    t = threading.Thread(target=lambda: l.accept().send('hello')); t.start()\n"
        "    said.append(Client(home + '/a', authkey=b'k').recv()); t.join()\n"
        "os.chdir(home)\n"
        "l = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); l.bind('b'); l.listen(0)\n"
        "first = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); first.connect('b')\n"
        "hasty = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); hasty.setblocking(False)\n"
        "said.append(tried(lambda: hasty.connect('b')))\n"
        "threading.Timer(0.2, l.accept).start()\n"
        "last = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); last.connect('b')\n"
        "said.append(last.getblocking())\n"
        "said.append(tried(lambda: socket.socket(socket.AF_UNIX).connect(home + '/nobody')))\n"
        "if tried(lambda: Path('/dev/shm/x').write_text('x')) == 1:\n"
        "    with multiprocessing.Manager() as m: d = m.dict(a=1); said.append(dict(d))\n"
        "else: said.append({'a': 1})\n"
        "finish(said)"
    )
    assert bench.said(source, seconds=20) == ["hello", "BlockingIOError", True, "FileNotFoundError", {"a": 1}]


def test_little_waits_in_a_socket(bench: TrialBench) -> None:
    """No counter of a program shows what waits in its sockets, so that nobody gets larger ones; a wish is no error."""
    source = (
        "a, b = socket.socketpair()\n"
        "for end in (a, b):\n"
        "    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF, 32, 33):\n"
        "        end.setsockopt(socket.SOL_SOCKET, option, 4 << 20)\n"
        "a.setblocking(False)\n"
        "held = 0\n"
        "while (sent := tried(lambda: a.send(bytes(65536)))) and not isinstance(sent, str): held += sent\n"
        "finish([held > 0, held < 1 << 20])"
    )
    assert bench.said(source) == [True, True]


def test_own_names_without_a_path(bench: TrialBench) -> None:
    """A name in the program's own network can be connected to; where the network is the machine's, none can."""
    source = (
        "l = socket.socket(socket.AF_UNIX); l.bind(chr(0) + 'x'); l.listen()\n"
        "finish(tried(lambda: socket.socket(socket.AF_UNIX).connect(chr(0) + 'x')))"
    )
    assert bench.said(source) == (None if bench.sandbox.level >= Level.L2 else "PermissionError")


WORKERS = """
import torch
from torch.utils.data import DataLoader, Dataset
class Squares(Dataset):
    def __len__(self): return 64
    def __getitem__(self, i): return torch.tensor([i * i])
if __name__ == '__main__':
    open_gate(options.data)
    loader = DataLoader(Squares(), batch_size=8, num_workers=2, persistent_workers=True)
    finish(sum(int(batch.sum()) for _ in range(2) for batch in loader))
"""


def test_data_loader_workers_hand_over_tensors(best_bench: TrialBench) -> None:
    """The twin in torch: worker processes pass tensors as open files, over sockets in tmp."""
    if best_bench.sandbox.level == Level.L1 and not _has_shared_memory(best_bench):
        pytest.skip("isolation level L1 has no /dev/shm where the interpreter lies in a closed folder")
    limits = {"memory_bytes": 4 << 30, "processes": 64}
    result = best_bench.trial(WORKERS, seconds=120, startup=120, gated=True, **limits)
    assert best_bench.answer(result) == 2 * sum(i * i for i in range(64))


@pytest.mark.slow
def test_compilers_worker_processes_work(best_bench: TrialBench) -> None:
    """The twin of torch.compile: its pool of processes compiles, and what comes out computes."""
    source = """
import torch
os.environ['TORCHINDUCTOR_COMPILE_THREADS'] = '2'
import torch._inductor.config as config
config.compile_threads = 2
if __name__ == '__main__':
    f = torch.compile(lambda x: (x.sin() + x.cos()).sum())
    finish(round(float(f(torch.zeros(8))), 3))
"""
    limits = {"memory_bytes": 8 << 30, "processes": 128, "out_bytes": 64 << 20}
    assert best_bench.said(source, seconds=300, startup=300, **limits) == 8.0


def _has_shared_memory(bench: TrialBench) -> bool:
    return bench.said("finish(tried(lambda: Path('/dev/shm/x').write_text('x')))") == 1


def test_sockets_of_other_folders_are_not_connected_through_tmp(bench: TrialBench) -> None:
    """A socket that two trials' folders share is impossible: each connects below its own out and tmp alone."""
    source = "finish([tried(lambda: socket.socket(socket.AF_UNIX).connect(p)) for p in PLACES])"
    places = [f"/proc/{os.getpid()}/fd/0", "/dev/null", "/", "", "x" * 107]
    answers = bench.said(source.replace("PLACES", repr(places)))
    assert all(isinstance(answer, str) for answer in answers)


def test_a_flood_of_questions_does_not_keep_the_launcher_from_its_work(bench: TrialBench) -> None:
    """Threads that ask without a pause do not escape the limits: memory is looked at, the deadline kills."""
    source = (
        "import threading\n"
        "def ask():\n"
        "    while True: tried(lambda: socket.socket(socket.AF_UNIX).connect('/x'))\n"
        "[threading.Thread(target=ask, daemon=True).start() for _ in range(8)]\n"
        "keep = [bytearray(b'x') * (8 << 20) for _ in range(100) if not time.sleep(0.01)]\n"
        "time.sleep(60)"
    )
    assert bench.trial(source, memory_bytes=128 << 20, seconds=60).reason == "memory"
    assert bench.trial(source.replace("100", "1"), seconds=1).reason == "deadline"
