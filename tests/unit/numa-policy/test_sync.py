#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Options and keys: code, help text, manual page, completion and documentation
say the same. Prints TAP."""

import os
import re
import subprocess
import sys

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
BUILD = os.environ.get("BUILD", os.path.join(TOP, "build"))
REPLAY = os.path.join(BUILD, "bin/disco-replay")
results = []


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as file:
        return file.read()


def run(*args):
    return subprocess.run(args, check=True, text=True, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout


def compare(what, **sets):
    """All the sets must be equal, and none empty."""
    (first, expected), *others = sets.items()
    problems = []
    if not expected:
        problems.append(f"{first}: nothing found")
    for name, found in others:
        for item in sorted(expected - found):
            problems.append(f"{item} is in {first}, not in {name}")
        for item in sorted(found - expected):
            problems.append(f"{item} is in {name}, not in {first}")
    results.append(not problems)
    print(f"{'not ok' if problems else 'ok'} {len(results)} - {what}")
    for problem in problems:
        print(f"# {problem}")


def complete(*words):
    """What the completion offers for the last of the words."""
    script = """
        source /usr/share/bash-completion/bash_completion
        source "$1"
        shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        COMP_LINE="$*" COMP_POINT=${#COMP_LINE} COMP_TYPE=9
        _disco_replay
        ((!${#COMPREPLY[@]})) || printf '%s\\n' "${COMPREPLY[@]}"
    """
    return set(run("bash", "--norc", "-c", script, "bash",
                   os.path.join(TOP, "numa-policy/replay/completion.bash"),
                   "disco-replay", *words).split())


def check_options():
    source = read("numa-policy/replay/main.c")
    options = dict(re.findall(r"\{ \"([\w-]+)\", \w+, NULL, '(\w)' \}", source))
    code = {f"--{name}" for name in options}
    code |= {f"-{letter}" for letter in options.values()}
    man = read("Documentation/man/disco-replay.1")
    described = man.split(".Ss Options")[1].split(".Sh FILES")[0]
    compare("options", code=code,
            help=set(re.findall(r"(?<![\w-])--?[A-Za-z-]+", run(REPLAY, "--help")
                                .split("Options:")[1])),
            man={flag.replace("Fl Fl ", "--").replace("Fl ", "-")
                 for line in re.findall(r"^\.It (Fl .*)", described, re.MULTILINE)
                 for flag in re.findall(r"Fl (?:Fl )?[\w-]+", line)},
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


def check_man_page():
    """mandoc finds nothing to warn of."""
    good = not subprocess.run(["mandoc", "-Tlint", "-Wwarning", os.path.join(
        TOP, "Documentation/man/disco-replay.1")], check=False,
                              stdout=subprocess.DEVNULL).returncode
    compare("manual page is well formed", pages={"disco-replay.1"},
            good={"disco-replay.1"} if good else set())


if __name__ == "__main__":
    check_options()
    check_keys()
    check_policies()
    check_plugin()
    check_man_page()
    print(f"1..{len(results)}")
    sys.exit(not all(results))
