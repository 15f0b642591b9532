#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Options and keys: code, help text, manual page, completion and documentation
say the same. Prints TAP."""

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
import sync
from sync import BUILD, compare, read, run

REPLAY = os.path.join(BUILD, "bin/disco-replay")


def complete(*words):
    return sync.complete("numa-policy/replay/completion.bash", "disco-replay", *words)


def check_options():
    source = read("numa-policy/replay/main.c")
    options = sync.long_options(source)
    code = {f"--{name}" for name in options}
    code |= {f"-{letter}" for letter in options.values()}
    man = read("Documentation/man/disco-replay.1")
    described = man.split(".Ss Options")[1].split(".Sh FILES")[0]
    compare("options", code=code,
            help=set(re.findall(r"(?<![\w-])--?[A-Za-z-]+", run(REPLAY, "--help")
                                .split("Options:")[1])),
            man=sync.man_options(described),
            completion=complete("-"))


def check_keys():
    source = read("numa-policy/lib/config.c")
    code = {f"{section}.{name}" for section, name in
            re.findall(r'\[NP_\w+\] = \{ "(\w+)", "(\w+)"', source)}
    section, conf = "", set()
    for line in read("numa-policy/numa.conf").splitlines():
        section = re.sub(r"^\[(\w+)\]$", r"\1", line) if line.startswith("[") else section
        found = re.match(r"#(\w+) = ", line)
        if found:
            conf.add(f"{section}.{found.group(1)}")
    compare("numbers", code=code | {"policy.rule"}, conf=conf)
    compare("numbers in the completion", code=code,
            completion={word.rstrip("=") for word in complete("--set", "")})


def check_policies():
    page = read("Documentation/numa-policy.rst")
    listed = {line.split()[0] for line in run(REPLAY, "--list").splitlines()}
    compare("policies", code=listed, completion=complete("--policy", ""),
            conf=set(re.findall(r"\w+", re.search(r"Which rule decides: (.*)\.",
                                                  read("numa-policy/numa.conf")).group(1)))
            - {"or"},
            documentation=set(re.findall(r"^``(\w+)``$", page, re.MULTILINE)))


def check_plugin():
    source = read("numa-policy/plugin/plugin.c")
    rows = source.split("options[] = {")[1].split("};")[0]
    compare("options of the plugin",
            code=set(re.findall(r'\{ "([\w-]+)", &', rows)) |
            set(re.findall(r'strncmp\(text, "(\w+)", len\)', source)),
            error=set(re.search(r"there are: (.*), each", source).group(1).split(", ")),
            documentation=set(re.findall(r"^``([\w-]+)=``  ",
                                         read("Documentation/numa-policy.rst"), re.MULTILINE)))


if __name__ == "__main__":
    check_options()
    check_keys()
    check_policies()
    check_plugin()
    sync.check_man_pages("disco-replay.1")
    sync.end()
