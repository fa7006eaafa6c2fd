#!/usr/bin/env python3
"""Pushes hostile commits to a reconciler that lives on, and looks at what each of them did.

For each commit of cases.py: the reconciler stays up, takes less than 300 MB and less than 20 s to
look at it, the environment takes the next good commit, nothing outside its root is touched, no
secret is printed, and no branch moves but the one of the records.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from cases import CASES, Link  # noqa: E402

MOST_MEMORY = 300      # MB of the reconciler itself
MOST_TIME = 20         # seconds for a look, and for the next good commit, where nothing else runs
CANARY = "canary-5ecre7-c4n4ry"
SETTINGS = '{ name = "shop", environments = { app = {} } }\n'
ENV = {
    "PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8",
    "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_AUTHOR_NAME": "x", "GIT_AUTHOR_EMAIL": "x@x",
    "GIT_COMMITTER_NAME": "x", "GIT_COMMITTER_EMAIL": "x@x",
}


def crowded():
    """How many times longer things take than on a machine that has nothing else to do."""
    began, used = time.monotonic(), time.process_time()
    while time.process_time() - used < 0.1:
        pass
    return min(max(1, (time.monotonic() - began) / 0.1), 10)


def run(*command, **more):
    return subprocess.run([str(part) for part in command], env=ENV, capture_output=True, **more)


class Repo:
    """A bare repository whose objects are written as they are told, also those git would not."""

    def __init__(self, folder):
        self.folder = folder
        run("git", "init", "-q", "--bare", "-b", "main", folder, check=True)
        self.key = folder.parent / "ada"
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ada", "-f", self.key, check=True)
        self.ada = self.key.with_suffix(".pub").read_text().strip()
        self.time = 1_700_000_000

    # Objects

    def object(self, kind, data):
        whole = f"{kind} {len(data)}\0".encode() + data
        name = hashlib.sha1(whole).hexdigest()
        path = self.folder / "objects" / name[:2] / name[2:]
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(zlib.compress(whole, 1))
        return name

    def blob(self, data):
        return self.object("blob", data)

    def tree(self, entries, ordered=True):
        key = lambda one: one[1] + (b"/" if one[0] == "40000" else b"")
        entries = sorted(entries, key=key) if ordered else entries
        return self.object("tree", b"".join(
            mode.encode() + b" " + name + b"\0" + bytes.fromhex(id) for mode, name, id in entries))

    def files(self, files):
        """The tree of these files, by path."""
        folders, entries = {}, []
        for path, data in files.items():
            head, _, rest = path.partition("/")
            if rest:
                folders.setdefault(head, {})[rest] = data
            elif isinstance(data, Link):
                entries.append(("120000", head.encode(), self.blob(data.target.encode())))
            elif isinstance(data, tuple):
                entries.append((data[0], head.encode(), data[1]))
            else:
                entries.append(("100644", head.encode(), self.blob(data)))
        taken = {name for _, name, _ in entries}
        for head, below in folders.items():
            if head.encode() not in taken:
                entries.append(("40000", head.encode(), self.files(below)))
        return self.tree(entries)

    def commit(self, tree, parents, who, message=b"a change", author=b"Eve <eve@example.org>",
               when=None, extra=b""):
        self.time += 1
        when = str(self.time).encode() + b" +0000" if when is None else when
        name = b"Ada <ada@example.org>" if who == "ada" else author
        lines = [b"tree " + (tree if isinstance(tree, bytes) else tree.encode())]
        lines += [b"parent " + (one if isinstance(one, bytes) else one.encode()) for one in parents]
        if name is not None:
            lines.append(b"author " + name + b" " + when)
        lines.append(b"committer " + (name or b"x <x@x>") + b" " + when)
        head, body = b"\n".join(lines) + b"\n" + extra, b"\n" + message + b"\n"
        if who == "ada":
            signed = subprocess.run(
                ["ssh-keygen", "-q", "-Y", "sign", "-n", "git", "-f", str(self.key), "-"],
                input=head + body, capture_output=True, check=True, env=ENV).stdout
            head += b"gpgsig " + signed.rstrip(b"\n").replace(b"\n", b"\n ") + b"\n"
        return self.object("commit", head + body)

    # What is good

    def good(self, trusts, number, more=None):
        files = {
            "stratum.ncl": SETTINGS.encode(),
            "infra/app.ncl": f'{{ local_file.f = {{ path = "f", content = "good {number}" }} }}\n'.encode(),
        }
        if trusts:
            files["trust/people/ada.toml"] = f'ssh = ["{self.ada}"]\n'.encode()
        return {**files, **(more or {})}

    # What is not; each gives back the commit

    def start(self, parent, who, files):
        """The good files, with these laid over them."""
        good = self.good(who != "open", 0)
        base = dict(good)
        for path, data in files.items():
            for old in good:
                if old == path or old.startswith(path + "/") or path.startswith(old + "/"):
                    base.pop(old, None)
            if data is not None:
                base[path] = data
        return self.commit(self.files(base), [parent], who)

    def deep(self, parent, who, at, levels):
        below = self.tree([("100644", b"x.ncl", self.blob(b"{}"))])
        for _ in range(levels):
            below = self.tree([("40000", b"a", below)])
        return self.start(parent, who, {f"{at}/deep": ("40000", below)})

    def wide(self, parent, who, at, count):
        blob = self.blob(b"")
        tree = self.tree([("100644", b"f%06d.md" % n, blob) for n in range(count)])
        return self.start(parent, who, {f"{at}/wide": ("40000", tree)})

    def odd(self, parent, who, entries):
        tree = self.tree([(mode, name, self.blob(data)) for mode, name, data in entries], False)
        return self.start(parent, who, {"infra/app.ncl": None, "infra/app": ("40000", tree)})

    def missing(self, parent, who, mode):
        return self.start(parent, who, {"infra/app.ncl": (mode, "1" * 40)})

    def broken_tree(self, parent, who):
        tree = self.object("tree", b"100644 app.ncl")
        return self.start(parent, who, {"infra/app.ncl": None, "infra": ("40000", tree)})

    def odd_commit(self, parent, who, parents=None, **parts):
        tree = self.files(self.good(who != "open", "from eve"))
        if parents == "many":
            parents = [parent] + [self.commit(tree, [], "eve", message=b"%d" % n) for n in range(2000)] * 10
        return self.commit(tree, [parent] if parents is None else parents, who, **parts)

    def chain(self, parent, who, count):
        tree = self.files(self.good(who != "open", "from eve"))
        for _ in range(count):
            parent = self.commit(tree, [parent], who)
        return parent

    def tags(self, count, size):
        head = (self.folder / "refs/heads/main").read_text().strip()
        packed = ["# pack-refs with: peeled fully-peeled sorted"]
        for n in range(count):
            name = f"stratum/suspend/app+{n}"
            tag = self.object("tag", f"object {head}\ntype commit\ntag {name}\n"
                              f"tagger Eve <e@e> {self.time} +0000\n\n".encode() + b"x" * size)
            packed += [f"{tag} refs/tags/{name}", f"^{head}"]
        (self.folder / "packed-refs").write_text("\n".join(packed) + "\n")

    # Refs

    def push(self, commit):
        """Moves main; a lock and a rename, as git does it, whatever the object is."""
        lock = self.folder / "refs/heads/main.lock"
        lock.write_text(commit + "\n")
        lock.rename(self.folder / "refs/heads/main")

    def heads(self):
        out = run("git", "-C", self.folder, "for-each-ref", "--format=%(refname) %(objectname)",
                  "refs/heads").stdout.decode()
        return dict(line.split(" ") for line in out.splitlines())


class Reconciler:
    """The real program, with what it says."""

    def __init__(self, program, repo, folder):
        self.program, self.repo, self.folder = program, repo, folder
        self.lines, self.process, self.where = [], None, ""

    def start(self):
        self.process = subprocess.Popen(
            [self.program, "--repo", self.repo.folder, "--state", self.folder / "state.db", "reconcile",
             "--log", "json"],
            env={**ENV, "SECRET_CANARY": CANARY, "XDG_CONFIG_HOME": str(self.folder / "config")},
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")
        threading.Thread(target=self.read, args=(self.process,), daemon=True).start()

    def read(self, process):
        for line in process.stderr:
            self.lines.append(line if len(line) < 100_000 else line[:100_000])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
            return True
        except subprocess.TimeoutExpired:
            self.where = self.threads()
            self.process.kill()
            self.process.wait()
            return False

    def threads(self):
        """What each thread waits for."""
        said = []
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            try:
                words = [(task / name).read_text().strip() for name in ("comm", "wchan", "syscall")]
                said.append(" ".join(words))
            except OSError:
                pass
        return "; ".join(sorted(said))

    def status(self, name):
        try:
            text = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return 0
        for line in text.splitlines():
            if line.startswith(name):
                return int(line.split()[1])
        return 0

    def forget_peak(self):
        try:
            Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")
        except OSError:
            pass

    def said(self, since, *words):
        return any(all(word in line for word in words) for line in self.lines[since:])


class Ground:
    """One repository with one reconciler: with trust, or without."""

    def __init__(self, program, folder, trusts):
        self.folder, self.trusts = folder, trusts
        folder.mkdir()
        self.repo = Repo(folder / "repo.git")
        self.world = folder / "world/app/f"
        self.outside = folder / "outside"
        self.outside.mkdir()
        (self.outside / "file").write_text("outside")
        self.reconciler = Reconciler(program, self.repo, folder)
        self.number, self.tip = 0, None
        self.base = self.next_good([])
        self.repo.push(self.base)
        self.reconciler.start()
        if not self.wait(self.took, 60):
            sys.exit("the first good commit was not taken: " + "".join(self.reconciler.lines[-5:]))

    def next_good(self, parents):
        self.number += 1
        tree = self.repo.files(self.repo.good(self.trusts, self.number))
        return self.repo.commit(tree, parents, "ada" if self.trusts else "open")

    def took(self):
        try:
            return self.world.read_text() == f"good {self.number}"
        except OSError:
            return False

    def wait(self, what, seconds):
        end = time.monotonic() + seconds * crowded()
        while time.monotonic() < end:
            if what():
                return True
            if self.reconciler.process.poll() is not None:
                return False
            time.sleep(0.02)
        return what()

    def fingerprint(self):
        text = []
        for path in sorted(self.outside.rglob("*")):
            text.append(f"{path} {path.stat().st_mode} {path.read_text()}")
        for name in ("/etc/passwd", "/etc/hosts"):
            text.append(f"{name} {os.stat(name).st_mtime_ns}")
        return text

    def attack(self, case):
        """What is wrong after this case; and seconds of the look, MB, seconds to the next good."""
        reconciler, repo, wrong = self.reconciler, self.repo, []
        if reconciler.process.poll() is not None:
            reconciler.start()
            time.sleep(1)
        since, before = len(reconciler.lines), self.fingerprint()
        heads = repo.heads()
        if case.after:
            case.after(repo)
            hostile = self.next_good([self.base])
        elif case.make:
            hostile = case.make(repo, self.base, case.who)
        else:
            hostile = repo.start(self.base, case.who, case.files)
        reconciler.forget_peak()
        began = time.monotonic()
        repo.push(hostile)
        seen = lambda: reconciler.said(since, hostile[:40], "looked at") or reconciler.said(
            since, "\"trouble\"")
        looked = self.wait(seen, MOST_TIME)
        look = time.monotonic() - began
        # What moves without end would move now.
        time.sleep(0.3)
        moved = repo.heads()
        for name in set(heads) | set(moved):
            if name in ("refs/heads/main", "refs/heads/stratum/records"):
                continue
            if heads.get(name) != moved.get(name):
                wrong.append(f"{name} moved")
        if moved.get("refs/heads/main", hostile) != hostile:
            wrong.append("main moved")
        signed = case.who == "ada" or case.after is not None
        good = self.next_good([hostile if signed else self.base])
        began = time.monotonic()
        repo.push(good)
        taken = self.wait(self.took, MOST_TIME / 2) or self.leave(hostile, signed)
        next_ = time.monotonic() - began
        memory = reconciler.status("VmHWM") / 1024
        if reconciler.process.poll() is not None:
            wrong.append(f"ended with {reconciler.process.returncode}: "
                         + "".join(reconciler.lines[-3:])[-300:])
        if not looked:
            wrong.append(f"not looked at within {MOST_TIME} s, times what the machine is crowded")
        if not taken:
            wrong.append("the next good commit is not taken")
        if memory > MOST_MEMORY:
            wrong.append(f"{memory:.0f} MB")
        if self.fingerprint() != before:
            wrong.append("something outside changed")
        if reconciler.said(since, CANARY):
            wrong.append("a secret was printed")
        if taken:
            self.base = repo.heads().get("refs/heads/main", good)
        else:
            self.recover()
        if case.after:
            (repo.folder / "packed-refs").unlink(missing_ok=True)
        return wrong, look, memory, next_

    def leave(self, hostile, signed):
        """A policy that forbids every change of a resource is left in two steps: first it goes, and
        changes no resource."""
        try:
            now = self.world.read_text().removeprefix("good ")
        except OSError:
            now = self.number - 1
        tree = self.repo.files(self.repo.good(self.trusts, now))
        undo = self.repo.commit(tree, [hostile if signed else self.base], "ada" if self.trusts else "open")
        since = len(self.reconciler.lines)
        self.repo.push(undo)
        self.wait(lambda: self.reconciler.said(since, undo, "looked at"), MOST_TIME / 2)
        tree = self.repo.files(self.repo.good(self.trusts, self.number))
        self.repo.push(self.repo.commit(tree, [undo], "ada" if self.trusts else "open"))
        return self.wait(self.took, MOST_TIME / 2)

    def end(self, kill):
        """Ends the reconciler while it evaluates something endless; no child stays behind."""
        if self.reconciler.process.poll() is not None:
            return ["it had ended before the end"]
        loop = b"let rec f = fun x => f (x + 1) in { local_data.end.input = f %d }" % self.number
        files = {**self.repo.good(self.trusts, self.number), "infra/app.ncl": loop}
        self.repo.push(self.repo.commit(self.repo.files(files), [self.base],
                                        "ada" if self.trusts else "open"))
        time.sleep(2)
        children = self.children()
        began = time.monotonic()
        if kill:
            self.reconciler.process.kill()
            self.reconciler.process.wait()
        elif not self.reconciler.stop():
            return ["SIGTERM was not obeyed within 15 s: " + self.reconciler.where
                    + "; its last words: " + "".join(self.reconciler.lines[-4:])]
        wrong = [] if time.monotonic() - began < 8 else ["SIGTERM took more than 8 s"]
        time.sleep(2)
        left = [pid for pid in children if Path(f"/proc/{pid}/stat").exists()
                and Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"]
        return wrong + [f"{len(left)} of {len(children)} children stay behind"] * bool(left)

    def children(self):
        """The evaluating children of the reconciler."""
        found, own = [], str(self.reconciler.process.pid)
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                if path.read_text().rsplit(") ", 1)[1].split()[1] == own:
                    found.append(path.parent.name)
            except OSError:
                pass
        return found

    def recover(self):
        """A new beginning, so that one failure is one."""
        if self.reconciler.process.poll() is None:
            self.reconciler.process.kill()
            self.reconciler.process.wait()
        for name in ("state.db", "state.db-wal", "state.db-shm"):
            (self.folder / name).unlink(missing_ok=True)
        for path in self.folder.glob("state.db*"):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()
        shutil.rmtree(self.folder / "world", ignore_errors=True)
        for log in ("audit", "log"):
            shutil.rmtree(self.folder / log, ignore_errors=True)
        run("git", "-C", self.repo.folder, "update-ref", "-d", "refs/heads/stratum/records")
        self.base = self.next_good([])
        self.repo.push(self.base)
        self.reconciler.start()
        self.wait(self.took, 30)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", required=True, type=Path)
    parser.add_argument("--sample", type=int, help="so many of them, and those that count most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="those whose name has this in it")
    parser.add_argument("--json", type=Path, help="write what was seen here")
    arguments = parser.parse_args()
    cases = list(CASES)
    if arguments.only:
        cases = [case for case in cases if arguments.only in case.name]
    elif arguments.sample:
        core = [case for case in cases if case.core]
        others = [case for case in cases if not case.core]
        dice = random.Random(arguments.seed)
        cases = dice.sample(core + others, 0) + (core + dice.sample(others, len(others)))[:arguments.sample]
    program = arguments.program.resolve()
    failed, seen = [], []
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        folder = Path(folder)
        grounds = {trusts: Ground(program, folder / name, trusts)
                   for name, trusts in (("open", False), ("trust", True))}
        for number, case in enumerate(cases, 1):
            wrong, look, memory, next_ = grounds[case.who != "open"].attack(case)
            line = (f"{number:>4}/{len(cases)} {case.name[:60]:<60} look {look:5.1f} s "
                    f"{memory:5.0f} MB  next {next_:4.1f} s")
            print(line + ("  FAIL: " + "; ".join(wrong) if wrong else ""), flush=True)
            seen.append({"name": case.name, "look": look, "memory": memory, "next": next_,
                         "wrong": wrong})
            if wrong:
                failed.append(case.name)
        for trusts, ground in grounds.items():
            failed += ground.end(kill=trusts)
            printed = "".join(ground.reconciler.lines)
            records = run("git", "-C", ground.repo.folder, "log", "-p", "--format=%B",
                          "stratum/records").stdout.decode(errors="replace")
            for what, text in (("the log", printed), ("the records", records)):
                if CANARY in text:
                    failed.append(f"a secret is in {what}")
                for sign in ("\x1b", "\x07", "\u202e"):
                    if sign in text:
                        failed.append(f"{sign!r} is in {what}")
    if arguments.json:
        arguments.json.write_text(json.dumps(seen, indent=1))
    looks = sorted(one["look"] for one in seen) or [0]
    print(f"{len(cases)} hostile commits, {len(failed)} failed; look: median "
          f"{looks[len(looks) // 2]:.1f} s, longest {looks[-1]:.1f} s; largest "
          f"{max([one['memory'] for one in seen] or [0]):.0f} MB")
    for name in failed:
        print(f"  failed: {name}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
