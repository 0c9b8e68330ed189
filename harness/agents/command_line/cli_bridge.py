"""Runs in the sandbox, standard library only: starts a command-line agent and is its only way out.

The sandbox has a network with nothing in it. Here a port of its loopback is opened, and every connection to it is
handed to the referee through an inherited socket: the referee answers HTTP on the other end, adds the key, and lets
nothing through but the model's API.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading

_CHUNK_BYTES = 1 << 16


def main() -> int:
    tree, out, control_number = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with open(f"{tree}/plan.json", encoding="utf-8") as file:
        plan = json.load(file)
    control = socket.socket(fileno=control_number)
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    threading.Thread(target=_serve, args=(listener, control), daemon=True).start()
    places = {"{port}": str(listener.getsockname()[1]), "{work}": f"{out}/work", "{home}": f"{out}/home"}
    shutil.copytree(f"{tree}/work", f"{out}/work", copy_function=shutil.copyfile)
    os.makedirs(f"{out}/home", exist_ok=True)
    _write_tools(f"{out}/bin", tree, places["{port}"])
    environment = {name: _placed(text, places) for name, text in plan["environment"].items()}
    environment["PATH"] = f"{out}/bin:{environment['PATH']}"
    for path, text in plan["files"].items():
        path = _placed(path, places)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(_placed(text, places))
    with open(f"{tree}/prompt.md", "rb") as prompt, open(f"{out}/stream.jsonl", "wb") as stream:
        argv = [_placed(word, places) for word in plan["argv"]]
        done = subprocess.run(
            argv, stdin=prompt, stdout=stream, env=environment, cwd=f"{out}/work", check=False
        )
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


def _placed(text: str, places: dict[str, str]) -> str:
    for name, place in places.items():
        text = text.replace(name, place)
    return text


def _write_tools(folder: str, tree: str, port: str) -> None:
    """`python` as the trials have it, and `smoke_test SECONDS`."""
    os.makedirs(folder)
    for name, words in (
        ("python", f'exec {sys.executable} "$@"'),
        ("smoke_test", f'exec {sys.executable} -S {tree}/cli_smoke_test.py {port} "$@"'),
    ):
        with open(f"{folder}/{name}", "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\n{words}\n")
        os.chmod(f"{folder}/{name}", 0o755)


def _serve(listener: socket.socket, control: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(control, [b"+"], [theirs.fileno()])
        for source, target in ((connection, ours), (ours, connection)):
            threading.Thread(target=_pump, args=(source, target), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(_CHUNK_BYTES):
            target.sendall(chunk)
    for end, how in ((target, socket.SHUT_WR), (source, socket.SHUT_RD)):
        with contextlib.suppress(OSError):
            end.shutdown(how)


if __name__ == "__main__":
    sys.exit(main())
