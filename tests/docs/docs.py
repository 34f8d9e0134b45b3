#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""
Keeps the documents true: generated ones in step with their tables, examples that the program accepts, links that
lead somewhere, commands that exist, manual pages without warnings.

docs.py SOURCE_ROOT BUSBAR
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT, BUSBAR = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
faults = []


def complain(where, what):
    faults.append(f"{where}: {what}")


def generated():
    done = subprocess.run([sys.executable, ROOT / "docs/generate.py", "--check", BUSBAR], capture_output=True, text=True)
    if done.returncode != 0:
        complain("docs", done.stdout.strip() or done.stderr.strip())


def check_example(where, text):
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
        f.write(text)
        f.flush()
        done = subprocess.run([BUSBAR, "config", "check", f.name], capture_output=True, text=True)
    if done.returncode != 0:
        complain(where, f"an example is refused: {done.stderr.strip()}")


def markdown(path):
    text, where = path.read_text(), path.relative_to(ROOT)
    examples = re.findall(r"```yaml\n(.*?)```", text, re.S)
    for example in examples:
        check_example(where, example)
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if not target.startswith(("http:", "https:")) and not (path.parent / target).exists():
            complain(where, f"a link leads nowhere: {target}")
    # Files of ours that are named in code style exist; directories may be named that are still to come.
    for name in re.findall(r"`((?:control|dataplane|include|pmd|perf|tests|deploy|docs|man)/[\w./-]*\.\w+)`", text):
        if not (ROOT / name).exists():
            complain(where, f"there is no {name}")
    return len(examples)


def manual(path, commands):
    text, where = path.read_text(), path.relative_to(ROOT)
    if path.suffix == ".1":
        for command in commands:
            if not re.search(rf'^\.(B|BR|BI) "?{command}\b', text, re.M):
                complain(where, f"says nothing of the command {command}")
    example = re.search(r"\.nf\n(node:.*?)\.fi", text, re.S)
    if example:
        check_example(where, example.group(1))
    if shutil.which("man"):
        done = subprocess.run(["man", "--warnings", "-l", path], capture_output=True, text=True)
        if done.returncode != 0 or done.stderr.strip():
            complain(where, done.stderr.strip() or f"man: exit status {done.returncode}")
    else:
        print("man is not installed: its warnings were not looked for")


def readme(commands):
    text = (ROOT / "README.md").read_text()
    for command in commands:
        if not re.search(rf"busbar {command}\b", text):
            complain("README.md", f"says nothing of the command {command}")


def records():
    index = (ROOT / "docs/adr/README.md").read_text()
    for path in sorted((ROOT / "docs/adr").glob("[0-9]*.md")):
        if f"({path.name})" not in index:
            complain("docs/adr/README.md", f"{path.name} is missing in the list")


usage = subprocess.run([BUSBAR, "--help"], check=True, capture_output=True, text=True).stdout
commands = re.findall(r"^  (\w+) {2,}", usage, re.M)
pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
generated()
examples = sum(markdown(path) for path in pages)
for page in sorted((ROOT / "man").iterdir()):
    manual(page, commands)
readme(commands)
records()
for fault in faults:
    print(fault)
print(f"docs: {len(pages)} documents, {examples} examples, {len(commands)} commands, {len(faults)} faults")
sys.exit(1 if faults or examples == 0 or len(commands) < 5 else 0)
