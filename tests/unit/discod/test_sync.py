#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Options and defaults: code, help text, manual page, completion and configuration
say the same. Prints TAP."""

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
import sync
from sync import BUILD, compare, read, run


def complete(*words):
    return sync.complete("userspace/discod/completion.bash", "discod", *words)


def check_options():
    source = read("userspace/discod/options.c")
    options = sync.long_options(source)
    code = {f"--{name}" for name in options}
    code |= {f"-{letter}" for letter in options.values()}
    man = read("Documentation/man/discod.8")
    described = man.split(".Ss Options")[1].split(".Ss Signals")[0]
    compare("options", code=code,
            help=set(re.findall(r"(?<![\w-])--?[A-Za-z-]*[A-Za-z]",
                                run(os.path.join(BUILD, "bin/discod"), "--help")
                                .split("Options:")[1])),
            man=sync.man_options(described),
            completion=complete("-"))
    compare("modes of --affinity",
            code=set(re.findall(r'\[AFFINITY_\w+\] = "(\w+)"', source)),
            man=set(re.findall(r"^\.It Cm (\w+)$", described, re.MULTILINE)),
            completion=complete("--affinity", ""))


def check_keys():
    code = set(re.findall(r'"(\w+\.\w+)=', read("userspace/discod/policy.c")))
    section, conf = "", set()
    for line in read("userspace/discod/discod.conf").splitlines():
        section = re.sub(r"^\[(\w+)\]$", r"\1", line) if line.startswith("[") else section
        found = re.match(r"#(\w+) = ", line)
        if found:
            conf.add(f"{section}.{found.group(1)}")
    compare("discod's own numbers are in its configuration", code=code, conf=code & conf)


def check_log():
    source = read("userspace/discod/log.c")
    page = read("Documentation/numa-log.rst")
    compare("members of the log",
            code=set(re.findall(r'(?:add\w*|json_object_object_add)\(obj, "(\w+)"', source)) |
            set(re.findall(r'(?:add\w*)\((?:totals|vm), "(\w+)"', source)),
            documentation={name for line in re.findall(r"^(``\w+``.*)$", page, re.MULTILINE)
                           for name in re.findall(r"``(\w+)``", line)
                           if line.startswith("``") and not line.endswith(".")}
            | {"path"})


if __name__ == "__main__":
    check_options()
    check_keys()
    check_log()
    sync.check_man_pages("discod.8")
    sync.end()
