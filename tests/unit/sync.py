# SPDX-License-Identifier: GPL-2.0-only
"""What tests share that compare code, help texts, manual pages, completion and
documentation with each other. Results are printed as TAP."""

import os
import re
import subprocess
import sys

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
BUILD = os.environ.get("BUILD", os.path.join(TOP, "build"))
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


def complete(path, command, *words):
    """What the completion of path offers for the last of the command's words."""
    script = """
        source /usr/share/bash-completion/bash_completion
        source "$1"
        shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        COMP_LINE="$*" COMP_POINT=${#COMP_LINE} COMP_TYPE=9
        "_${1//-/_}"
        ((!${#COMPREPLY[@]})) || printf '%s\\n' "${COMPREPLY[@]}"
    """
    return set(run("bash", "--norc", "-c", script, "bash",
                   os.path.join(TOP, path), command, *words).split())


def long_options(source):
    """The rows of a getopt_long() table: name to letter."""
    return dict(re.findall(r"\{ \"([\w-]+)\", \w+, NULL, '(\w)' \}", source))


def man_options(described):
    """The options that a part of a manual page lists."""
    return {flag.replace("Fl Fl ", "--").replace("Fl ", "-")
            for line in re.findall(r"^\.It (Fl .*)", described, re.MULTILINE)
            for flag in re.findall(r"Fl (?:Fl )?[\w-]+", line)}


def check_man_pages(*pages):
    """mandoc finds nothing to warn of."""
    good = {name for name in pages if
            not subprocess.run(["mandoc", "-Tlint", "-Wwarning",
                                os.path.join(TOP, "Documentation/man", name)],
                               check=False, stdout=subprocess.DEVNULL).returncode}
    compare("manual pages are well formed", pages=set(pages), good=good)


def end():
    print(f"1..{len(results)}")
    sys.exit(not all(results))
