#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Code, help texts, manual pages and completion say the same. Prints TAP."""

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
import sync
from sync import BUILD, compare, read, run

DISCOCTL = os.path.join(BUILD, "bin/discoctl")


def complete(*words):
    return sync.complete("userspace/discoctl/completion.bash", "discoctl", *words)


def table(path, name):
    """First words of the rows of a table of commands."""
    body = re.search(name + r"\[\] = \{(.*?)^\};", read(path),
                     re.MULTILINE | re.DOTALL).group(1)
    return set(re.findall(r'\{ "([\w-]+)", \w+ \}', body))


def code_options():
    body = re.search(r"options\[\] = \{(.*?)^\};", read("userspace/discoctl/main.c"),
                     re.MULTILINE | re.DOTALL).group(1)
    return sync.long_options(body)


def short_options():
    found = re.findall(r'getopt_long\(argc, argv, "([^"]*)"',
                       read("userspace/discoctl/main.c"))
    assert len(set(found)) == 1, found
    return set(found[0].replace(":", ""))


def man_commands(text):
    """Command and subcommand of each line of the synopsis."""
    synopsis = text.split(".Sh SYNOPSIS")[1].split(".Sh DESCRIPTION")[0]
    return {tuple(line.split()) for line in
            re.findall(r"^\.Cm ([a-z -]+)", synopsis, re.MULTILINE)}


def man_described(text):
    commands = text.split(".Ss Commands")[1].split(".Sh FILES")[0]
    return {tuple(line.split()) for line in
            re.findall(r"^\.It Cm ([a-z -]+)", commands, re.MULTILINE)}


def check_commands():
    man = read("Documentation/man/discoctl.1")
    helptext = run(DISCOCTL, "help")
    top = table("userspace/discoctl/main.c", "commands")
    listed = re.search(r"Commands.*?:\n(.*?)\n\n", helptext, re.DOTALL).group(1)
    compare("commands", code=top,
            help={line.split()[0] for line in listed.splitlines()},
            man={words[0] for words in man_commands(man)},
            description={words[0] for words in man_described(man)},
            completion=complete(""))

    for name in ("vm", "vcpu", "disk", "heat"):
        commands = table(f"userspace/discoctl/{name}.c", f"{name}_commands")
        compare(f"{name} commands", code=commands,
                completion=complete(name, ""),
                help=set(re.findall(rf"discoctl {name} ([\w-]+)",
                                    run(DISCOCTL, name, "help"))))
        # "help" of a command is described once, for all of them.
        compare(f"{name} commands in overviews", code=commands - {"help"},
                help=set(re.findall(rf"^  {name} ([\w-]+)", listed, re.MULTILINE)),
                man={words[1] for words in man_commands(man) if words[0] == name},
                description={words[1] for words in man_described(man)
                             if words[0] == name})

    # Every command explains itself, and the completion knows.
    compare("help of each command", code=top - {"help"},
            help={name for name in top - {"help"} if
                  f"discoctl {name}" in run(DISCOCTL, name, "help")},
            completion={name for name in top - {"help"} if
                        "help" in complete(name, "")})


def check_options():
    man = read("Documentation/man/discoctl.1")
    options = code_options()
    # An option whose letter getopt does not know has no short form.
    code = {f"--{name}" for name in options}
    code |= {f"-{letter}" for letter in options.values()
             if letter in short_options()}
    described = man.split(".Ss Options")[1].split(".Ss Commands")[0]
    compare("options", code=code,
            help=set(re.findall(r"(?<![\w-])--?[\w-]+", run(DISCOCTL, "help")
                                .split("Options:")[1])),
            man=sync.man_options(described),
            completion=complete("-"))


def check_columns():
    """Columns of top, by name and by key."""
    rows = re.findall(r'\{ "(\w+)", "[\w/]+", \'(\w)\',', read("userspace/discoctl/top_text.c"))
    code = {name for name, _ in rows}
    helptext = run(DISCOCTL, "top", "help")
    man = read("Documentation/man/discoctl.1").split(".It Cm top")[1]
    described = re.search(r"\n  --sort COLUMN(.*?)\n\n", helptext, re.DOTALL).group(1)
    compare("columns of top", code=code,
            help=set(re.findall(r"\w+", described)) - {"the", "default", "or"},
            man=set(re.findall(r"^\.It (\w+)$", man.split(".Bl")[1], re.MULTILINE)),
            completion=complete("top", "--sort", ""))
    keys = re.search(r"Keys: ([\w, ]+) sort", helptext).group(1)
    compare("keys of top", code={key for _, key in rows},
            help=set(re.findall(r"\b\w\b", keys)),
            man=set(re.findall(r"\b\w\b", re.search(r"the keys\n(.*?)\nsort by", man, re.DOTALL)
                               .group(1))),
            screen=set(re.search(r"sort: ([\w ]+)\"", read("userspace/discoctl/top_screen.c"))
                       .group(1).split()))


def check_library():
    man = read("Documentation/man/libdisco.3")
    exported = run("nm", "-D", "--defined-only",
                   os.path.join(BUILD, "lib/libdisco.so"))
    header = read("userspace/libdisco/disco/disco.h")
    code = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    compare("functions of libdisco",
            exported=set(re.findall(r" T (\w+)@@LIBDISCO_", exported)),
            header=set(re.findall(r"(disco_\w+)\(", code)),
            comments=set(re.findall(r"^/\*\*\n \* (disco_\w+) - ", header, re.MULTILINE)),
            synopsis=set(re.findall(r"^\.Fn (disco_\w+) ", man.split(".Sh DESCRIPTION")[0],
                                    re.MULTILINE)))
    # What the library may be asked is what the module offers.
    uapi = read("module/uapi/linux/disco.h")
    sources = "".join(read(f"userspace/libdisco/{name}.c")
                      for name in ("module", "vm", "vcpu", "pmap", "disk"))
    # Monitors make their VCPUs themselves.
    compare("requests",
            uapi=set(re.findall(r"#define (DISCO_\w+) _IO\(", uapi)) - {"DISCO_VCPU_CREATE"},
            library=set(re.findall(r"disco_request\([^;]*?(DISCO_[A-Z_]+),", sources)))


def check_words():
    man = read("Documentation/man/discoctl.1")
    names = read("userspace/libdisco/module.c")
    uapi = read("module/uapi/linux/disco.h")
    states = {name.lower() for name in re.findall(r"DISCO_PAGE_(\w+) = \d", uapi)}
    compare("page states", uapi=states,
            library=set(re.findall(r'\[DISCO_PAGE_\w+\] = "(\w+)"', names)),
            help=set(re.findall(r"^  (\w+)   ", run(DISCOCTL, "page", "help"),
                                re.MULTILINE)),
            man={state for state in states if f"\n.Em {state}\n" in man})
    compare("disk states",
            uapi=set(re.findall(r"(DISCO_DISK_\w+) = \d", uapi)),
            library=set(re.findall(r"\[(DISCO_DISK_\w+)\] = \"",
                                   read("userspace/libdisco/disk.c"))))
    compare("violations",
            uapi=set(re.findall(r"(DISCO_CHECK_\w+) = \d", uapi)),
            library=set(re.findall(r"\[(DISCO_CHECK_\w+)\] = \{", names)))


if __name__ == "__main__":
    check_commands()
    check_options()
    check_columns()
    check_library()
    check_words()
    sync.check_man_pages("discoctl.1", "libdisco.3")
    sync.end()
