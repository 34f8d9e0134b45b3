#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""
Black-box tests: stock ZeroMQ programs and odd peers talk through a broker.

    run.py [--broker busbar|zmq] [--filter TEXT] [--long] [-j N] [--list]

Each test is a process of its own with a time limit, a broker of its own and ports of its own. A
line `ok NAME`, `FAIL NAME reason` or `skip NAME reason` for each; the last line counts them. Exit
status 0 if none failed, 1 if one did, 2 for wrong use.
"""
import argparse
import concurrent.futures
import importlib
import json
import os
import pkgutil
import resource
import signal
import subprocess
import sys
import time
import traceback
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
MARK = "INTEROP_RUN"  # in the environment of all that a test starts, so that leftovers are found
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

from harness.case import CASES, Test  # noqa: E402
from harness.wait import Fail  # noqa: E402


def load_cases():
    for module in pkgutil.iter_modules([os.path.join(HERE, "cases")]):
        importlib.import_module(f"cases.{module.name}")


def parse(argv):
    parser = argparse.ArgumentParser(description="Interop and odd-peer tests.")
    parser.add_argument("--broker", choices=("busbar", "zmq"), default="busbar")
    parser.add_argument("--filter", action="append", default=[], help="run tests whose name holds this text")
    parser.add_argument("--long", action="store_true", help="run the long ones too")
    parser.add_argument("-j", type=int, default=2, metavar="N", help="tests at once (2)")
    parser.add_argument("--build", default=os.path.join(ROOT, "build"), help="build directory")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                        help="a key of the configuration's dataplane section, such as roles=split")
    parser.add_argument("--keep", action="store_true", help="keep the files of failed tests")
    parser.add_argument("--list", action="store_true", help="name the tests and what they show")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def run_one(args):
    """The body of a test's own process: the result is one line of JSON on standard output."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    dataplane = dict(item.split("=", 1) for item in args.set)
    test = Test(args.broker, args.build, dataplane)
    reason, trace = None, ""
    try:
        CASES[args.one].func(test)
        test.finish()
    except Fail as failure:
        reason, trace = str(failure), traceback.format_exc()
    except Exception as error:  # a test that breaks is a failed test
        reason, trace = f"{type(error).__name__}: {error}", traceback.format_exc()
    if reason is not None:
        sys.stderr.write(trace)
        for started in test.brokers:
            print(f"broker in {started.dir}:\n{started.log_tail()}", file=sys.stderr)
    try:
        test.close(keep=args.keep and reason is not None)
    except Exception as error:
        reason = reason or f"clean-up: {error}"
    print(json.dumps({"reason": reason}), flush=True)
    sys.stderr.flush()
    os._exit(0 if reason is None else 1)  # a context of libzmq may still hang in a failed test


def marked_processes(mark):
    """All processes that carry this test's mark."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            with open(f"/proc/{entry}/environ", "rb") as f:
                if f"{MARK}={mark}".encode() in f.read():
                    found.append(int(entry))
        except OSError:
            pass
    return found


def sweep(mark):
    """End what a test left behind; returns how many processes that were."""
    left = marked_processes(mark)
    for pid in left:
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass
    return len(left)


def run_child(name, args):
    """Run one test in its own process; returns (reason or None, details)."""
    argv = [sys.executable, os.path.abspath(__file__), "--one", name, "--broker", args.broker, "--build", args.build]
    argv += [f"--set={item}" for item in args.set] + (["--keep"] if args.keep else [])
    mark = uuid.uuid4().hex
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             text=True, errors="replace", env={**os.environ, MARK: mark})
    limit = CASES[name].timeout
    try:
        out, err = child.communicate(timeout=limit)
        reason = json.loads(out.splitlines()[-1])["reason"] if out else f"died with status {child.returncode}"
    except subprocess.TimeoutExpired:
        sweep(mark)
        out, err = child.communicate()
        reason = f"not done after {limit:.0f} s"
    left = sweep(mark)
    if left and reason is None:
        reason = f"{left} processes were left behind"
    return reason, err


def chosen(args):
    """(names to run, [(name, why it is skipped)])"""
    run, skip = [], []
    for name, case in CASES.items():
        if args.filter and not any(text in name for text in args.filter):
            continue
        if case.busbar and args.broker != "busbar":
            skip.append((name, "examines what only Busbar has"))
        elif case.long and not args.long:
            skip.append((name, "long"))
        else:
            run.append(name)
    return run, skip


def main(argv):
    args = parse(argv)
    args.build = os.path.abspath(args.build)
    load_cases()
    if args.one:
        return run_one(args)
    if args.list:
        for name, case in CASES.items():
            print(f"{name}: {' '.join(case.doc.split())}")
        return 0
    run, skip = chosen(args)
    if not run and not skip:
        print(f"run.py: no test has {args.filter} in its name", file=sys.stderr)
        return 2
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, args.j)) as pool:
        def timed(name):
            begin = time.monotonic()
            return run_child(name, args), time.monotonic() - begin
        futures = {pool.submit(timed, name): name for name in run}
        for future in concurrent.futures.as_completed(futures):
            name = futures[future]
            (reason, details), seconds = future.result()
            if reason is None:
                print(f"ok {name} ({seconds:.1f} s)", flush=True)
            else:
                failed += 1
                print(f"FAIL {name} {reason.splitlines()[0]}", flush=True)
                sys.stderr.write("".join(f"    {line}\n" for line in details.splitlines()))
                sys.stderr.flush()
    for name, why in skip:
        print(f"skip {name} {why}")
    tail = f", {len(skip)} skipped" if skip else ""
    print(f"{len(run) - failed} passed, {failed} failed{tail}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
