#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Mutation run over the TCP files: do the scripted cases and the simulation notice a change of the code?

    mutate.py [--count N] [--seed N] [--only FILE]

Picks N sites by seed (comparisons, logical operators, plus and minus, dropped calls and assignments), builds each mutant in a
temporary directory, runs tcp_cases, then tcp_sim with 40 seeds, and prints the survivors with their place.
"""
import argparse
import glob
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
FLAGS = "-std=gnu17 -O1 -D_GNU_SOURCE -DBB_DEBUG=1 -fno-strict-aliasing -w".split()
INCLUDE = ["-I" + os.path.join(ROOT, d) for d in ("pmd", "dataplane", "include", "tests/net")]
SWAPS = [
    (r" < ", " <= "), (r" <= ", " < "), (r" > ", " >= "), (r" >= ", " > "), (r" == ", " != "), (r" != ", " == "),
    (r" && ", " || "), (r" \|\| ", " && "), (r" \+ ", " - "), (r" - ", " + "),
    (r"\bseq_lt\(", "seq_leq("), (r"\bseq_leq\(", "seq_lt("), (r"\bseq_gt\(", "seq_geq("), (r"\bseq_geq\(", "seq_gt("),
    (r"bb_min_u64\(", "bb_max_u64("), (r"bb_max_u64\(", "bb_min_u64("),
]
DROP = re.compile(r"^\t+(?!(?:const|uint|int|struct|return|CTR|else|bool|if|for|while)\b)[a-z_>.\-\[\]()*]+(\(.*\)| [+\-|&^]?= .*);$")


def sites(path):
    out = []
    for n, line in enumerate(open(path).read().split("\n")):
        code = line.split("/*")[0]
        if not line.startswith("\t") or "BB_ASSERT" in line or "BB_DEBUG" in line or "CTR(" in line:
            continue
        for pattern, to in SWAPS:
            for m in re.finditer(pattern, code):
                out.append((n, line[: m.start()] + to + line[m.end():]))
        if DROP.match(line):
            out.append((n, "\t;"))
    return out


def compile_one(src, obj):
    return subprocess.run(["gcc", *FLAGS, *INCLUDE, "-c", src, "-o", obj], stderr=subprocess.DEVNULL).returncode == 0


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--count", type=int, default=300)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--only")
    args = ap.parse_args()
    work = tempfile.mkdtemp(prefix="mutate-")
    lib = sorted(glob.glob(ROOT + "/pmd/net/*.c")) + [ROOT + "/dataplane/base/" + f for f in ("mem.c", "assert.c")]
    cases = glob.glob(ROOT + "/tests/net/cases_*.c") + [ROOT + "/tests/net/" + f for f in ("harness.c", "tcp_cases.c")]
    sim = [ROOT + "/tests/net/" + f for f in ("sim.c", "oracle.c", "tcp_sim.c")]
    obj = {}
    for src in lib + cases + sim:
        obj[src] = os.path.join(work, os.path.basename(os.path.dirname(src)) + "_" + os.path.basename(src) + ".o")
        if not compile_one(src, obj[src]):
            sys.exit("cannot compile " + src)
    pool = []
    for src in sorted(glob.glob(ROOT + "/pmd/net/tcp*.c")):
        if args.only is None or os.path.basename(src) == args.only:
            pool += [(src, n, text) for n, text in sites(src)]
    random.Random(args.seed).shuffle(pool)
    killed = survived = 0
    for src, n, text in pool:
        if killed + survived == args.count:
            break
        lines = open(src).read().split("\n")
        old, lines[n] = lines[n], text
        mutant = os.path.join(work, "mutant.c")
        open(mutant, "w").write("\n".join(lines))
        mobj = os.path.join(work, "mutant.o")
        if not compile_one(mutant, mobj):
            continue
        objs = [mobj if s == src else obj[s] for s in lib]
        dead = False
        for name, own, run in (("cases", cases, []), ("sim", sim, ["--seeds", "40"])):
            exe = os.path.join(work, name)
            subprocess.run(["gcc", *objs, *[obj[s] for s in own], "-lm", "-o", exe], check=True)
            try:
                r = subprocess.run([exe, *run], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=20)
                dead = r.returncode != 0
            except subprocess.TimeoutExpired:
                dead = True
            if dead:
                break
        killed += dead
        survived += not dead
        if not dead:
            print("survived %s:%d\n  - %s\n  + %s" % (os.path.relpath(src, ROOT), n + 1, old.strip(), text.strip()), flush=True)
    shutil.rmtree(work)
    total = killed + survived
    print("%d of %d mutants died (%.0f %%), %d possible sites" % (killed, total, 100.0 * killed / max(total, 1), len(pool)))


main()
