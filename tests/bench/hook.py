#!/usr/bin/env python3
"""Measures the hook pre-commit: 1,000 resources in 50 files, one of them changed and staged.

The wall time is that of `stratum hook pre-commit` as git calls it, on a warm machine: the first
calls are not counted. Nothing is asserted unless --limit is given.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GIT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "Bench", "GIT_AUTHOR_EMAIL": "bench@localhost",
    "GIT_COMMITTER_NAME": "Bench", "GIT_COMMITTER_EMAIL": "bench@localhost",
}


def run(*command, cwd):
    subprocess.run(command, cwd=cwd, check=True, env={**os.environ, **GIT},
                   stdout=subprocess.DEVNULL)


def repository(top, resources, files):
    run("git", "init", "-q", "-b", "main", ".", cwd=top)
    (top / "stratum.ncl").write_text('{ name = "bench", environments = { bench = {} } }\n')
    (top / "infra/bench").mkdir(parents=True)
    for part in range(files):
        lines = [f'    f{i} = {{ path = "f/{i}", content = "content {i}\\n" }},\n'
                 for i in range(part, resources, files)]
        (top / f"infra/bench/part{part:02}.ncl").write_text(
            "{\n  local_file = {\n" + "".join(lines) + "  },\n}\n")
    run("git", "add", "-A", cwd=top)
    run("git", "commit", "-q", "-m", "first", cwd=top)


def measure(command, top):
    started = time.monotonic()
    done = subprocess.run(command, cwd=top, env={**os.environ, **GIT}, capture_output=True)
    seconds = time.monotonic() - started
    if done.returncode != 0:
        sys.exit(f"{command} ended with {done.returncode}: {done.stderr.decode()[-2000:]}")
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--resources", type=int, default=1000)
    parser.add_argument("--files", type=int, default=50)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--limit", type=float, help="end with 1 when the median takes longer, in ms")
    arguments = parser.parse_args()
    program = str(arguments.program.resolve())
    with tempfile.TemporaryDirectory(prefix="stratum-hook-") as folder:
        top = Path(folder)
        repository(top, arguments.resources, arguments.files)
        changed = top / "infra/bench/part00.ncl"
        changed.write_text(changed.read_text().replace("content 0", "content zero"))
        run("git", "add", "-A", cwd=top)
        results = {}
        for name, command in {"check --staged": [program, "check", "--staged"],
                              "hook pre-commit": [program, "hook", "pre-commit"]}.items():
            for _ in range(3):
                measure(command, top)
            times = sorted(measure(command, top) for _ in range(arguments.times))
            pick = lambda share: round(times[int((len(times) - 1) * share)] * 1000)
            results[name] = {"median": pick(0.5), "p95": pick(0.95), "most": pick(1)}
    print(f"{arguments.resources} resources in {arguments.files} files, one changed; "
          f"{arguments.times} times, ms of wall: {json.dumps(results)}")
    if arguments.limit and results["hook pre-commit"]["median"] > arguments.limit:
        sys.exit(f"slower than {arguments.limit:.0f} ms")


main()
