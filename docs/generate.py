#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""
Writes the documents that are made from tables in the source: config.md from the option table, by way of
`busbar config keys --markdown`; counters.md from include/abi/counters.h.

    docs/generate.py [--check] [BUSBAR]

BUSBAR: the program, build/control/busbar if it is not given. --check writes nothing; exit status 1 if a document
is out of step.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

CONFIG_HEAD = """\
<!-- SPDX-License-Identifier: BSD-3-Clause -->
<!-- Made by docs/generate.py from `busbar config keys --markdown`: change control/conf/option.c instead. -->
# Configuration

One YAML file with the maps `node`, `dataplane` and `control`, and the list `endpoints`. An endpoint has the keys of
`endpoints[]` and its two sides by name; a side has the keys of `endpoints[].SIDE`, or those of its groups, such as
`heartbeat: { interval: 10s }`.

| pattern | sides | what we are to their peers | `when_full` |
|---|---|---|---|
| `pubsub` | `publishers` | XSUB | always `block` |
| | `subscribers` | XPUB | `drop` (default), `block`, `disconnect` |
| `pipeline` | `producers` | PULL | always `block` |
| | `consumers` | PUSH | always `block` |
| `reqrep` | `clients` | ROUTER | always `drop` |
| | `workers` | DEALER | always `block` |

Durations are numbers with a unit (`ns`, `us`, `ms`, `s`, `m`, `h`), sizes numbers with `B`, `KiB`, `MiB`, `GiB` or `TiB`. An
address is `tcp://HOST:PORT`; HOST is an IPv4 address, an IPv6 address in brackets, the name of an interface or a host,
or `*` for every address of the machine.

`busbar config check FILE` checks a file, `busbar config show -c FILE` shows every option as it is understood,
`--changed` only those that differ from the defaults. `busbar config show --default` prints the embedded default.

"""

COUNTERS_HEAD = """\
<!-- SPDX-License-Identifier: BSD-3-Clause -->
<!-- Made by docs/generate.py from include/abi/counters.h: change that instead. -->
# Counters

`busbar counters` shows those that are not zero, by `ENDPOINT.SIDE.NAME` and `loopN.NAME`; `--all` shows the others too,
`--json` is for programs. Counters only grow while the data plane lives; gauges (G) go up and down. Each has one writer;
what is shown is the sum over the cores.

**The accounts**, exact when the node is quiet. On the side that messages came from:

    received = routed + dropped_in_no_subscriber + dropped_in_unroutable + dropped_in_malformed
             + dropped_in_denied + dropped_in_memory + parked

and on the side that they go to, with the `copies` that were made of the other side's messages:

    copies = sent + queued + dropped_out_hwm + dropped_out_peer_gone + dropped_out_memory + dropped_out_shutdown

`accounts.in_open` and `accounts.out_open` are the left side less the right side: 0, or what is on its way just now.
"""

# Of BB_<NAME>_COUNTERS in the header: title, and whose they are.
TABLES = [
    ("IO_SIDE", "Sides: what their sessions did",
     "Summed over the I/O cores; sessions that are gone are included."),
    ("ROUTER_SIDE", "Sides: what routing did with their messages",
     "Summed over the routers. They stand beside the former under the same side."),
    ("SESSION", "Peers", "Of each live peer: `busbar peers --json`."),
    ("LOOP", "Loops", "Of each polling thread: `busbar counters`, `busbar cores`."),
]
STRING = r'"((?:[^"\\]|\\.)*)"'
ROW = re.compile(r"X\(\w+,\s*" + STRING + r",\s*" + STRING + r",\s*([CG]),\s*" + STRING + r"\)")


def config(busbar):
    keys = subprocess.run([busbar, "config", "keys", "--markdown"], check=True, capture_output=True, text=True)
    return CONFIG_HEAD + keys.stdout


def counters():
    header = (ROOT / "include/abi/counters.h").read_text().replace("\\\n", " ")
    out = [COUNTERS_HEAD]
    for name, title, whose in TABLES:
        body = re.search(rf"#define BB_{name}_COUNTERS\(X\)(.*)", header).group(1)
        rows = ROW.findall(body)
        if len(rows) != body.count("X("):
            sys.exit(f"generate.py: BB_{name}_COUNTERS: a row is not understood")
        out.append(f"\n## {title}\n\n{whose}\n\n| counter | unit | | meaning |\n|---|---|---|---|\n")
        out += [f"| `{n}` | {unit} | {'G' if kind == 'G' else ''} | {help} |\n" for n, unit, kind, help in rows]
    return "".join(out)


def main(args):
    check = "--check" in args
    args = [a for a in args if a != "--check"]
    busbar = args[0] if args else ROOT / "build/control/busbar"
    status = 0
    for name, text in ("config.md", config(busbar)), ("counters.md", counters()):
        path = ROOT / "docs" / name
        if not check:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            print(f"docs/{name} is out of step with its table: run docs/generate.py")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
