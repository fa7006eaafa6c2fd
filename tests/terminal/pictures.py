#!/usr/bin/env python3
"""Draws what status, tree, history and trace look like in a terminal, for reconciler/docs/pictures/.

    tests/terminal/pictures.py --program target/release/stratum

The story is that of `stratum demo`, with one more push that breaks in staging. Each command runs in
a terminal of tmux, 80 and 40 columns wide, and what stands there afterwards is drawn with its
colours. Needs tmux and the package `rich` of PyPI.
"""

import argparse
import io
import os
import re
import shlex
import subprocess
import tempfile
import time
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

HERE = Path(__file__).resolve().parent
COMMANDS = {
    "status": "stratum status",
    "tree": "stratum tree staging",
    "history": "stratum history -n 4",
    "trace": "stratum trace production/local_service.web",
}
# Fonts of the machine that shows it: a picture asks the network for nothing.
FORMAT = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
DEADLINE = 60


def tmux(server, *arguments):
    done = subprocess.run(["tmux", "-L", server, "-f", "/dev/null", *arguments],
                          check=True, capture_output=True, text=True)
    return done.stdout


def until(what, look):
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.3)
    raise SystemExit(f"waited in vain for {what}")


def git(clone, *arguments):
    subprocess.run(["git", "-C", clone, *arguments], check=True, capture_output=True)


def tell(server, program, top):
    """Runs the demo until it waits, then pushes a change to staging that is rolled back."""
    demo = f"TMPDIR={top} {program} demo --wait"
    tmux(server, "new-session", "-d", "-s", "demo", "-x", "100", "-y", "50", demo)
    until("the demo", lambda: "Press Enter" in tmux(server, "capture-pane", "-p", "-t", "demo"))
    folder = next(Path(top).glob("stratum-demo-*"))
    clone, infra = folder / "clone", folder / "clone/infra/staging/shop.ncl"
    text = infra.read_text()
    infra.write_text(re.sub(r'runtime = "\w+"', 'runtime = "python4"', text))
    if infra.read_text() == text:
        raise SystemExit("infra/staging/shop.ncl names no runtime")
    # The demo ends with a repository that takes only commits signed by Ada or Ben.
    git(clone, "-c", "gpg.format=ssh", "-c", f"user.signingkey={folder}/keys/ada",
        "-c", "user.name=Ada", "-c", "user.email=ada@example.org",
        "commit", "-q", "-S", "-a", "-m", "Try the next Python in staging")
    git(clone, "push", "-q", "origin", "HEAD:main")
    repository = folder / "bakery.git"
    ask = [program, "status", "--repo", repository, "--json"]
    until("the rollback", lambda: b'"Stalled"' in subprocess.run(ask, capture_output=True).stdout)
    return repository


def capture(server, program, repository, command, columns):
    """What stands in a terminal after the command, with its colours."""
    name = f"columns-{columns}"
    environment = {
        "PS1": "$ ", "STRATUM_REPO": str(repository), "LANG": "C.UTF-8",
        "PATH": f"{program.parent}:{os.environ['PATH']}",
    }
    # The shell that tmux starts commands with sets some of these anew.
    pairs = " ".join(shlex.quote(f"{key}={value}") for key, value in environment.items())
    tmux(server, "new-session", "-d", "-s", name, "-x", str(columns), "-y", "70",
         f"env {pairs} bash --norc --noprofile")
    until("the prompt", lambda: "$" in tmux(server, "capture-pane", "-p", "-t", name))
    tmux(server, "send-keys", "-t", name, f"clear; {command}", "Enter")

    def done():
        lines = tmux(server, "capture-pane", "-p", "-t", name).rstrip("\n").split("\n")
        return len(lines) > 2 and lines[-1].strip() == "$"

    try:
        until(command, done)
    except SystemExit:
        print(tmux(server, "capture-pane", "-p", "-t", name).rstrip())
        raise
    text = tmux(server, "capture-pane", "-e", "-p", "-t", name).rstrip()
    tmux(server, "kill-session", "-t", name)
    body = text.rsplit("\n", 1)[0]
    return f"$ {command}\n{body}"


def draw(text, columns, title, path):
    console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(text), soft_wrap=False)
    svg = console.export_svg(title=title, code_format=FORMAT, unique_id=path.stem)
    # Some viewers drop the blanks that a text begins with.
    svg = svg.replace("<text ", '<text xml:space="preserve" ')
    path.write_text(re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=HERE / "../../reconciler/docs/pictures")
    arguments = parser.parse_args()
    program = arguments.program.resolve()
    arguments.out.mkdir(parents=True, exist_ok=True)
    server = f"stratum-{os.getpid()}"
    with tempfile.TemporaryDirectory(prefix="stratum-pictures-") as top:
        try:
            repository = tell(server, program, top)
            for name, command in COMMANDS.items():
                for columns in (80, 40):
                    text = capture(server, program, repository, command, columns)
                    path = arguments.out / f"{name}-{columns}.svg"
                    draw(text, columns, f"{columns} columns", path)
                    print(path.name, len(text.splitlines()), "lines")
        finally:
            tmux(server, "send-keys", "-t", "demo", "Enter")
            until("the end of the demo", lambda: not list(Path(top).glob("stratum-demo-*")))
            # It ended with the demo, its last session, if that was quick.
            subprocess.run(["tmux", "-L", server, "kill-server"], capture_output=True)


main()
