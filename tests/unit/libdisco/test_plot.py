#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""discoctl numa --plot: what is in the picture, and what is wrong with a log.
Prints TAP."""

import json
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
BUILD = os.environ.get("BUILD", os.path.join(TOP, "build"))
DISCOCTL = os.path.join(BUILD, "bin/discoctl")
SVG = "{http://www.w3.org/2000/svg}"
results = []


def result(good, what, details=""):
    results.append(bool(good))
    print(f"{'ok' if good else 'not ok'} {len(results)} - {what}")
    if not good:
        for line in str(details).splitlines():
            print(f"# {line}")


def run(log, *args, plot=None):
    """Exit code, output, and the picture: None if there is no file."""
    with tempfile.TemporaryDirectory() as folder:
        path = plot or os.path.join(folder, "plot.svg")
        done = subprocess.run([DISCOCTL, "numa", "--plot", path, "--log", "-", *args],
                              input=log, text=True, check=False, timeout=30,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        picture = None
        if not plot and os.path.exists(path):
            picture = ET.parse(path).getroot()
        return done.returncode, done.stdout + done.stderr, picture


def lines_of(picture):
    return [path for path in picture.iter(SVG + "path") if path.get("class") == "line"]


def texts_of(picture, kind=None):
    return ["".join(text.itertext()) for text in picture.iter(SVG + "text")
            if not kind or text.get("class") == kind]


def points(path):
    return [(float(x), float(y)) for x, y in
            re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path.get("d"))]


def line(time, seconds, total, **vms):
    """A line of a log; numbers of machines are pairs, too: (moved, local)."""
    return json.dumps({"time": time, "seconds": seconds, "other": [1],
                       "totals": {"moved": total[0], "local": total[1], "more": {}},
                       "vms": [{"path": name, "moved": pair[0], "local": pair[1]}
                               for name, pair in vms.items()]}) + "\n"


def test_picture():
    log = (line(1000, None, (None, 0.5), a=(None, 0.5), b=(None, None)) +
           line(1010, 5, (500, 0), a=(500, 0), b=(0, 0.25)) +
           line(1020, 5, (0, 1), a=(0, 1)) +
           line(1040, 10, (250, 1), a=(250, 1), b=(None, 1)))
    status, output, picture = run(log)
    result(status == 0 and not output and picture is not None, "a log makes a picture",
           output)
    drawn = lines_of(picture)
    result(len(drawn) == 6, "with a line for each machine and chart", len(drawn))
    # Those of b, a and all, the local ones first.
    local = points(drawn[2])
    result(local == [(80, 165), (235, 280), (390, 50), (700, 50)],
           "points are where time and share say", local)
    moved = points(drawn[5])
    result(moved == [(235, 310), (390, 540), (700, 482.5)],
           "rates are pages a second, and not known at first", moved)
    result(drawn[0].get("d") == "M235.0 222.5h0M700.0 50.0h0",
           "what is not known is a gap, what stands alone a dot", drawn[0].get("d"))
    result(texts_of(picture, "legend") == ["all machines", "a", "b"],
           "the legend has those that moved most first", texts_of(picture))
    text = texts_of(picture)
    result(all(unit in text for unit in ("Local pages, %", "Moved, pages/s",
                                         "Time since 1970-01-01 00:16:40 UTC, s")),
           "axes have titles with units", text)
    result([mark for mark in text if re.fullmatch(r"[\d.]+", mark)] ==
           ["0", "20", "40", "60", "80", "100", "0", "20", "40", "60", "80", "100",
            "0", "10", "20", "30", "40"], "and round numbers", text)

    status, output, picture = run(log, "b", "-j")
    result(status == 0 and texts_of(picture, "legend") == ["all machines", "b"] and
           json.loads(output)["machines"] == 1 and json.loads(output)["lines"] == 4,
           "machines can be chosen", output)
    status, output, picture = run(log, "c")
    result(status == 2 and picture is None and "there is no VM c in it" in output,
           "but not those that are not there", output)


def test_units():
    for span, unit in ((299, "s"), (300, "min"), (10799, "min"), (10800, "h"),
                       (4e6, "h")):
        picture = run(line(1, None, (None, 1)) + line(1 + span, 1, (0, 1)))[2]
        result(any(text.endswith(f"UTC, {unit}") for text in texts_of(picture)),
               f"{span} seconds are in {unit}", texts_of(picture))
    picture = run(line(5, None, (None, 1)))[2]
    result(len(lines_of(picture)) == 1, "a log of one line is a dot")


def test_many():
    machines = {f"vm{i:02}": (i, 1) for i in range(30)}
    picture = run(line(1, 1, (None, 1), **machines) + line(2, 1, (1e15, 1), **machines))[2]
    legend = texts_of(picture, "legend")
    result(legend == ["all machines"] + [f"vm{29 - i}" for i in range(18)] and
           texts_of(picture, "more") == ["and 12 more"],
           "of many machines those are drawn that moved most", legend)
    styles = {(path.get("stroke"), path.get("stroke-dasharray"))
              for path in lines_of(picture)}
    result(len(styles) == 19, "and each looks different", styles)
    picture = run(line(1, 1, (None, 1), **{"<&>\x1b": (1, 1), "x" * 40: (0, 1)}))[2]
    result(texts_of(picture, "legend")[1:] == ["<&>\\x1b", "x" * 27 + "~"],
           "whatever their names", texts_of(picture))


def test_bad():
    good = line(1, None, (None, 0.5))
    for log, words in (
            ("", "there is no line in it"),
            ("{\n", "line 1: this is no JSON: "),
            (good + "{} {}\n", "line 2: this is no JSON: "),
            (good + "\n", "line 2: this is no JSON: "),
            (good + "[]\n", "line 2: this is no JSON object"),
            (good + "null\n", "line 2: this is no JSON"),
            (good + '{"totals":{}}\n', 'line 2: "time" is missing'),
            (good + '{"time":2}\n', 'line 2: the object "totals" is missing'),
            (good + '{"time":2,"totals":[]}\n', 'the object "totals" is missing'),
            (good + good, 'line 2: "time" is not later than in the line before'),
            ('{"time":"1","totals":{}}\n', '"time" is no number'),
            ('{"time":-1,"totals":{}}\n', '"time" is -1, and not 0 to 1e+11'),
            ('{"time":Infinity,"totals":{}}\n', '"time" is inf'),
            ('{"time":NaN,"totals":{}}\n', '"time" is nan'),
            (line(1, None, (5, None)), '"moved" needs "seconds", 0.001 or more'),
            (line(1, 0, (5, None)), '"moved" needs "seconds", 0.001 or more'),
            (line(1, 1, (-5, None)), '"moved" is -5, and not 0 to 1e+15'),
            (line(1, 1, (5, 1.5)), '"local" is 1.5, and not 0 to 1'),
            (line(1, 1, (5, 1), a=(5, 50)), '"local" is 50, and not 0 to 1'),
            ('{"time":1,"totals":{},"vms":{}}\n', '"vms" is no array'),
            ('{"time":1,"totals":{},"vms":[{}]}\n', 'has no "path"'),
            ('{"time":1,"totals":{},"vms":[1]}\n', 'has no "path"')):
        status, output, picture = run(log)
        result(status == 2 and picture is None and output.startswith("discoctl: -: ") and
               words in output, words, log + output)
    status, output, picture = run(good + line(2, 1, (1, 1))[:-1])
    result(status == 0 and len(points(lines_of(picture)[0])) == 1,
           "a line that is still being written is not read", output)
    status, output, picture = run(good, plot="/nowhere/plot.svg")
    result(status == 2 and "cannot write /nowhere/plot.svg: No such file" in output,
           "a picture that cannot be written", output)
    status, output, picture = run(good, plot="/dev/full")
    result(status == 2 and "cannot write /dev/full: No space left" in output,
           "and one without room", output)


def test_documentation():
    """The example works, and what top prints is such a log."""
    with open(os.path.join(TOP, "Documentation/numa-log.rst"), encoding="utf-8") as file:
        example = [text.strip() + "\n" for text in file if text.startswith('  {"')]
    status, output, picture = run("".join(example))
    result(status == 0 and len(example) == 3 and
           texts_of(picture, "legend") == ["all machines", "vm1"],
           "the example of the documentation is a log", output)


def main():
    for test in (test_picture, test_units, test_many, test_bad, test_documentation):
        test()
    print(f"1..{len(results)}")
    sys.exit(not all(results))


if __name__ == "__main__":
    main()
