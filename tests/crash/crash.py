#!/usr/bin/env python3
"""Kills the real program with SIGKILL in the middle of its work, starts it again, and compares.

Each resource is a command that writes a line for each effect it has (what it did, to which address,
with which inputs), so that what happened can be counted: an orphan is a thing that exists and is
not in the state, a ghost one that the state calls done and does not exist, a doubled effect one
that is had again although nothing else was done to that address in between, a lost record a run
that changed something and has no record in git, an unproven event one that stands in the journal
or in the audit log and not in both, in the same order. Of every tool the same lines are counted in
the same way: whether a second run or the same one repeats an effect makes no difference.

With --peer the same is done to terraform or tofu, whose resources write the same lines.
"""

import argparse
import collections
import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GIT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "Crash", "GIT_AUTHOR_EMAIL": "crash@localhost",
    "GIT_COMMITTER_NAME": "Crash", "GIT_COMMITTER_EMAIL": "crash@localhost",
}
THINGS = 12
# So many runs of an environment keep their journal, by default.
KEPT = 200


def run(*command, cwd, check=True):
    done = subprocess.run([str(part) for part in command], cwd=cwd, check=False, text=True,
                          env={**os.environ, **GIT}, capture_output=True)
    if check and done.returncode != 0:
        sys.exit(f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done


class World:
    """What the commands did: a folder of things, and a line for each effect."""

    def __init__(self, folder):
        self.folder = folder
        self.things, self.log = folder / "things", folder / "effects"
        self.things.mkdir(parents=True)
        self.log.touch()

    def there(self):
        return {path.name for path in self.things.iterdir() if not path.name.startswith(".")}

    def doubled(self):
        """Lines `verb address inputs` that repeat the last one of their address.

        A line `begin` stands before each effect: one with other inputs that came to nothing is
        something else that was tried in between, and what is put back after it is no repetition.
        """
        last, doubled = {}, []
        for line in self.log.read_text().splitlines():
            verb, address, *inputs = line.split(" ", 2)
            before = last.get(address, (None, None))
            if verb == "begin":
                if before[1] != inputs:
                    last[address] = (None, None)
                continue
            if before == (verb, inputs):
                doubled.append(line)
            last[address] = (verb, inputs)
        return doubled


class Stratum:
    name = "stratum"

    def __init__(self, program, folder):
        self.program, self.folder, self.world = program, folder, World(folder)
        self.bare, self.work = folder / "repo.git", folder / "work"
        run("git", "init", "-q", "--bare", "-b", "main", self.bare, cwd=folder)
        run("git", "init", "-q", "-b", "main", self.work, cwd=folder)
        run("git", "remote", "add", "origin", self.bare, cwd=self.work)
        (self.work / "infra").mkdir()
        (self.work / "stratum.ncl").write_text(
            '{ name = "crash", environments = { crash = { '
            f'roots = ["{self.world.things}"] }} }} }}\n')
        self.version = 0

    def exec(self, name, depends, breaks):
        """A command that writes its line after its effect, as most of the world's do not even do."""
        thing = self.world.things / name
        effect = lambda verb: (
            f'["sh", "-c", "i=$(cat); echo begin $STRATUM_ADDRESS $i >> {self.world.log}; '
            f'case $i in *broken*) exit 1;; esac; touch {thing}; '
            f'echo {verb} $STRATUM_ADDRESS $i >> {self.world.log}; '
            f'sleep 0.0{len(name)}"]')
        needs = "".join(f'"{other}", ' for other in depends)
        word = f"broken {self.version}" if breaks else f"version {self.version}"
        return (f'    {name} = {{\n      inputs = {{ word = "{word}" }},\n'
                f"      create = {effect('create')},\n"
                f"      update = {effect('update')},\n"
                f'      delete = ["sh", "-c", "rm -f {thing}; '
                f'echo delete $STRATUM_ADDRESS >> {self.world.log}"],\n'
                f'      read = ["sh", "-c", "test -e {thing} && echo {{}} || exit 3"],\n'
                f"      meta = {{ depends_on = [{needs}] }},\n    }},\n")

    def push(self, dice):
        """Every command changes or not; files come, change and go; sometimes one breaks."""
        self.version += 1
        files = [f"f{i}" for i in range(THINGS) if dice.random() < 0.6]
        broken = dice.randrange(THINGS) if dice.random() < 0.2 else None
        execs, before = [], []
        for index in range(THINGS):
            depends = dice.sample(before, min(len(before), dice.randrange(3)))
            execs.append(self.exec(f"t{index}", depends, index == broken))
            before.append(f"local_exec.t{index}")
        contents = "".join(
            f'    {name} = {{ path = "{self.world.things}/{name}", '
            f'content = "{dice.randrange(3)}" }},\n' for name in files)
        (self.work / "infra/crash.ncl").write_text(
            "{\n  local_exec = {\n" + "".join(execs) + "  },\n  local_file = {\n" + contents
            + "  },\n}\n")
        run("git", "add", "-A", cwd=self.work)
        run("git", "commit", "-q", "-m", f"version {self.version}", cwd=self.work)
        run("git", "push", "-q", "origin", "main", cwd=self.work)

    def start(self, point=None):
        extra = {} if point is None else {"STRATUM_CRASH_AT": str(point)}
        return subprocess.Popen([self.program, "--repo", self.bare, "-q", "reconcile", "--once",
                                 "--roots", str(self.world.things)],
                                env={**os.environ, **GIT, **extra},
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def json(self, *arguments):
        done = run(self.program, "--repo", self.bare, "--json", *arguments, cwd=self.folder)
        return json.loads(done.stdout)

    def compare(self):
        """What is wrong, by kind."""
        resources = self.json("get")["resources"]
        state = {resource["address"].split(".", 1)[1] for resource in resources}
        runs = [run for run in self.json("history", "--limit", "5000")["runs"] if run["outcome"] != "denied"]
        listed = run("git", "ls-tree", "-r", "--name-only", "stratum/records", cwd=self.bare)
        records = listed.stdout.split()
        lost = [r["id"] for r in runs if not any(r["id"].rsplit("-", 1)[1] in f for f in records)]
        return {"orphans": sorted(self.world.there() - state),
                "ghosts": sorted(state - self.world.there()),
                "doubled": self.world.doubled(), "lost records": lost,
                "unproven": self.unproven()}

    def unproven(self):
        """Where the journal and the audit log differ, and what is wrong with the log itself."""
        done = run(self.program, "--repo", self.bare, "--json", "audit", "verify",
                   cwd=self.folder, check=False)
        verified = json.loads(done.stdout)
        if not verified["valid"] or verified["waiting"]:
            return [verified["problem"] or f"{verified['waiting']} transactions wait"]
        done = run(self.program, "--repo", self.bare, "--json", "audit", "list", "--kind", "apply",
                   cwd=self.folder)
        logged = collections.defaultdict(list)
        for entry in map(json.loads, done.stdout.splitlines()):
            logged[entry["run"]].append(entry["what"]["apply"]["digest"])
        state = sqlite3.connect(f"file:{self.bare}/stratum/state.db?mode=ro", uri=True)
        journal = collections.defaultdict(list)
        for name, event in state.execute(
                "SELECT r.id, e.event FROM events e JOIN runs r ON r.key = e.id >> 32 ORDER BY e.id"):
            journal[name].append(event)
        state.close()
        # The journals of the last runs are kept; those before them are in the log alone.
        thrown_away = set(logged) - set(journal) if len(journal) >= KEPT else set()
        return [name for name in journal | logged
                if name not in thrown_away and not self.proven(journal[name], logged[name])]

    @staticmethod
    def proven(events, digests):
        """Each event has its digest in the log. A checkpoint goes when its run has settled, so of a
        step that began only the place in the order can be compared then."""
        def same(event, digest):
            kept = json.loads(event)
            thinned = kept["event"] == "begun" and kept["checkpoint"] == {"before": None}
            return thinned or hashlib.sha256(event.encode()).hexdigest() == digest
        return len(events) == len(digests) and all(map(same, events, digests))


class Terraform:
    def __init__(self, program, folder):
        self.program, self.folder, self.world = program, folder, World(folder)
        self.name, self.version = Path(program).name, 0
        self.write([])
        run(self.program, "init", "-no-color", cwd=folder)

    def write(self, names):
        blocks = []
        for name in names:
            thing = self.world.things / name
            blocks.append(
                f'resource "terraform_data" "{name}" {{\n'
                f"  triggers_replace = {self.version}\n"
                f'  provisioner "local-exec" {{\n    command = "echo begin {name} {self.version} '
                f'>> {self.world.log}; touch {thing}; '
                f'echo create {name} {self.version} >> {self.world.log}; sleep 0.02"\n  }}\n'
                f'  provisioner "local-exec" {{\n    when = destroy\n'
                f'    command = "rm -f {thing}; echo delete {name} >> {self.world.log}"\n  }}\n}}\n')
        (self.folder / "main.tf").write_text("".join(blocks))

    def push(self, dice):
        self.version += 1
        self.write([f"t{i}" for i in range(THINGS) if dice.random() < 0.8] or ["t0"])

    def start(self, point=None):
        return subprocess.Popen([self.program, "apply", "-auto-approve", "-no-color"],
                                cwd=self.folder, stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE)

    def compare(self):
        listed = run(self.program, "state", "list", cwd=self.folder, check=False).stdout.split()
        # An empty state is answered with a sentence.
        state = {line.split(".", 1)[1] for line in listed if line.startswith("terraform_data.")}
        return {"orphans": sorted(self.world.there() - state),
                "ghosts": sorted(state - self.world.there()),
                "doubled": self.world.doubled(), "lost records": []}


def end(process):
    """Lets a process come to its end; a broken change ends with 1."""
    _, error = process.communicate(timeout=120)
    if process.returncode not in (0, 1):
        sys.exit(f"it ended with {process.returncode}: {error.decode()[-3000:]}")


def kill_at_random(subject, dice, usual):
    """Kills it somewhere in its usual time; answers whether it was still at work."""
    process = subject.start()
    time.sleep(dice.random() * usual)
    killed = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return killed


def kill_at_point(subject, point):
    """Lets it die at its nth chance; answers whether it came to that."""
    process = subject.start(point)
    process.communicate(timeout=120)
    return process.returncode == -signal.SIGABRT


def usual_time(subject, dice):
    subject.push(dice)
    started = time.monotonic()
    end(subject.start())
    return time.monotonic() - started


def report(kills, found, subject):
    wrong = {kind: what for kind, what in found.items() if what}
    print(f"{subject.name}: {kills} kills; " + ", ".join(
        f"{len(what)} {kind}" for kind, what in found.items()), flush=True)
    return wrong


def make(name, program, folder):
    if name == "stratum":
        return Stratum(program.resolve(), folder)
    found = shutil.which(name)
    if not found:
        sys.exit(f"{name} is not on the PATH")
    return Terraform(found, folder)


def play(subject, arguments, points):
    """Kills it so often; answers the kills, what was wrong after each, and the rounds with that."""
    dice, kills, rounds = random.Random(arguments.seed), 0, 0
    totals = collections.defaultdict(list)
    usual = usual_time(subject, dice)
    jobs = list(range(points))
    while jobs or kills < arguments.kills:
        subject.push(dice)
        if jobs:
            point = jobs.pop(0)
            if not kill_at_point(subject, point):
                jobs = []
                print(f"a run has {point} chances to die", flush=True)
                continue
            kills += 1
        else:
            kills += kill_at_random(subject, dice, usual)
            if dice.random() < 0.3:
                kills += kill_at_random(subject, dice, usual)
        end(subject.start())
        found = subject.compare()
        rounds += any(found.values())
        for kind, what in found.items():
            # Effects are written down for good: those that stand there twice are counted once.
            totals[kind] = what if kind == "doubled" else totals[kind] + what
        if kills % 50 < 1:
            print(f"  {subject.name}: {kills} kills", file=sys.stderr, flush=True)
        if subject.name == "stratum" and rounds:
            break
    return kills, totals, rounds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--peer", choices=["tofu", "terraform"])
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--points", type=int, default=0,
                        help="die before, in and after each write too, up to so many chances (debug builds)")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    sound = True
    for name in ["stratum"] + [arguments.peer] * bool(arguments.peer):
        folder = Path(tempfile.mkdtemp(prefix=f"stratum-crash-{name}-"))
        subject = make(name, arguments.program, folder)
        own = name == "stratum"
        kills, found, rounds = play(subject, arguments, arguments.points * own)
        wrong = report(kills, found, subject)
        if own and wrong:
            print(f"kept for a look: {folder}\nseed: {arguments.seed}\n{wrong}")
            sound = False
            break
        if not own:
            print(f"{name}: something was wrong after {rounds} restarts and a whole apply each")
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if sound else 1)


if __name__ == "__main__":
    main()
