#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Keeps the layout honest: include arrows, DPDK's headers in their rooms, licence lines, and what programs link.

Usage: tidy.py SOURCE_ROOT [PROGRAM ...]   programs must not be linked to DPDK's libraries
"""

import pathlib
import re
import subprocess
import sys

# What a directory may include, besides itself and include/.
ARROWS = {
    "dataplane/base": [],
    "dataplane/msg": ["base"],
    "dataplane/zmtp": ["base", "msg"],
    "dataplane/route": ["base", "msg"],
    "dataplane/transport": ["base", "msg", "zmtp", "net"],
    "dataplane/engine": ["base", "msg", "zmtp", "route", "transport", "net", "nic"],
    "control/conf": ["base"],
    "control/link": ["base"],
    "control/http": ["base", "conf", "link", "http"],
    "control/cli": ["base", "conf", "link", "http", "cli"],
    "control": ["base", "conf", "link", "http", "cli"],
    "pmd/net": ["base"],
    "pmd/nic": ["base", "net"],
}
ROOMS = {"base", "msg", "zmtp", "route", "transport", "engine", "conf", "link", "http", "cli", "net", "nic"}
DPDK_ROOMS = ("pmd/nic/", "dataplane/engine/", "dataplane/msg/ring.h")
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.M)
CODE = {".c", ".h", ".py", ".sh"}


def check_includes(root, path, rel, complain):
    room = str(rel.parent)
    allowed = ARROWS.get(room)
    for quote, name in INCLUDE.findall(path.read_text()):
        if name.startswith("rte_") and not str(rel).startswith(DPDK_ROOMS):
            complain(rel, f"includes <{name}>: DPDK's headers stay in {', '.join(DPDK_ROOMS)}")
        if quote == "<":
            continue
        at_root = "/" not in name and (root / rel.parts[0] / name).exists()  # of control/, say
        if name.startswith("../") or ("/" not in name and not at_root):
            complain(rel, f'includes "{name}": include from the tree\'s root, "room/file.h"')
            continue
        to = name.split("/")[0]
        if allowed is not None and to in ROOMS and to != rel.parent.name and to not in allowed:
            complain(rel, f'includes "{name}": {room} may use {allowed}')


def check_file(root, path, complain):
    rel = path.relative_to(root)
    head = path.read_text(errors="replace").split("\n", 3)[:3]
    if not any("SPDX-License-Identifier: BSD-3-Clause" in line for line in head):
        complain(rel, "has no SPDX line")
    if path.suffix in (".c", ".h") and not str(rel).startswith(("tests/", "perf/")):
        check_includes(root, path, rel, complain)


def check_program(program, complain):
    out = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    for line in out.splitlines():
        if "librte_" in line:
            complain(program, f"is linked to {line.split()[0]}")


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    faults = []

    def complain(where, what):
        faults.append(f"{where}: {what}")

    listed = subprocess.run(["git", "-C", root, "ls-files"], capture_output=True, text=True)
    files = [root / f for f in listed.stdout.splitlines()] if listed.returncode == 0 else root.rglob("*")
    count = 0
    for path in files:
        if path.suffix in CODE or path.name == "meson.build":
            if path.is_file():
                check_file(root, path, complain)
                count += 1
    for program in sys.argv[2:]:
        check_program(program, complain)
    for fault in faults:
        print(fault)
    print(f"tidy: {count} files, {len(sys.argv) - 2} programs, {len(faults)} faults")
    if count == 0:
        sys.exit("tidy: no files found")
    sys.exit(1 if faults else 0)


main()
