#!/usr/bin/env python3
"""Measures looking at 1,000 sealed values in 50 files of a repository: signatures, places, sealers.

CPU time of the whole call, of all its processes, as the system counts it: a busy machine changes it
little. `--backend` chooses the crypto backend (STRATUM_CRYPTO). Nothing is asserted unless --limit
is given.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

GIT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "Bench", "GIT_AUTHOR_EMAIL": "bench@localhost",
    "GIT_COMMITTER_NAME": "Bench", "GIT_COMMITTER_EMAIL": "bench@localhost",
}


def run(*command, cwd, env):
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{command} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def repository(program, top, values, files, env):
    run("git", "init", "-q", "-b", "main", ".", cwd=top, env=env)
    run(program, "init", "--env", "bench", "--name", "bench", cwd=top, env=env)
    home = Path(env["HOME"])
    run(program, "secrets", "keygen", "sealer", "--name", "ada", "--out", env["STRATUM_SEALER"],
        "--trust", cwd=top, env=env)
    run(program, "secrets", "keygen", "identity", "--out", str(home / "identity"), "--trust",
        "--name", "bench", "--environment", "bench", cwd=top, env=env)
    plain = home / "plain.env"
    for part in range(files):
        lines = [f"KEY_{i}=value of the key {i}\n" for i in range(part, values, files)]
        plain.write_text("".join(lines))
        run(program, "secrets", "import", str(plain), f"bench/part{part:02}", cwd=top, env=env)
    run("git", "add", "-A", cwd=top, env=env)
    run("git", "commit", "-q", "-m", "first", cwd=top, env=env)


def cpu(command, top, env):
    """CPU seconds of a call and everything that it began."""
    child = subprocess.Popen(command, cwd=top, env=env, stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE)
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{command} ended with {child.returncode}: {said.decode()[-2000:]}")
    return usage.ru_utime + usage.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--values", type=int, default=1000)
    parser.add_argument("--files", type=int, default=50)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--backend", default="openssl")
    parser.add_argument("--limit", type=float,
                        help="end with 1 when the median of a command needs more CPU seconds")
    arguments = parser.parse_args()
    program = str(arguments.program.resolve())
    with tempfile.TemporaryDirectory(prefix="stratum-secrets-") as folder:
        top, home = Path(folder) / "repository", Path(folder) / "home"
        top.mkdir()
        home.mkdir()
        env = {**os.environ, **GIT, "HOME": str(home), "STRATUM_CRYPTO": arguments.backend,
               "STRATUM_SEALER": str(home / "sealer")}
        env.pop("XDG_CONFIG_HOME", None)
        repository(program, top, arguments.values, arguments.files, env)
        said = run(program, "secrets", "verify", cwd=top, env=env)
        if f"{arguments.values} verified, 0 refused" not in said:
            sys.exit(f"not all values were verified: {said[-200:]}")
        results, slow = {}, False
        for name, command in {
            "secrets verify": [program, "secrets", "verify"],
            "check": [program, "check"],
            "the program alone": [program, "secrets", "verify", "--help"],
        }.items():
            times = sorted(cpu(command, top, env) for _ in range(arguments.times))
            results[name] = {"median": round(times[len(times) // 2], 3), "most": round(times[-1], 3)}
            slow |= bool(arguments.limit) and results[name]["median"] > arguments.limit
    print(f"{arguments.values} sealed values in {arguments.files} files, {arguments.backend}; "
          f"{arguments.times} times, CPU s: {json.dumps(results)}")
    if slow:
        sys.exit(f"more than {arguments.limit} CPU s")


main()
