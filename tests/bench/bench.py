#!/usr/bin/env python3
"""Measures stratum and its peers on the same work, on this machine, one after the other.

CPU seconds are user and system time of the program and of the children it waited for; bytes are
those the kernel sent to the disk for it; peak is its largest resident set. What can be done again
without starting from nothing is done three times, and the run with the median of CPU is taken, of
every tool alike. Nothing is asserted: the figures are printed with their ratios and kept in a file.
"""

import argparse
import json
import math
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from chart import draw

GIT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "Bench", "GIT_AUTHOR_EMAIL": "bench@localhost",
    "GIT_COMMITTER_NAME": "Bench", "GIT_COMMITTER_EMAIL": "bench@localhost",
}
LAYERS = 20
ROUNDS = 3


def measure(command, cwd, allowed=(0,)):
    """Runs a command to its end; answers CPU seconds, bytes written, peak MB, wall seconds."""
    started = time.monotonic()
    log = tempfile.TemporaryFile()
    process = subprocess.Popen(command, cwd=cwd, stdout=log, stderr=subprocess.STDOUT,
                               env={**os.environ, **GIT})
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    io = Path(f"/proc/{process.pid}/io").read_text()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in allowed:
        log.seek(0)
        sys.exit(f"{' '.join(map(str, command))} ended with {process.returncode}:\n"
                 f"{log.read().decode()[-3000:]}")
    written = int(re.search(r"^write_bytes: (\d+)", io, re.M)[1])
    return {"cpu": round(usage.ru_utime + usage.ru_stime, 4), "written": written,
            "peak_mb": round(usage.ru_maxrss / 1024, 1),
            "wall": round(time.monotonic() - started, 3)}


def median(call):
    """What `call` measures in each of the rounds; the one with the median of CPU."""
    rounds = sorted((call(number) for number in range(ROUNDS)), key=lambda one: one["cpu"])
    return rounds[ROUNDS // 2]


def run(*command, cwd):
    subprocess.run(command, cwd=cwd, check=True, env={**os.environ, **GIT},
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def layered(count):
    """The same graph for all: 20 layers, each resource depends on two of the layer before."""
    width = count // LAYERS
    for index in range(count):
        layer, place = divmod(index, width)
        below = [] if layer == 0 else [(layer - 1) * width + place,
                                       (layer - 1) * width + (place + 1) % width]
        yield index, layer, below


def value_of(index, count, change):
    return f"change {change}" if change is not None and index == count - 1 else f"value {index}"


class Stratum:
    """A work tree and a bare repository that stratum keeps."""

    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        folder.mkdir(parents=True)
        self.bare, self.work = folder / "repo.git", folder / "work"
        run("git", "init", "-q", "--bare", "-b", "main", str(self.bare), cwd=folder)
        run("git", "init", "-q", "-b", "main", str(self.work), cwd=folder)
        run("git", "remote", "add", "origin", str(self.bare), cwd=self.work)
        self.write("stratum.ncl", '{ name = "bench", environments = { bench = {} } }\n')

    def write(self, path, text):
        path = self.work / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def push(self):
        run("git", "add", "-A", cwd=self.work)
        run("git", "commit", "-q", "-m", "change", cwd=self.work)
        run("git", "push", "-q", "origin", "main", cwd=self.work)

    def call(self, *arguments):
        return measure([self.program, "--repo", str(self.bare), *arguments], self.folder)

    def json(self, *arguments):
        command = [self.program, "--repo", str(self.bare), "--json", *arguments]
        return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

    def data(self, count, change=None):
        """One file for each layer, in the nested form; a change is of the last resource."""
        layers = {}
        for index, layer, below in layered(count):
            meta = "".join(f'"local_data.r{b}", ' for b in below)
            value = value_of(index, count, change)
            layers.setdefault(layer, []).append(
                f'    r{index} = {{ input = "{value}", meta = {{ depends_on = [{meta}] }} }},\n')
        for layer, lines in layers.items():
            self.write(f"infra/bench/layer{layer:02}.ncl",
                       "{\n  local_data = {\n" + "".join(lines) + "  },\n}\n")

    def measure_graph(self, count):
        self.data(count)
        self.push()
        result = {"plan": median(lambda _: self.call("plan"))}
        result["apply"] = self.call("reconcile", "--once")
        result["noop"] = median(lambda _: self.call("reconcile", "--once"))

        def one(number):
            self.data(count, number)
            self.push()
            measured = self.call("reconcile", "--once")
            applied = self.json("history")["runs"][0]["steps"]
            assert applied["done"] == 1, f"one changed, but {applied} were done"
            return measured
        result["one"] = median(one)
        return result


class Terraform:
    """terraform or tofu with the same graph of terraform_data."""

    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        folder.mkdir(parents=True)

    def write(self, count, change=None):
        lines = []
        for index, _, below in layered(count):
            depends = ", ".join(f"terraform_data.r{b}" for b in below)
            value = value_of(index, count, change)
            lines.append(f'resource "terraform_data" "r{index}" {{\n  input = "{value}"\n'
                         f"  depends_on = [{depends}]\n}}\n")
        (self.folder / "main.tf").write_text("".join(lines))

    def call(self, *arguments):
        return measure([self.program, *arguments, "-no-color"], self.folder)

    def measure_graph(self, count):
        self.write(count)
        self.call("init")
        result = {"plan": median(lambda _: self.call("plan", "-out=plan"))}
        # The plan is part of the figure, as it is of ours.
        result["apply"] = self.call("apply", "-auto-approve")
        result["noop"] = median(lambda _: self.call("plan"))

        def one(number):
            self.write(count, number)
            return self.call("apply", "-auto-approve")
        result["one"] = median(one)
        return result


def files(program, folder, count=1000):
    """The figures for `count` local files."""
    stratum = Stratum(program, folder)
    lines = [f'    f{i} = {{ path = "f/{i % 10}/{i}", content = "content {i}\\n" }},\n'
             for i in range(count)]
    for part in range(20):
        stratum.write(f"infra/bench/part{part:02}.ncl",
                      "{\n  local_file = {\n" + "".join(lines[part::20]) + "  },\n}\n")
    stratum.push()
    result = {"plan": stratum.call("plan"), "apply": stratum.call("reconcile", "--once"),
              "noop": median(lambda _: stratum.call("reconcile", "--once"))}
    made = sum(1 for path in (stratum.bare / "stratum/world/bench/f").rglob("*") if path.is_file())
    assert made == count, f"{made} of {count} files were made"
    return result


def latency(program, folder, pushes):
    """Seconds from the start of `git push` to the end of the run that applied it."""
    stratum = Stratum(program, folder)
    write = lambda n: stratum.write(
        "infra/bench.ncl", f'{{ local_file.page = {{ path = "page", content = "push {n}\\n" }} }}\n')
    write(0)
    stratum.push()
    page = stratum.bare / "stratum/world/bench/page"
    times = []
    with running(stratum):
        wait_for(page, "push 0\n")
        for number in range(1, pushes + 1):
            write(number)
            run("git", "add", "-A", cwd=stratum.work)
            run("git", "commit", "-q", "-m", f"push {number}", cwd=stratum.work)
            started = datetime.now(timezone.utc)
            run("git", "push", "-q", "origin", "main", cwd=stratum.work)
            wait_for(page, f"push {number}\n")
            times.append((started, ended(stratum, number)))
    seconds = sorted((end - start).total_seconds() for start, end in times)
    pick = lambda share: round(seconds[min(len(seconds) - 1, int(len(seconds) * share))], 4)
    return {"pushes": pushes, "p50": pick(0.5), "p95": pick(0.95), "most": round(seconds[-1], 4)}


def ended(stratum, number):
    """When the run of this push ended."""
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=stratum.work, check=True,
                          capture_output=True, text=True).stdout.strip()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        runs = [run for run in stratum.json("history")["runs"] if run["ended_at"]]
        if runs and runs[0]["revision"] == head:
            text = re.sub(r"(\.\d{6})\d*Z$", r"\1+00:00", runs[0]["ended_at"])
            return datetime.fromisoformat(text.replace("Z", "+00:00"))
        time.sleep(0.005)
    sys.exit(f"push {number} was not applied within 30 s")


def wait_for(path, text, patience=30):
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if path.exists() and path.read_text() == text:
            return
        time.sleep(0.001)
    sys.exit(f"{path} did not become {text!r} within {patience} s")


def journal(program, folder, count=1000):
    """Bytes in the state for each step, from the growth of the file over an update of everything."""
    stratum = Stratum(program, folder)
    sizes = []
    for word in ("a", "b"):
        lines = "".join(f'    r{i} = {{ input = "{word} {i}" }},\n' for i in range(count))
        stratum.write("infra/bench.ncl", "{\n  local_data = {\n" + lines + "  },\n}\n")
        stratum.push()
        stratum.call("reconcile", "--once")
        sizes.append(sum(p.stat().st_size for p in (stratum.bare / "stratum").glob("state.db*")))
    return {"steps": count, "bytes_per_step": round((sizes[1] - sizes[0]) / count)}


def many(program, folder, count, idle, pushes=15):
    """`count` environments with one file each: what a push to one of them costs, and nothing."""
    stratum = Stratum(program, folder)
    names = [f"e{number:05}" for number in range(count)]
    stratum.write("stratum.ncl", '{ name = "many", environments = { '
                  + ", ".join(f"{name} = {{}}" for name in names) + " } }\n")
    page = lambda name, word: stratum.write(
        f"infra/{name}.ncl", f'{{ local_file.page = {{ path = "page", content = "{word}\\n" }} }}\n')
    for name in names:
        page(name, "first")
    stratum.push()
    result = {"environments": count, "apply": stratum.call("reconcile", "--once")}
    result["noop"] = median(lambda _: stratum.call("reconcile", "--once"))
    world = stratum.bare / "stratum/world"
    with running(stratum) as reconciler:
        # One push that nobody waits for: whoever starts looks at what is not settled.
        page(names[0], "warm")
        stratum.push()
        wait_for(world / names[0] / "page", "warm\n", 600)
        settle(reconciler.pid)
        before, seconds = spent(reconciler.pid), []
        for number in range(pushes):
            name = names[(number * 7919) % count]
            page(name, f"push {number}")
            run("git", "add", "-A", cwd=stratum.work)
            run("git", "commit", "-q", "-m", f"push {number}", cwd=stratum.work)
            started = time.monotonic()
            run("git", "push", "-q", "origin", "main", cwd=stratum.work)
            wait_for(world / name / "page", f"push {number}\n")
            seconds.append(round(time.monotonic() - started, 4))
        settle(reconciler.pid)
        result["cpu_a_push"] = round((spent(reconciler.pid) - before) / pushes, 4)
        result["p50"] = sorted(seconds)[len(seconds) // 2]
        before = spent(reconciler.pid)
        time.sleep(idle)
        result["idle"] = round((spent(reconciler.pid) - before) / idle, 5)
    result["loose"] = loose(stratum)
    return result


def spent(pid):
    """CPU seconds of a process and of the children it waited for, so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def settle(pid):
    """Waits until a process does next to nothing."""
    for _ in range(300):
        before = spent(pid)
        time.sleep(2)
        if spent(pid) - before < 0.1:
            return
    sys.exit("the reconciler did not come to rest within ten minutes")


def history(program, folder, runs, pushes=40):
    """What a repository costs that has a history: pushes one after the other, then a state with so
    many runs, made of the last of them."""
    stratum = Stratum(program, folder)
    write = lambda n: stratum.write("infra/bench.ncl", f'{{ local_data.r = {{ input = "{n}" }} }}\n')
    write(0)
    stratum.push()
    with running(stratum) as reconciler:
        for number in range(1, pushes + 1):
            write(number)
            stratum.push()
            ended(stratum, number)
        settle(reconciler.pid)
    result = {"runs": runs, "loose": loose(stratum)}
    state = stratum.bare / "stratum/state.db"
    age(state, runs)
    result["state_before"] = size(state)
    key = folder / "identity"
    run(program, "secrets", "keygen", "identity", "--out", str(key), cwd=folder)
    start = lambda _: stratum.call("reconcile", "--once", "--identity", str(key))
    result["wrap"] = start(0)
    result["start"] = median(start)
    started = time.monotonic()
    with running(stratum):
        while not is_kept_up(state) and time.monotonic() - started < 3600:
            time.sleep(1)
    result["dropped_within"] = round(time.monotonic() - started)
    result["state"] = size(state)
    for command in ("status", "history"):
        result[command] = median(lambda _: stratum.call(command))
    result["noop"] = median(start)
    return result


def age(state, runs):
    """Adds so many copies of the newest run to a state that nobody has open."""
    with sqlite3.connect(state) as db:
        newest = "SELECT key, id, environment, summary, events FROM runs ORDER BY key DESC LIMIT 1"
        key, name, environment, summary, events = db.execute(newest).fetchone()
        body, = db.execute("SELECT body FROM plans WHERE run = ?", (key,)).fetchone()
        rows = db.execute("SELECT id, at, event FROM events WHERE id >= ? AND id < ?",
                          (key << 32, (key + 1) << 32)).fetchall()
        summary = json.loads(summary)
        for number in range(1, runs + 1):
            summary["id"] = f"{name[:-7]}-{number:06}"
            db.execute("INSERT INTO runs (key, id, environment, summary, events, open) "
                       "VALUES (?, ?, ?, ?, ?, 0)",
                       (key + number, summary["id"], environment, json.dumps(summary), events))
            db.execute("INSERT INTO plans (run, body) VALUES (?, ?)", (key + number, body))
            db.executemany("INSERT INTO events (id, at, event) VALUES (?, ?, ?)",
                           [(id + (number << 32), at, event) for id, at, event in rows])
    db.close()


def is_kept_up(state):
    """Whether everything was dropped that is too much."""
    db = sqlite3.connect(f"file:{state}?mode=ro", uri=True)
    try:
        sql = "SELECT run >= (SELECT max(key) FROM runs) FROM upkeep"
        return bool(db.execute(sql).fetchone()[0])
    finally:
        db.close()


def size(state):
    """The bytes of the state and of what SQLite keeps beside it."""
    return sum(path.stat().st_size for path in state.parent.glob("state.db*"))


def loose(stratum):
    counted = subprocess.run(["git", "count-objects"], cwd=stratum.bare, capture_output=True,
                             text=True)
    return int(counted.stdout.split()[0])


@contextmanager
def running(stratum):
    """A reconciler that watches, until the end of the block."""
    reconciler = subprocess.Popen(
        [stratum.program, "--repo", str(stratum.bare), "-q", "reconcile"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield reconciler
    finally:
        reconciler.send_signal(signal.SIGTERM)
        reconciler.wait(timeout=120)


WORK = {"plan": "first plan", "apply": "plan and apply", "noop": "nothing changed",
        "one": "one changed"}


def show_graphs(results, sizes):
    tools = [tool for tool in ("stratum", "tofu", "terraform") if tool in results]
    print("\ncpu s / MB written / peak MB, and how many times stratum's CPU")
    for step, name in WORK.items():
        for count in sizes:
            cells = []
            for tool in tools:
                got = results[tool].get(str(count), {}).get(step)
                if got is None:
                    continue
                own = results["stratum"][str(count)][step]["cpu"]
                times = "" if tool == "stratum" else f"  x{got['cpu'] / max(own, 0.001):,.0f}"
                cells.append(f"{tool} {got['cpu']:.3f} / {got['written'] / 1e6:.1f} / "
                             f"{got['peak_mb']:.0f}{times}")
            print(f"  {name:16} N={count:<5} " + "   ".join(cells))
    if {"1000", "5000"} <= results["stratum"].keys():
        for tool in tools:
            if "5000" in results[tool]:
                small, large = (results[tool][n]["apply"]["cpu"] for n in ("1000", "5000"))
                exponent = math.log(large / small) / math.log(5)
                results[tool]["exponent"] = round(exponent, 3)
                print(f"  exponent of apply, N=1000 to 5000: {tool} {exponent:.2f}")


def rows(program, folder, arguments):
    """The rows on many environments, and on history."""
    counts = [int(count) for count in arguments.environments.split(",") if count]
    for count in counts if arguments.only in (None, "many") else []:
        got = many(program, folder / f"many{count}", count, arguments.idle)
        print(f"{count} environments: first apply {got['apply']['cpu']:.2f} CPU s, nothing changed "
              f"{got['noop']['cpu']:.3f} CPU s; a push that touches one: p50 {got['p50'] * 1000:.0f} ms, "
              f"{got['cpu_a_push']:.3f} CPU s; idle {got['idle'] * 100:.2f} % of a core; "
              f"{got['loose']} loose objects", flush=True)
        yield {f"many{count}": got}
    if arguments.only in (None, "history"):
        got = history(program, folder / "history", arguments.runs)
        print(f"{got['runs']} runs, {got['state_before'] / 1e6:.0f} MB of state: a start with an "
              f"identity {got['start']['wall']:.3f} s ({got['wrap']['wall']:.1f} s the first time); "
              f"after {got['dropped_within']} s {got['state'] / 1e6:.0f} MB; status "
              f"{got['status']['wall'] * 1000:.0f} ms, history {got['history']['wall'] * 1000:.0f} ms, "
              f"nothing changed {got['noop']['cpu']:.3f} CPU s; {got['loose']} loose objects",
              flush=True)
        yield {"history": got}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sizes", default="100,1000,5000")
    parser.add_argument("--slow-limit", type=int, default=1000,
                        help="the largest N for terraform, whose cost grows with its square")
    parser.add_argument("--pushes", type=int, default=100)
    parser.add_argument("--environments", default="100",
                        help="so many environments with one file each, for example 100,1000,10000; "
                             "empty leaves them out")
    parser.add_argument("--idle", type=int, default=20,
                        help="so many seconds many environments are left alone")
    parser.add_argument("--runs", type=int, default=30_000,
                        help="so many runs are in the state of the row on history")
    parser.add_argument("--only", choices=["many", "history"], help="these rows alone")
    arguments = parser.parse_args()
    sizes = [int(size) for size in arguments.sizes.split(",")]
    program = arguments.program.resolve()
    folder = Path(tempfile.mkdtemp(prefix="stratum-bench-"))
    results = {"at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
               "cores": os.cpu_count()}
    try:
        for row in rows(program, folder, arguments):
            results.update(row)
        if arguments.only:
            return
        results["latency"] = latency(program, folder / "latency", arguments.pushes)
        print(f"push to applied, {arguments.pushes} pushes: {results['latency']}", flush=True)
        results["files"] = files(program, folder / "files")
        print("1,000 local files: " + ", ".join(
            f"{WORK[step]} {got['cpu']:.3f} CPU s" for step, got in results["files"].items()),
            flush=True)
        results["journal"] = journal(program, folder / "journal")
        print(f"journal: {results['journal']['bytes_per_step']} bytes a step", flush=True)
        makers = {"stratum": lambda f: Stratum(program, f)}
        for peer in ("tofu", "terraform"):
            if found := shutil.which(peer):
                makers[peer] = lambda f, found=found: Terraform(found, f)
            else:
                print(f"{peer} is not on the PATH, so it is not compared")
        for tool, make in makers.items():
            results[tool] = {}
            for count in sizes:
                if tool == "terraform" and count > arguments.slow_limit:
                    print(f"terraform with N={count} is left out; --slow-limit {count} runs it")
                    continue
                results[tool][str(count)] = make(folder / f"{tool}{count}").measure_graph(count)
                print(f"{tool} N={count}: done", file=sys.stderr, flush=True)
        show_graphs(results, sizes)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "figures.json").write_text(json.dumps(results, indent=1) + "\n")
    (arguments.out / "chart.svg").write_text(draw(results))
    print(f"\nraw figures: {arguments.out}/figures.json, chart: {arguments.out}/chart.svg")


main()
