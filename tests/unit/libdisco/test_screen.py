#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""What discoctl top has on a terminal, after keys, changes of size, and when
machines come and go: in a pseudo-terminal, with the fake module. Prints TAP."""

import fcntl
import json
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

import pyte

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
BUILD = os.environ.get("BUILD", os.path.join(TOP, "build"))
PROGRAM = os.path.join(BUILD, "tests/unit/libdisco/fake_discoctl")
LIMIT = 30
results = []


def result(good, what, details=""):
    results.append(good)
    print(f"{'ok' if good else 'not ok'} {len(results)} - {what}")
    if not good:
        for line in details.splitlines():
            print(f"# {line}")


class Module:
    """The folder that stands for module, mount and machine."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="screen.")
        for name in ("mount/ram", "mount/disk", "counters", "proc", "nodes"):
            os.makedirs(os.path.join(self.path, name))
        self.write("mounts", f"none {self.path}/mount disco rw 0 0\n")
        self.write("counters/private_to_private_move", "5\n")

    def write(self, name, text):
        with open(os.path.join(self.path, name), "w", encoding="utf-8") as file:
            file.write(text)

    def machine(self, name, mib):
        with open(os.path.join(self.path, "mount/ram", name), "wb") as file:
            file.truncate(mib << 20)

    def remove(self, name):
        os.unlink(os.path.join(self.path, "mount/ram", name))

    def run(self, *args, **kwargs):
        """Not on a terminal."""
        return subprocess.run([PROGRAM, self.path, *args], text=True, check=False,
                              timeout=LIMIT, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              **kwargs)


class Terminal:
    """A terminal of some size with discoctl top on it."""

    def __init__(self, module, *args, columns=80, lines=24, term="xterm"):
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self.status = None
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.environ.pop("LINES", None)
            os.environ.pop("COLUMNS", None)
            os.environ["TERM"] = term
            # Until the terminal has its size.
            sys.stdin.readline()
            os.execv(PROGRAM, [PROGRAM, module.path, "top", *args])
        self.set_size(columns, lines)
        os.write(self.fd, b"\n")

    def set_size(self, columns, lines):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ,
                    struct.pack("HHHH", lines, columns, 0, 0))

    def resize(self, columns, lines):
        self.screen.resize(lines, columns)
        self.set_size(columns, lines)

    def rows(self):
        return [line.rstrip() for line in self.screen.display]

    def text(self):
        return "\n".join(self.rows())

    def read(self, seconds):
        """Let it draw; False when it has ended."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.stream.feed(data)
        return bool(data)

    def shows(self, condition, what):
        """Wait until the rows fulfil a condition."""
        end = time.monotonic() + LIMIT
        good = False
        while not good and time.monotonic() < end and self.read(0.05):
            good = condition(self.rows())
        result(good or condition(self.rows()), what, self.text())

    def press(self, keys):
        os.write(self.fd, keys)

    def ends(self, status, what):
        end = time.monotonic() + LIMIT
        while time.monotonic() < end and self.read(0.2):
            pass
        # What has ended does not mind.
        if time.monotonic() >= end:
            os.kill(self.pid, signal.SIGKILL)
        self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        result(self.status == status, what, f"status {self.status}\n{self.text()}")
        os.close(self.fd)


def names(rows):
    """First words between the titles and the totals."""
    found = []
    titles = [i for i, row in enumerate(rows) if row.startswith("VM ")]
    for row in rows[titles[0] + 1:] if titles else []:
        if row.startswith("TOTAL"):
            return found
        found.append(row.split()[0] if row else "")
    return None


def test_keys(module):
    top = Terminal(module, "-d", "1000")
    top.shows(lambda rows: names(rows) == ["large", "middle", "small"],
              "the machine with the most memory is first")
    rows = top.rows()
    result(rows[0].startswith("discoctl top ") and rows[0].endswith("3 machines") and
           rows[1].startswith("Mount ") and rows[2] == "Moved - pages/s, local -",
           "a summary is above", top.text())
    result(rows[4].split() == ["VM", "VIRTUAL", "PRIVATE", "SHARED", "MACHINE",
                               "SAVED", "MOVED/S", "LOCAL"] and
           rows[5].split() == ["large", "8.0M", "8.0M", "0.0K", "8.0M", "0.0K", "-", "-"],
           "columns have titles", top.text())
    result(rows[8].split()[:2] == ["TOTAL", "14.0M"] and
           rows[23].startswith("sorted by machine, every 1000 s; q quit"),
           "totals and keys are below", top.text())
    top.press(b"n")
    top.shows(lambda rows: "sorted by name" in rows[-1], "n sorts by name")
    top.press(b"n")
    top.shows(lambda rows: names(rows) == ["small", "middle", "large"],
              "again, the other way round")
    top.press(b"v")
    top.shows(lambda rows: names(rows) == ["large", "middle", "small"] and
              "sorted by virtual" in rows[-1], "v sorts by size")
    top.press(b"r")
    top.shows(lambda rows: names(rows) == ["small", "middle", "large"] and
              "virtual, turned" in rows[-1], "r turns the order")
    module.machine("new", 16)
    module.write("counters/private_to_private_move", "99999\n")
    top.press(b" ")
    top.shows(lambda rows: names(rows) == ["small", "middle", "large", "new"] and
              rows[0].endswith("4 machines"), "space refreshes: a new machine is there")
    result("Moved -" not in top.text() and "Moved 0.0" not in top.text(),
           "moves are a rate now", top.text())
    module.remove("new")
    top.press(b" ")
    top.shows(lambda rows: names(rows) == ["small", "middle", "large"],
              "and gone when it is gone")
    top.press(b"q")
    top.ends(0, "q ends it")


def test_size(module):
    top = Terminal(module, "-d", "1000", "--sort", "name")
    top.shows(lambda rows: len(names(rows) or []) == 3, "a sort order may be named")
    top.resize(100, 30)
    top.shows(lambda rows: "sorted by" in rows[29] and
              rows[4].endswith("LOCAL") and len(rows[4]) == 100,
              "a larger terminal is filled")
    top.resize(70, 9)
    top.shows(lambda rows: names(rows) == ["large", "middle"] and
              rows[7].startswith("TOTAL") and "sorted by" in rows[8],
              "a smaller one has the first machines")
    top.press(b"\033OB")
    top.shows(lambda rows: names(rows) == ["middle", "small"], "which scroll down")
    top.press(b"\033OB\033[6~")
    top.shows(lambda rows: names(rows) == ["middle", "small"], "not past the end")
    top.press(b"\033OA")
    top.shows(lambda rows: names(rows) == ["large", "middle"], "and up")
    top.resize(30, 4)
    top.shows(lambda rows: rows[0].startswith("discoctl top"), "a tiny one has what fits")
    top.resize(80, 24)
    top.shows(lambda rows: names(rows) == ["large", "middle", "small"],
              "and all is back")
    os.kill(top.pid, signal.SIGINT)
    top.ends(0, "an interrupt ends it")
    result(top.screen.cursor.hidden is False, "and the cursor is back")


def test_refreshes(module):
    top = Terminal(module, "-d", "0.1", "-n", "3")
    top.ends(0, "after so many refreshes it ends")
    top = Terminal(module, "-d", "0.1")
    top.shows(lambda rows: len(names(rows) or []) == 3, "it refreshes by itself")
    module.machine("late", 1)
    top.shows(lambda rows: len(names(rows) or []) == 4, "and sees what is new")
    module.remove("late")
    module.write("counters/private_to_private_move", "many\n")
    top.ends(2, "when the module cannot be asked any more it ends")
    text = " ".join(top.text().split())
    result("discoctl: counter private_to_private_move is not a number" in text,
           "and says why, on a terminal that is in order", top.text())
    module.write("counters/private_to_private_move", "5\n")


def test_terminals(module):
    for term, words in (("nonsense", 'type "nonsense"'), ("dumb", 'type "dumb"'),
                        ("", "TERM does not say")):
        top = Terminal(module, term=term)
        top.ends(2, f"TERM={term} is an error")
        result(words in top.text() and "try -b" in " ".join(top.text().split()),
               "that says so, and a way out", top.text())
    top = Terminal(module, "-d", "1000", term="vt100")
    top.shows(lambda rows: len(names(rows) or []) == 3, "a vt100 will do")
    top.press(b"Q")
    top.ends(0, "and Q")
    answer = module.run("top")
    result(answer.returncode == 2 and not answer.stdout and
           "standard input is no terminal: try -b" in answer.stderr,
           "without a terminal it is an error", answer.stderr)


def test_batch(module):
    answer = module.run("top", "-b", "-n", "2", "-d", "0.1", env={"TERM": ""})
    parts = answer.stdout.split("\n\n")
    result(answer.returncode == 0 and not answer.stderr and len(parts) == 4 and
           [line.split()[0] for line in parts[3].splitlines()] ==
           ["VM", "large", "middle", "small", "TOTAL"],
           "batch mode needs no terminal", answer.stdout + answer.stderr)
    result("pages/s" in parts[0] and "Moved -" in parts[0] and "Moved 0.0" in parts[2],
           "moves are known from the second refresh on", answer.stdout)
    answer = module.run("top", "-j", "-n", "2", "-d", "0.1", "--sort", "name")
    lines = [json.loads(line) for line in answer.stdout.splitlines()]
    result(len(lines) == 2 and lines[0]["seconds"] is None and
           0.1 <= lines[1]["seconds"] < LIMIT and
           abs(lines[1]["time"] - lines[0]["time"] - lines[1]["seconds"]) < 1,
           "-j is an object a line, with times", answer.stdout)
    result(lines[1]["vms"] == [{"path": name, "id": 7, "virtual": size, "private": size,
                                "shared": 0, "machine": size, "metadata": 0, "saved": 0,
                                "moved": 0, "local": None}
                               for name, size in (("large", 8 << 20), ("middle", 4 << 20),
                                                  ("small", 2 << 20))] and
           lines[1]["totals"]["machine"] == 14 << 20 and
           lines[0]["totals"]["moved"] is None and lines[1]["totals"]["moved"] == 0 and
           lines[1]["mount"]["path"] == f"{module.path}/mount" and
           lines[1]["unreadable"] == 0,
           "and has all numbers, in bytes and pages", answer.stdout)
    plot = subprocess.run([PROGRAM, module.path, "numa", "--plot", "/dev/stdout", "--log", "-"],
                          input=answer.stdout, check=False, timeout=LIMIT, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    result(plot.returncode == 0 and "<svg" in plot.stdout and ">middle</text>" in plot.stdout,
           "which numa --plot can draw", plot.stdout)
    with open("/dev/full", "w", encoding="utf-8") as full:
        process = subprocess.run([PROGRAM, module.path, "top", "-b"], check=False,
                                 timeout=LIMIT, stdout=full, stderr=subprocess.PIPE)
    result(process.returncode == 2 and b"cannot write the answer" in process.stderr,
           "without room for its text it ends")


def main():
    module = Module()
    module.machine("small", 2)
    module.machine("large", 8)
    module.machine("middle", 4)
    try:
        for test in (test_keys, test_size, test_refreshes, test_terminals, test_batch):
            test(module)
    finally:
        shutil.rmtree(module.path)
    print(f"1..{len(results)}")
    sys.exit(not all(results))


if __name__ == "__main__":
    main()
