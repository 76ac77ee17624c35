#!/usr/bin/env python3
"""Does what the pages say: runs their shell blocks, checks their configurations.

    docs/check.py PORTICO [PAGE ...]

Each page has a folder of its own, and a network namespace of its own where `unshare` can make one, since pages use default ports. A line before
a block says what it is:

    <!-- ci: run -->                       run, and has to succeed; variables live until the page's end
    <!-- ci: background until TEXT -->     started, and waited for until it prints TEXT
    <!-- ci: file NAME -->                 written to NAME
    <!-- ci: config ROLE -->               accepted by `portico config check --role ROLE`; key files that it names are made
    <!-- excerpt -->                       only read

A block of sh or yaml without such a line is an error, so that nothing is forgotten.
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PAGES = pathlib.Path(__file__).resolve().parent
# Settlement takes a quarter of a minute; the rest is for loaded machines.
PATIENCE_S = 300
BLOCK = re.compile(r"(?:^<!-- (?P<mark>[^>]+) -->\n)?^```(?P<kind>sh|yaml)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


class Page:
    """One page, in one folder and one shell."""

    def __init__(self, path, portico, folder):
        self.path, self.portico, self.folder, self.background = path, portico, folder, []
        self.environment = dict(os.environ, PATH=f"{portico.parent}:{os.environ['PATH']}", XDG_DATA_HOME=str(folder / "data"))
        (folder / "data").mkdir()

    def fail(self, at, text):
        raise SystemExit(f"{self.path.name}:{at}: {text}")

    def check(self):
        text, counts = self.path.read_text(), {}
        try:
            for block in BLOCK.finditer(text):
                at = text.count("\n", 0, block.start()) + 1
                kind = self.block(at, block["mark"], block["text"])
                counts[kind] = counts.get(kind, 0) + 1
        finally:
            for process in reversed(self.background):
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGINT)
            for process in self.background:
                process.wait(60)
        print(f"{self.path.name}: " + ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())))

    def block(self, at, mark, text):
        words = (mark or "").split()
        match words:
            case ["excerpt"]:
                return "excerpt"
            case ["ci:", "run"]:
                self.run(at, text)
            case ["ci:", "background", "until", *until]:
                self.start(at, text, " ".join(until))
            case ["ci:", "file", name]:
                (self.folder / name).write_text(text)
            case ["ci:", "config", role]:
                self.config(at, role, text)
            case _:
                self.fail(at, f"a block that is neither run nor marked as an excerpt (mark: {mark})")
        return words[1]

    def run(self, at, text):
        # One shell per block; what it sets goes on to the next.
        script = f"set -euo pipefail; . ./.variables 2>/dev/null || true\n{text}\ndeclare -p | grep -E '^declare -- [A-Z_]+=' > .variables || true\n"
        done = subprocess.run(
            ["bash", "-c", script], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, timeout=PATIENCE_S,
            capture_output=True, text=True, errors="replace",
        )
        if done.returncode != 0:
            self.fail(at, f"exit code {done.returncode}\n{text}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")

    def start(self, at, text, until):
        log = self.folder / f"background-{at}.log"
        process = subprocess.Popen(
            ["bash", "-euc", text], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=log.open("wb"), stderr=subprocess.STDOUT, start_new_session=True,
        )
        self.background.append(process)
        ends = time.monotonic() + PATIENCE_S
        while until not in log.read_text(errors="replace"):
            if process.poll() is not None or time.monotonic() > ends:
                self.fail(at, f"never printed {until!r}:\n{log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.1)

    def config(self, at, role, text):
        file = self.folder / f"config-{at}" / f"{role}.yaml"
        file.parent.mkdir()
        file.write_text(text)
        for key in set(re.findall(r"file: (\S+\.hex)", text)):
            path = file.parent / key
            path.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run([self.portico, "keys", "generate", path], check=True, stdout=subprocess.DEVNULL)
        done = subprocess.run([self.portico, "config", "check", "--role", role, file], capture_output=True, text=True)
        if done.returncode != 0:
            self.fail(at, done.stderr)


def apart(page, portico):
    """This script again for one page, in a network namespace of its own where there can be one."""
    inner = [sys.executable, __file__, "--here", str(portico), str(page)]
    if subprocess.run(["unshare", "-n", "ip", "link", "set", "lo", "up"], capture_output=True).returncode == 0:
        inner = ["unshare", "-n", "bash", "-c", 'ip link set lo up && exec "$@"', "_", *inner]
    return subprocess.run(inner).returncode


def main():
    here = sys.argv[1:2] == ["--here"]
    arguments = sys.argv[2:] if here else sys.argv[1:]
    if not arguments:
        sys.exit("check.py: which binary? docs/check.py PORTICO [PAGE ...]")
    portico = pathlib.Path(arguments[0]).resolve()
    pages = [pathlib.Path(page).resolve() for page in arguments[1:]] or sorted(PAGES.glob("*.md"))
    if here:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="portico-docs-"))
        try:
            Page(pages[0], portico, folder).check()
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return
    failed = [page.name for page in pages if apart(page, portico) != 0]
    if failed:
        sys.exit(f"check.py: {', '.join(failed)} failed")
    print(f"{len(pages)} pages do what they say")


if __name__ == "__main__":
    main()
