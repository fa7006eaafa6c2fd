#!/usr/bin/env python3
"""What judging a push of many signed commits costs: processor seconds, besides those of a push of one.

    python3 tests/bench/signed.py --program target/release/stratum --commits 1000
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "hostile"))
from hostile import ENV, Repo  # noqa: E402


def look(program, repo, folder):
    """The processor seconds of one look."""
    before = os.times()
    subprocess.run(
        [program, "--repo", repo.folder, "--state", folder / "state.db", "reconcile", "--once"],
        env=ENV, check=True, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", required=True, type=Path)
    parser.add_argument("--commits", type=int, default=1000)
    arguments = parser.parse_args()
    program = arguments.program.resolve()
    with tempfile.TemporaryDirectory(prefix="signed-") as folder:
        folder = Path(folder)
        repo = Repo(folder / "repo.git")
        number, tip = 0, None

        def push(count):
            nonlocal number, tip
            for _ in range(count):
                number += 1
                tree = repo.files(repo.good(True, number))
                tip = repo.commit(tree, [tip] if tip else [], "ada")
            repo.push(tip)
            spent = look(program, repo, folder)
            assert (folder / "world/app/f").read_text() == f"good {number}"
            return spent

        push(1)
        one = min(push(1) for _ in range(3))
        many = push(arguments.commits)
        print(f"one commit: {one:.2f} s; {arguments.commits} signed commits: {many:.2f} s; "
              f"judging the others: {many - one:.2f} s")


if __name__ == "__main__":
    main()
