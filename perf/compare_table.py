#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Medians, ratios and gates from the raw rows of compare.sh.

usage: compare_table.py GATES RAW [JSON]

GATES has lines "name TAB least ratio or -", RAW lines "name TAB JSON row of busbar-bench". JSON is written
anew: one row per line, name and system. Exit status 1 when a gate was missed or a check found a fault.
"""
import json
import statistics
import sys

MEDIANS = ["msgs_per_s", "gbit_per_s", "cpu_s_per_m", "p50_us", "p99_us", "p999_us", "max_us", "rate", "steal",
           "others"]
WORST = ["lost", "dup", "disorder", "bad"]
LOSS_MAX = 0.001  # pubsub, on our side


def combine(rows):
    """One row for several runs: medians of what varies, the worst of what must not be."""
    out = dict(rows[0])
    for r in rows:
        r["others"] = r["other_cpu_s"] / r["seconds"] if r["other_cpu_s"] is not None else None
    for key in MEDIANS:
        values = [r[key] for r in rows if r.get(key) is not None]
        out[key] = statistics.median(values) if values else None
    for key in WORST:
        out[key] = max(r[key] for r in rows)
    out["loss"] = max(r["lost"] / r["expected"] if r["expected"] else 0 for r in rows)
    out["runs"] = len(rows)
    rates = [r["msgs_per_s"] for r in rows]
    out["msgs_per_s_min"], out["msgs_per_s_max"] = min(rates), max(rates)
    for key in ("sent", "expected", "received", "seconds", "own_cpu_s", "other_cpu_s", "interrupted"):
        out.pop(key, None)
    return out


def load(path):
    """{name: {system: [rows]}} in the order of the file."""
    table = {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            name, row = line.rstrip("\n").split("\t")
            row = json.loads(row)
            table.setdefault(name, {}).setdefault(row["system"], []).append(row)
    return table


def figure(x, fmt, none="-"):
    return none if x is None else format(x, fmt)


def verdict(name, gate, systems):
    """(text, missed) for one row: Busbar against the better proxy."""
    ours = systems.get("busbar")
    zmq = [r for s, r in systems.items() if s.startswith("zmq")]
    if not ours or not zmq:
        return "", False
    if gate == "-":
        best = min(zmq, key=lambda r: r["p99_us"] or float("inf"))
        if not ours["p99_us"] or not best["p99_us"]:
            return "", False
        return f"p99 {ours['p99_us'] / best['p99_us']:.2f} x that of {best['system']}", False
    best = max(zmq, key=lambda r: r["msgs_per_s"])
    ratio = ours["msgs_per_s"] / best["msgs_per_s"] if best["msgs_per_s"] else float("inf")
    lossy = ours["loss"] > (LOSS_MAX if name.startswith("pubsub") else 0)
    missed = ratio < float(gate) or lossy
    text = f"{ratio:.2f} x {best['system']}, gate {gate}: {'MISSED' if missed else 'reached'}"
    return text + (" (loss)" if lossy else ""), missed


def main(argv):
    if len(argv) not in (3, 4):
        print(__doc__, file=sys.stderr)
        return 2
    with open(argv[1], encoding="utf-8") as f:
        gates = dict(line.rstrip("\n").split("\t") for line in f)
    table = {n: {s: combine(rows) for s, rows in t.items()} for n, t in load(argv[2]).items()}
    if not table:
        print("compare: nothing was measured", file=sys.stderr)
        return 1

    fmt = "{:<24} {:<22} {:>12} {:>8} {:>9} {:>9} {:>9} {:>9} {:>7} {:>8}  {}"
    print(fmt.format("row", "system", "msgs/s", "Gbit/s", "cpu s/M", "loss %", "p50 us", "p99 us", "steal %", "others %", ""))
    failed = False
    for name, systems in table.items():
        text, missed = verdict(name, gates[name], systems)
        failed = failed or missed
        for system, r in systems.items():
            faults = "".join(f" {k} {r[k]}" for k in ("dup", "disorder", "bad") if r[k])
            failed = failed or (bool(faults) and system == "busbar")
            print(fmt.format(name, system, figure(r["msgs_per_s"], ".0f"), figure(r["gbit_per_s"], ".3f"),
                             figure(r["cpu_s_per_m"], ".4f"), figure(100 * r["loss"], ".3f"),
                             figure(r["p50_us"], ".1f"), figure(r["p99_us"], ".1f"),
                             figure(100 * r["steal"], ".2f"),
                             figure(None if r["others"] is None else 100 * r["others"], ".1f"),
                             (text if system == "busbar" else "") + faults))
    if len(argv) == 4:
        with open(argv[3], "w", encoding="utf-8") as f:
            for name, systems in table.items():
                for r in systems.values():
                    f.write(json.dumps({"row": name, **r}) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
