# SPDX-License-Identifier: BSD-3-Clause
"""The broker under test: Busbar, or libzmq's proxies as a stand-in that shows the tests to be sound."""
import json
import os
import signal
import subprocess
import time

from harness import names
from harness.wait import Fail, PATIENCE, SCALE, eventually, need

SIDES = {
    "pubsub": ("publishers", "subscribers"),
    "pipeline": ("producers", "consumers"),
    "reqrep": ("clients", "workers"),
}
DEFAULT_NAMES = {"pubsub": "quotes", "pipeline": "jobs", "reqrep": "rpc"}


def endpoint(pattern, name=None, front=None, back=None, **settings):
    """Describe an endpoint; sides without bind or connect get a free loopback port."""
    front_name, back_name = SIDES[pattern]
    return {"name": name or DEFAULT_NAMES[pattern], "pattern": pattern, **settings,
            front_name: dict(front or {}), back_name: dict(back or {})}


def pubsub(publishers=None, subscribers=None, **settings):
    return endpoint("pubsub", front=publishers, back=subscribers, **settings)


def pipeline(producers=None, consumers=None, **settings):
    return endpoint("pipeline", front=producers, back=consumers, **settings)


def reqrep(clients=None, workers=None, **settings):
    return endpoint("reqrep", front=clients, back=workers, **settings)


def to_yaml(value, depth=0):
    """Block-style YAML of dicts, lists and scalars: what an operator would write."""
    pad = "  " * depth
    if isinstance(value, dict):
        lines = []
        for key, item in value.items():
            if isinstance(item, (dict, list)) and item:
                lines.append(f"{pad}{key}:\n{to_yaml(item, depth + 1)}")
            else:
                lines.append(f"{pad}{key}: {scalar(item)}\n")
        return "".join(lines)
    lines = []
    for item in value:
        if isinstance(item, dict):
            lines.append(f"{pad}- {to_yaml(item, depth + 1).lstrip()}")
        else:
            lines.append(f"{pad}- {scalar(item)}\n")
    return "".join(lines)


def scalar(value):
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if value in ({}, []):
        return json.dumps(value)
    return json.dumps(value) if any(c in value for c in ":#{}[],\"'*&!|>%@` ") else value


class Broker:
    """What both kinds share: a process, its log, the addresses of its sides."""

    is_busbar = False

    def __init__(self, test, endpoints, dataplane):
        self.test = test
        self.endpoints = endpoints
        self.dataplane = dataplane
        self.dir = test.make_dir("broker")
        self.process = None
        for ep in endpoints:
            for side in SIDES[ep["pattern"]]:
                if "bind" not in ep[side] and "connect" not in ep[side]:
                    ep[side]["bind"] = [f"tcp://127.0.0.1:{test.ports.take()}"]

    def side(self, where):
        """The settings of a side by its name, `jobs.consumers` or just `consumers`."""
        name, _, side = where.rpartition(".")
        for ep in self.endpoints:
            if side in ep and name in ("", ep["name"]):
                return ep[side]
        raise KeyError(where)

    def addr(self, where):
        """The first address that a side listens on."""
        return self.side(where)["bind"][0]

    def port(self, where):
        return int(self.addr(where).rpartition(":")[2])

    def log_path(self, stream):
        return os.path.join(self.dir, f"{stream}.log")

    def log_tail(self, lines=25):
        text = ""
        for stream in ("stdout", "stderr"):
            try:
                with open(self.log_path(stream), errors="replace") as f:
                    text += "".join(f"    {stream}: {line}" for line in f.readlines()[-lines:])
            except FileNotFoundError:
                pass
        return text

    def launch(self, argv):
        with open(self.log_path("stdout"), "ab") as out, open(self.log_path("stderr"), "ab") as err:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err)

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def check_alive(self):
        if not self.alive():
            raise Fail(f"the broker ended with status {self.process.returncode}\n{self.log_tail()}")

    def end(self):
        """SIGTERM; the broker has to come to an end by itself with status 0."""
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            raise Fail(f"the broker does not end after SIGTERM\n{self.log_tail()}") from None
        need(status == 0, f"the broker ended with status {status}\n{self.log_tail()}")

    def kill(self):
        if self.alive():
            self.process.kill()
            self.process.wait()

    # What only Busbar can tell; the stand-in has nothing to say.
    def check_accounts(self):
        pass

    def refused(self, causes):
        """How many peers were refused for these causes so far, or None if that is not counted."""

    def wait_peers(self, where, count):
        """Wait until a side has this many peers. Nothing to wait for where it cannot be seen."""


class Zmq(Broker):
    """libzmq's XSUB/XPUB, PULL/PUSH and ROUTER/DEALER proxies in one process."""

    KEYS = {"hwm": ("sndhwm", "rcvhwm"), "max_message": ("maxmsg",), "handshake_timeout": ("handshake",),
            "identity": ("identity",)}

    def side_spec(self, side):
        spec = []
        for key, value in side.items():
            for name in self.KEYS.get(key, ()):
                spec.append(f"{name}={plain(value)}")
        for key in ("bind", "connect"):
            spec += [f"{key}={address}" for address in side.get(key, [])]
        return ",".join(spec)

    def start(self):
        argv = [self.test.program("tests/interop/c/zmq_standin")]
        for ep in self.endpoints:
            argv.append(ep["pattern"])
            argv += [self.side_spec(ep[side]) for side in SIDES[ep["pattern"]]]
        with open(self.log_path("stdout"), "w"):
            pass  # a second start must not see the first one's line
        self.launch(argv)

        def ready():
            self.check_alive()
            with open(self.log_path("stdout")) as f:
                return "ready" in f.read()

        eventually(ready, "the stand-in listens")
        return self

    def stop(self):
        self.end()


def plain(value):
    """A size or duration as the plain number (octets, milliseconds) that libzmq takes."""
    units = {"KiB": 1024, "MiB": 1024 ** 2, "GiB": 1024 ** 3, "ms": 1, "s": 1000, "B": 1}
    for unit in ("KiB", "MiB", "GiB", "ms", "s", "B"):
        if isinstance(value, str) and value.endswith(unit):
            return int(value[:-len(unit)]) * units[unit]
    return value


class Busbar(Broker):
    """`busbar run` on a configuration, a state directory and a control socket of its own."""

    is_busbar = True

    def __init__(self, test, endpoints, dataplane):
        super().__init__(test, endpoints, dataplane)
        self.socket = os.path.join(self.dir, "control.sock")
        self.config = os.path.join(self.dir, "busbar.yaml")
        self.state = os.path.join(self.dir, "state")

    def write_config(self):
        dataplane = {"memory": "256MiB", "hugepages": "off", "linger": "1s"}
        dataplane.update(self.test.dataplane)
        dataplane.update(self.dataplane)
        text = to_yaml({"node": {"name": "interop"}, "dataplane": dataplane, "endpoints": self.endpoints,
                        "control": {"socket": self.socket}})
        with open(self.config, "w") as f:
            f.write(text)

    def start(self):
        os.makedirs(self.state, exist_ok=True)
        self.write_config()
        self.launch([self.test.program("control/busbar"), "run", "-c", self.config, "--state-dir", self.state])
        eventually(self.is_running, "busbar status says running")
        return self

    def is_running(self):
        self.check_alive()
        try:
            status = self.ask("status")
        except Fail:
            return False
        need(not names.refused_endpoints(status), f"the data plane refused {names.refused_endpoints(status)}")
        return names.is_running(status)

    def ask(self, *words):
        """One reading command, as JSON."""
        argv = [self.test.program("control/busbar"), "--socket", self.socket, *words, "--json"]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=PATIENCE, check=False)
        if done.returncode != 0:
            raise Fail(f"busbar {' '.join(words)} failed: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def counters(self):
        return self.ask("counters")

    def peers(self):
        return names.peer_rows(self.ask("peers"))

    def session(self, peer):
        """What the broker says about the messages for this raw peer; waits until the peer is listed."""
        def find():
            rows = [row for row in self.peers() if names.row_has_port(row, peer.local_port)]
            return names.Session(rows[0]) if rows else None
        return eventually(find, f"a peer with port {peer.local_port} in `busbar peers`")

    def total(self, name):
        """One counter over all sides, once the node is quiet."""
        return names.total(self.quiet_counters(), name)

    def io_cores(self):
        return names.io_cores(self.ask("cores"))

    def wait_peers(self, where, count):
        name, _, side = where.rpartition(".")
        eventually(lambda: sum(names.row_is_at(row, name, side) for row in self.peers()) == count,
                   f"{count} peers at {where}")

    def refused(self, causes):
        return names.refused(self.counters(), causes)

    def quiet_counters(self):
        """The counters once nothing moves: two equal readings whose accounts balance."""
        before, now = None, None
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            now = self.counters()
            key = [(a.where, a.came, tuple(a.went.values())) for a in names.accounts(now)]
            if key == before and all(account.balanced() for account in names.accounts(now)):
                return now
            before = key
            time.sleep(0.05 * SCALE)
        unequal = [str(account) for account in names.accounts(now) if not account.balanced()]
        raise Fail(f"accounts do not balance: {'; '.join(unequal)}" if unequal else "the node never comes to rest")

    def check_accounts(self):
        """Every message that came is accounted for, to the message."""
        need(names.accounts(self.quiet_counters()), "`busbar counters --json` holds no accounts")

    def stop(self):
        self.end()
        with open(self.log_path("stdout"), errors="replace") as out:
            report = out.read()
        with open(self.log_path("stderr"), errors="replace") as err:
            report += err.read()
        need(names.FINAL_REPORT_WORD in report.lower(), f"no final report was printed\n{self.log_tail()}")


KINDS = {"busbar": Busbar, "zmq": Zmq}
