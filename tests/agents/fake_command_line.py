#!/usr/bin/env python
"""Stands in for `claude` and `codex`: asks its model, does the shell commands that the answer calls for, asks again.

Told apart by the arguments, as the real ones are called by the harness. Repeats on 429 and 5xx, as they do.
"""

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request

CODEX = sys.argv[1] == "exec"
MODEL = sys.argv[sys.argv.index("--model") + 1]


def ask(messages: list[dict]) -> dict:
    if CODEX:
        with open(os.environ["CODEX_HOME"] + "/config.toml") as file:
            address = re.search(r'base_url = "(.*)"', file.read())[1] + "/responses"
        tools = [{"type": "function", "name": "shell"}, {"type": "web_search"}]
        body = {"model": MODEL, "input": messages, "tools": tools}
    else:
        address = os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages?beta=true"
        tools = [{"name": "shell"}, {"type": "web_search_20250305", "name": "web_search"}]
        body = {"model": MODEL, "max_tokens": 32000, "messages": messages, "tools": tools}
    headers = {"content-type": "application/json", "x-api-key": os.environ.get("ANTHROPIC_API_KEY", "")}
    for _ in range(5):
        request = urllib.request.Request(address, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            print(json.dumps({"type": "error", "status": error.code}), flush=True)
            if error.code == 400:
                sys.exit(1)
            time.sleep(float(error.headers.get("retry-after", "0.05")))
        except (OSError, ValueError):  # cut
            continue
    sys.exit(1)


def main() -> None:
    messages, usage = [{"role": "user", "content": sys.stdin.read()}], {"input_tokens": 0, "output_tokens": 0}
    while True:
        reply = ask(messages)
        for name in usage:
            usage[name] += reply["usage"][name]
        calls = reply["output"] if CODEX else reply["content"]
        commands = [json.loads(c["arguments"]) if CODEX else c["input"] for c in calls if "name" in c]
        if not commands:
            break
        for command in commands:
            done = subprocess.run(command["command"], shell=True, capture_output=True, check=False)
            messages.append(
                {"role": "user", "content": (done.stdout + done.stderr).decode("utf-8", "replace")}
            )
    end = (
        {"type": "turn.completed"}
        if CODEX
        else {"type": "result", "subtype": "success", "total_cost_usd": 0.0}
    )
    print(json.dumps({**end, "usage": usage}))


main()
