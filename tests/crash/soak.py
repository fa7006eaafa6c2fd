#!/usr/bin/env python3
"""Pushes to one reconciler that lives on and on, and looks whether the world stays right.

Each push changes commands, files and values at random; some have a command that fails, some come
before the one before is done. In the first part of the pushes the reconciler is killed or ended
now and then and started again; in the rest one process does all of them, and its memory and open
files are watched. Whenever it has come to rest, the world must equal the last revision that could
be applied, thing by thing; at the end nothing is orphaned, doubled or lost.
"""

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from crash import GIT, Stratum, report, run

COMMANDS, FILES, VALUES = 6, 10, 8
PATIENCE = 180


class Soak(Stratum):
    """A repository whose reconciler lives on."""

    def __init__(self, program, folder):
        super().__init__(program, folder)
        self.process, self.errors = None, folder / "errors"
        self.good = self.meant = {}
        self.passed = []  # What came and could be applied since the last rest.
        self.counts = {"pushes": 0, "broken": 0, "skipped": 0, "kills": 0, "ends": 0, "rests": 0}

    def begin(self):
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                [self.program, "--repo", self.bare, "-q", "reconcile",
                 "--roots", str(self.world.things)],
                env={**os.environ, **GIT}, stdout=subprocess.DEVNULL, stderr=errors)

    def end(self, how):
        self.process.send_signal(how)
        code = self.process.wait(timeout=PATIENCE)
        if how == signal.SIGTERM and code != 0:
            self.fail(f"told to end, it ended with {code}")

    def fail(self, why):
        sys.exit(f"{why}\nkept for a look: {self.folder}\n{self.errors.read_text()[-3000:]}")

    def command(self, name, word):
        thing = self.world.things / name
        effect = lambda verb: (
            f'["sh", "-c", "i=$(cat); case $i in *broken*) exit 1;; esac; '
            f'echo {verb} $STRATUM_ADDRESS $STRATUM_TOKEN $i >> {self.world.log}; '
            f'printf %s \\"$i\\" > {thing}"]')
        return (f'    {name} = {{\n      inputs = {{ word = "{word}" }},\n'
                f"      create = {effect('create')},\n      update = {effect('update')},\n"
                f'      delete = ["rm", "-f", "{thing}"],\n    }},\n')

    def push(self, dice, whole=False):
        """A new revision; answers what the world should be then, or `None` where it must fail."""
        self.version += 1
        words = {f"c{i}": dice.randrange(4) for i in range(COMMANDS)}
        broken = None if whole or dice.random() < 0.8 else f"c{dice.randrange(COMMANDS)}"
        files = {f"f{i}": f"{dice.randrange(5)}" for i in range(FILES) if dice.random() < 0.7}
        files["version"] = f"{self.version}"
        word = lambda name: f"broken {self.version}" if name == broken else f"w{words[name]}"
        commands = "".join(self.command(name, word(name)) for name in words)
        lines = "".join(f'    {name} = {{ path = "{self.world.things}/{name}", '
                        f'content = "{text}" }},\n' for name, text in files.items())
        values = "".join(f'    d{i} = {{ input = "{dice.randrange(9)}" }},\n' for i in range(VALUES))
        (self.work / "infra/crash.ncl").write_text(
            f"{{\n  local_exec = {{\n{commands}  }},\n  local_file = {{\n{lines}  }},\n"
            f"  local_data = {{\n{values}  }},\n}}\n")
        run("git", "add", "-A", cwd=self.work)
        run("git", "commit", "-q", "-m", f"version {self.version}", cwd=self.work)
        run("git", "push", "-q", "origin", "main", cwd=self.work)
        self.counts["pushes"] += 1
        self.counts["broken"] += broken is not None
        if self.meant is not None:
            self.passed.append(self.meant)
        self.meant = None if broken else {**{name: f"w{word}" for name, word in words.items()},
                                          **files}

    def head(self):
        return run("git", "rev-parse", "HEAD", cwd=self.work).stdout.strip()

    def rest(self):
        """Waits until nothing is left to do for the newest push, and compares the world."""
        head, deadline, status = self.head(), time.monotonic() + PATIENCE, {}
        while time.monotonic() < deadline:
            status = self.json("status")["environments"][0]
            held = status["held"] == head
            if status["condition"] == "Ready" and status["revision"] == head or held:
                break
            if self.process.poll() is not None:
                self.fail(f"the reconciler ended with {self.process.returncode}")
            time.sleep(0.02)
        else:
            self.fail(f"version {self.version} did not come to rest: {json.dumps(status)}")
        if held != (self.meant is None):
            self.fail(f"version {self.version} is {status}, but {self.meant} was meant")
        self.counts["rests"] += 1
        # A push that was overtaken by the next was applied or passed over: both are right.
        may = [self.good, *self.passed] if held else [self.meant]
        if (found := self.found()) not in may:
            self.fail(f"after version {self.version} the world is {found}, not one of {may}")
        self.good, self.passed = found, []

    def found(self):
        texts = {name: (self.world.things / name).read_text() for name in self.world.there()}
        read = lambda name, text: json.loads(text)["word"] if name.startswith("c") else text
        return {name: read(name, text) for name, text in texts.items()}

    def compare(self):
        found = super().compare()
        # Values are in the state alone.
        return {**found, "ghosts": [name for name in found["ghosts"] if name[0] != "d"]}

    def size(self):
        """Resident kilobytes and open files of the reconciler."""
        proc = Path(f"/proc/{self.process.pid}")
        lines = (proc / "status").read_text().splitlines()
        kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
        return kilobytes, len(list((proc / "fd").iterdir()))


def disturb(soak, dice):
    """Kills or ends the reconciler while it is at work, and starts it again."""
    time.sleep(dice.random() * 0.3)
    kill = dice.random() < 0.7
    soak.counts["kills" if kill else "ends"] += 1
    soak.end(signal.SIGKILL if kill else signal.SIGTERM)
    soak.begin()


class Growth:
    """Whether one process grew once it was warm, from its size after each push.

    While it warms up its caches fill, so the first pushes are left out. Of the rest the first and
    the last third are compared by their medians; how far these may be off by chance is told by how
    much the sizes within a third differ. A process that keeps 60 kB of each push is found by this
    over 100 pushes, one that keeps 10 kB over 300: the more pushes, the less may be kept.
    """

    WARM, ENOUGH = 50, 100
    ONCE, EACH = 1.5, 0.005  # MB that chance may add at all, and with each push.

    def __init__(self, sizes):
        warm = sizes[self.WARM:]
        third = len(warm) // 3
        self.enough = len(warm) >= self.ENOUGH
        self.first, self.last = warm[:third] or sizes[:1], warm[-third:] if third else sizes[-1:]
        self.pushes = len(warm) - third
        self.before, self.after = (statistics.median(s[0] / 1024 for s in part)
                                   for part in (self.first, self.last))
        # Files come and go with each run; what is left open raises the least that are open.
        self.files = [min(size[1] for size in part) for part in (self.first, self.last)]

    def doubt(self):
        """Twice the standard error of the difference, as if ten pushes in a row were one look."""
        spread = lambda part: statistics.pstdev(s[0] / 1024 for s in part) ** 2 / max(1, len(part) / 10)
        return 2 * (spread(self.first) + spread(self.last)) ** 0.5

    def wrong(self):
        allowed = self.ONCE + self.EACH * self.pushes
        return (self.after - self.before > allowed or self.files[1] > self.files[0] + 1) * self.enough

    def __str__(self):
        text = (f"memory {self.before:.1f} MB once warm, {self.after:.1f} MB at the end, "
                f"{self.pushes} pushes later (± {self.doubt():.1f} MB); "
                f"at least {self.files[0]} and {self.files[1]} open files")
        return text if self.enough else f"too few pushes to tell whether it grows: {text}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--pushes", type=int, default=1000)
    parser.add_argument("--disturbed", type=float, default=0.4,
                        help="the share of the pushes among which it is killed and ended")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    dice = random.Random(arguments.seed)
    folder = Path(tempfile.mkdtemp(prefix="stratum-soak-"))
    soak, sizes, started = Soak(arguments.program.resolve(), folder), [], time.monotonic()
    soak.begin()
    try:
        for number in range(arguments.pushes):
            disturbed = number < arguments.pushes * arguments.disturbed
            soak.push(dice, whole=number == 0)
            if disturbed and dice.random() < 0.15:
                disturb(soak, dice)
            if number > 0 and dice.random() < 0.25 and number + 1 < arguments.pushes:
                soak.counts["skipped"] += 1
                time.sleep(dice.random() * 0.1)
                continue
            soak.rest()
            if not disturbed:
                sizes.append(soak.size())
            if number % 100 == 99:
                print(f"  {number + 1} pushes, {soak.size()[0] >> 10} MB", file=sys.stderr,
                      flush=True)
        soak.push(dice, whole=True)
        soak.rest()
        sizes.append(soak.size())
        soak.end(signal.SIGTERM)
    finally:
        if soak.process.poll() is None:
            soak.process.kill()
    growth = Growth(sizes)
    minutes = round((time.monotonic() - started) / 60, 1)
    print(f"{minutes} minutes: " + ", ".join(f"{n} {what}" for what, n in soak.counts.items()))
    print(growth)
    wrong = report(soak.counts["kills"], soak.compare(), soak)
    if wrong or growth.wrong():
        sys.exit(f"seed: {arguments.seed}, kept for a look: {folder}\n{wrong}")
    shutil.rmtree(folder)


main()
