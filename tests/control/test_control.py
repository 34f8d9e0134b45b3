#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The command line, the control process and the supervisor, against a data plane that only answers.

test_control.py BUSBAR BUSBAR_CONTROL FAKE_DATAPLANE [unittest arguments]
"""
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

BUSBAR, CONTROL, FAKE = sys.argv[1:4]
LONG_S = 20  # a machine may be slow; nothing here takes that long when it works

CONF = """\
node: { name: test }
dataplane: { memory: 64MiB, linger: 1s }
endpoints:
  - name: quotes
    pattern: pubsub
    publishers: { bind: ["tcp://127.0.0.1:5559", "tcp://127.0.0.1:5569"], connect: ["tcp://elsewhere:7"] }
    subscribers: { bind: ["tcp://127.0.0.1:5560"], hwm: 7, when_full: block }
  - name: jobs
    pattern: pipeline
    producers: { bind: ["tcp://127.0.0.1:5561"] }
    consumers: { bind: ["tcp://127.0.0.1:5562"] }
"""


def wait_for(condition, what):
    deadline = time.monotonic() + LONG_S
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError("never: " + what)


def read(*path):
    with open(os.path.join(*path)) as text:
        return text.read()


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="busbar-")
        self.addCleanup(shutil.rmtree, self.dir)
        self.state = os.path.join(self.dir, "state")
        os.mkdir(self.state)
        self.socket = os.path.join(self.dir, "control.sock")
        self.conf = os.path.join(self.dir, "busbar.yaml")
        self.write_conf(CONF)
        self.env = dict(os.environ, BUSBAR_SOCKET=self.socket, BUSBAR_DATAPLANE=FAKE, BUSBAR_CONTROL=CONTROL)
        for name in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME"):
            self.env.pop(name, None)

    def write_conf(self, text):
        with open(self.conf, "w") as out:
            out.write(text)

    def touch(self, name):
        open(os.path.join(self.state, name), "w").close()

    def start(self, *argv, **kwargs):
        child = subprocess.Popen(
            argv, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs
        )
        self.addCleanup(self.finish, child)
        return child

    def finish(self, child):
        if child.poll() is None:
            child.kill()
        child.communicate()

    def busbar(self, *argv, status=0):
        done = subprocess.run([BUSBAR, *argv], env=self.env, capture_output=True, text=True, timeout=LONG_S)
        self.assertEqual(done.returncode, status, (argv, done.stdout, done.stderr))
        if status:
            self.assertEqual(done.stdout, "")
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
            return done.stderr
        self.assertEqual(done.stderr, "")
        return done.stdout

    def json(self, *argv):
        return json.loads(self.busbar(*argv, "--json"))

    def requests(self):
        try:
            return read(self.state, "requests").splitlines()
        except FileNotFoundError:
            return []

    def forget_requests(self):
        os.truncate(os.path.join(self.state, "requests"), 0)

    def is_running(self):
        done = subprocess.run([BUSBAR, "status", "--json"], env=self.env, capture_output=True, text=True, timeout=LONG_S)
        return done.returncode == 0 and json.loads(done.stdout)["state"] == "running"

    def wait_running(self):
        wait_for(self.is_running, "running")

    def start_run(self, *more):
        child = self.start(BUSBAR, "run", "-c", self.conf, "--state-dir", self.state, *more)
        self.wait_running()
        return child

    def pid(self, name):
        return int(read(self.state, name + ".pid"))


class CommandLine(Case):
    def test_every_command_has_help_and_wrong_use_is_2(self):
        out = self.busbar("--help")
        commands = re.findall(r"^  (\w+) ", out, re.M)
        self.assertEqual(
            commands,
            ["run", "status", "endpoints", "peers", "subscriptions", "counters", "cores", "config", "version"],
        )
        for command in commands:
            text = self.busbar(command, "--help")
            self.assertTrue(text.startswith("Usage: busbar %s " % command), text)
            self.assertIn("unknown option", self.busbar(command, "--frobnicate", status=2))
        self.assertIn("no such command", self.busbar("frobnicate", status=2))
        self.assertIn("not expected here", self.busbar("status", "x", status=2))
        self.assertIn("needs a value", self.busbar("peers", "--endpoint", status=2))
        self.assertIn("config --help", self.busbar("config", status=2))
        self.assertEqual(subprocess.run([BUSBAR], capture_output=True).returncode, 2)
        self.assertRegex(self.busbar("version"), r"^busbar \d+\.\d+\.\d+\n$")

    def test_without_an_appliance_the_way_out_is_named(self):
        for command in ("status", "endpoints", "peers", "subscriptions", "counters", "cores"):
            error = self.busbar(command, status=1)
            self.assertTrue(error.startswith("busbar %s: %s: no such socket" % (command, self.socket)), error)
            self.assertIn("busbar run", error)

    def test_the_socket_is_found_by_option_then_environment_then_default(self):
        self.assertIn("/tmp/by-option: ", self.busbar("status", "--socket", "/tmp/by-option", status=1))
        self.assertIn("/tmp/by-option: ", self.busbar("--socket=/tmp/by-option", "status", status=1))
        self.assertIn(self.socket, self.busbar("status", status=1))
        del self.env["BUSBAR_SOCKET"]
        if os.geteuid() == 0:
            self.assertIn("/run/busbar/control.sock: ", self.busbar("status", status=1))
        else:
            self.assertIn("/tmp/busbar-%d/control.sock: " % os.geteuid(), self.busbar("status", status=1))
            self.env["XDG_RUNTIME_DIR"] = self.dir
            self.assertIn(self.dir + "/busbar/control.sock: ", self.busbar("status", status=1))

    def test_config_check_names_file_and_line(self):
        self.assertEqual(self.busbar("config", "check", self.conf), self.conf + ": ok, 2 endpoints\n")
        self.write_conf(CONF.replace("hwm: 7", "hwn: 7"))
        self.assertEqual(
            self.busbar("config", "check", self.conf, status=1),
            self.conf + ':7: endpoint quotes, subscribers: unknown key "hwn": did you mean hwm?\n',
        )
        self.assertIn("No such file", self.busbar("config", "check", "/nowhere.yaml", status=1))

    def test_config_show_reads_back_as_the_same(self):
        shown = self.busbar("config", "show", "-c", self.conf)
        self.assertIn("      hwm: 7\n", shown)
        self.assertIn("      max_frames: 65536\n", shown)
        self.write_conf(shown)
        self.assertEqual(self.busbar("config", "show", "-c", self.conf), shown)
        default = read(os.path.dirname(__file__), "../../deploy/default.yaml")
        self.assertEqual(self.busbar("config", "show", "--default"), default)


class Control(Case):
    """busbar-control alone."""

    def start_plane(self):
        plane = self.start(FAKE, "--state-dir", self.state)
        wait_for(lambda: os.path.exists(os.path.join(self.state, "dataplane.sock")), "listening")
        return plane

    def start_control(self):
        return self.start(CONTROL, "-c", self.conf, "--state-dir", self.state, "--socket", self.socket)

    def test_configures_once_and_after_its_own_death_sends_only_differences(self):
        self.start_plane()
        control = self.start_control()
        self.wait_running()
        self.assertEqual(
            self.requests(), ["hello", "plan test", "hello", "set quotes", "set jobs", "commit"]
        )
        self.assertEqual(self.json("status")["dataplane"]["revision"], 1)

        control.kill()
        control.wait()
        self.forget_requests()
        control = self.start_control()
        self.wait_running()
        self.assertEqual(self.requests(), ["hello", "plan test", "hello"])

        control.kill()
        control.wait()
        self.forget_requests()
        self.write_conf(CONF.replace("hwm: 7", "hwm: 8").replace("name: jobs", "name: work"))
        self.start_control()
        self.wait_running()
        self.assertEqual(
            self.requests(), ["hello", "plan test", "hello", "remove jobs", "set quotes", "set work", "commit"]
        )
        self.assertEqual(self.json("status")["dataplane"]["revision"], 2)

    def test_a_data_plane_that_was_started_again_is_configured_again(self):
        plane = self.start_plane()
        self.start_control()
        self.wait_running()
        plane.kill()
        plane.wait()
        wait_for(lambda: self.json("status")["dataplane"] is None, "seen as gone")
        self.assertIn("data plane is not there", self.busbar("peers", status=1))
        self.forget_requests()
        self.start_plane()
        self.wait_running()
        self.assertEqual(self.requests()[-3:], ["set quotes", "set jobs", "commit"])

    def test_sighup_applies_a_changed_file_and_keeps_the_old_one_when_it_is_wrong(self):
        self.start_plane()
        control = self.start_control()
        self.wait_running()
        self.forget_requests()
        self.write_conf(CONF.replace("hwm: 7", "hwm: 9"))
        control.send_signal(signal.SIGHUP)
        wait_for(lambda: "commit" in self.requests(), "applied")
        self.assertEqual(self.requests(), ["set quotes", "commit"])
        self.write_conf("nonsense")
        control.send_signal(signal.SIGHUP)
        self.assertTrue(any("RELOAD-REFUSED" in line for line in control.stderr))
        self.assertTrue(self.is_running())
        self.assertIn("hwm: 9", self.busbar("config", "show"))
        control.terminate()
        self.assertEqual(control.wait(LONG_S), 0)

    def test_a_first_endpoint_that_is_refused_ends_it_with_file_and_line(self):
        self.touch("refuse-jobs")
        self.start_plane()
        control = self.start_control()
        self.assertEqual(control.wait(LONG_S), 78)
        self.assertTrue(
            control.stderr.read().endswith(
                self.conf + ":8: endpoint jobs: tcp://127.0.0.1:1: address in use: choose another\n"
            )
        )

    def test_a_refused_plan_ends_it_with_file_and_line(self):
        self.touch("refuse-plan")
        self.start_plane()
        control = self.start_control()
        self.assertEqual(control.wait(LONG_S), 78)
        self.assertTrue(
            control.stderr.read().endswith(self.conf + ":2: dataplane: CPU 99 is not there: choose from 0-1\n")
        )

    def test_a_later_endpoint_that_is_refused_is_tried_again_and_shown(self):
        self.start_plane()
        control = self.start_control()
        self.wait_running()
        self.touch("refuse-jobs")
        self.write_conf(CONF.replace("5561", "5571"))
        control.send_signal(signal.SIGHUP)
        refused = wait_for(lambda: self.json("status")["refused"], "refused")
        self.assertEqual(refused[0]["endpoint"], "jobs")
        self.assertEqual(refused[0]["at"], self.conf + ":8")
        self.assertIn("refused", self.busbar("status"))
        os.unlink(os.path.join(self.state, "refuse-jobs"))
        wait_for(lambda: not self.json("status")["refused"], "taken at last")

    def test_a_silent_data_plane_does_not_hang_the_api(self):
        self.start_plane()
        self.start_control()
        self.wait_running()
        self.touch("silent")
        begun = time.monotonic()
        status = self.json("status")
        self.assertLess(time.monotonic() - begun, 10)
        self.assertEqual((status["state"], status["dataplane"]), ("silent", None))

    def test_a_second_control_cannot_have_the_socket_and_a_stale_one_is_taken_over(self):
        self.start_plane()
        first = self.start_control()
        self.wait_running()
        second = self.start_control()
        self.assertEqual(second.wait(LONG_S), 78)
        self.assertIn("another busbar-control has it", second.stderr.read())
        first.kill()
        first.wait()
        self.assertTrue(os.path.exists(self.socket))
        self.start_control()
        self.wait_running()
        self.assertEqual(os.stat(self.socket).st_mode & 0o777, 0o660)

    def test_the_api_is_on_tcp_when_asked_and_refuses_what_it_does_not_know(self):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self.write_conf(CONF + "control: { http: '127.0.0.1:%d' }\n" % port)
        self.start_plane()
        self.start_control()
        self.wait_running()

        def ask(method, path):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONG_S)
            connection.request(method, path)
            answer = connection.getresponse()
            self.addCleanup(connection.close)
            return answer.status, json.loads(answer.read())

        self.assertEqual(ask("GET", "/v1/status")[1]["node"], "test")
        self.assertEqual(ask("GET", "/v1/nothing")[0], 404)
        self.assertEqual(ask("PUT", "/v1/status")[0], 405)
        self.assertEqual(ask("POST", "/v1/drain")[0], 403)
        self.assertNotIn("drain", self.requests())
        self.assertEqual(ask("GET", "/v1/peers?limit=x")[0], 400)
        self.assertEqual(ask("GET", "/v1/peers?limit=0")[0], 400)
        self.assertEqual(ask("GET", "/v1/subscriptions")[0], 400)
        self.assertEqual(ask("GET", "/v1/subscriptions?endpoint=nobody")[0], 404)
        page = ask("GET", "/v1/peers?limit=2")[1]
        self.assertEqual([p["id"] for p in page["peers"]], ["100", "102"])
        page = ask("GET", "/v1/peers?limit=2&cursor=%d" % page["next"])[1]
        self.assertEqual(([p["id"] for p in page["peers"]], page["next"]), (["103"], None))


class Run(Case):
    """Everything together, under busbar run."""

    def test_tables_and_json_tell_what_the_data_plane_has(self):
        self.start_run()
        status = self.json("status")
        self.assertEqual(status["node"], "test")
        self.assertEqual(status["dataplane"]["pid"], self.pid("dataplane"))
        self.assertEqual(status["control"]["pid"], self.pid("control"))
        self.assertEqual(status["dataplane"]["memory_bytes"], 64 << 20)
        self.assertRegex(self.busbar("status"), r"data plane  running, 0.0-fake, pid \d+, up 1m05s\n")
        self.assertIn("memory      32.0 MiB of 64.0 MiB in use\n", self.busbar("status"))

        quotes, jobs = self.json("endpoints")["endpoints"]
        self.assertEqual((quotes["name"], quotes["pattern"], jobs["name"]), ("quotes", "pubsub", "jobs"))
        publishers, subscribers = quotes["sides"]
        self.assertEqual(publishers["socket"], "XSUB")
        self.assertEqual([b["address"] for b in publishers["bind"]], ["tcp://127.0.0.1:5559", "tcp://127.0.0.1:5569"])
        self.assertEqual(publishers["connect"], ["tcp://elsewhere:7"])
        self.assertEqual(subscribers["options"]["hwm"], 7)
        self.assertEqual(subscribers["options"]["when_full"], "block")
        self.assertEqual(subscribers["options"]["heartbeat"]["interval"], "30s")
        self.assertEqual(subscribers["counters"]["dropped_out_hwm"], 1)
        self.assertEqual(publishers["counters"]["routed"], 1)

        peers = self.json("peers")["peers"]
        self.assertEqual([p["address"] for p in peers], ["127.0.0.1:40000", "127.0.0.1:40002", "127.0.0.1:40003"])
        self.assertEqual([p["side"] for p in peers], ["publishers", "subscribers", "subscribers"])
        self.assertEqual([p["type"] for p in peers], ["PUB", "SUB", "SUB"])
        self.assertEqual(peers[1]["counters"]["sent"], 2)
        self.assertEqual((peers[1]["hwm"], peers[1]["when_full"]), (7, "block"))
        self.assertEqual(peers[0]["routing_id"], "\\xff!")
        self.assertEqual(len(self.json("peers", "--side", "publishers")["peers"]), 1)
        self.assertEqual(len(self.json("peers", "--endpoint", "jobs")["peers"]), 0)
        self.assertEqual(self.busbar("peers", "--endpoint=jobs"), "no peers\n")

        topics = self.json("subscriptions")["subscriptions"]
        self.assertEqual(len(topics), 2500)
        self.assertEqual((topics[0]["topic"], topics[1]["topic"]), ("", "t\\xff1"))
        self.assertEqual(topics[2499]["endpoint"], "quotes")
        self.assertIn("no endpoint nobody", self.busbar("subscriptions", "nobody", status=1))

        sides = {(s["endpoint"], s["side"]): s for s in self.json("counters")["sides"]}
        self.assertEqual(len(sides), 4)
        for side in sides.values():
            self.assertEqual(side["accounts"], {"in_open": 0, "out_open": 0})
        self.assertRegex(self.busbar("counters", "quotes.subscribers.sent"), r"quotes.subscribers.sent +1\n$")
        self.assertGreater(len(self.busbar("counters", "--all").splitlines()), 200)

        cores = self.json("cores")
        self.assertEqual((cores["roles"], cores["idle"]), ("split", "adaptive"))
        self.assertEqual([c["roles"] for c in cores["cores"]], [["io"], ["router"], ["agent"]])
        self.assertIn("warning: no hugepages", self.busbar("cores"))
        self.assertIn("0.0-fake", self.busbar("version"))
        self.assertEqual(self.busbar("config", "show"), self.busbar("config", "show", "-c", self.conf))
        for command in ("status", "endpoints", "peers", "counters", "cores"):
            for line in self.busbar(command).splitlines():
                self.assertLessEqual(len(line), 120, line)
                self.assertEqual(line, line.rstrip())

    def test_a_signal_drains_reports_and_cleans_up(self):
        for sig in (signal.SIGTERM, signal.SIGINT):
            run = self.start_run()
            run.send_signal(sig)
            _, err = run.communicate(timeout=LONG_S)
            self.assertEqual(run.returncode, 0, err)
            self.assertIn("drained: linger cut off 3 messages (300 B) to 1 peer\n", err)
            self.assertIn("127.0.0.1:40002       quotes: 3 messages\n", err)
            self.assertIn("drain", self.requests())
            self.assertEqual(sorted(os.listdir(self.state)), ["lock", "requests"])
            self.assertFalse(os.path.exists(self.socket))
            self.forget_requests()

    def test_a_dead_data_plane_is_back_within_a_second(self):
        self.start_run()
        former = self.pid("dataplane")
        for _ in range(3):
            begun = time.monotonic()
            os.kill(former, signal.SIGKILL)
            wait_for(lambda: self.pid("dataplane") != former and self.is_running(), "back")
            self.assertLess(time.monotonic() - begun, 1.0)
            former = self.pid("dataplane")

    def test_control_may_die_as_often_as_it_likes(self):
        self.start_run()
        plane = self.pid("dataplane")
        for _ in range(10):
            former = self.pid("control")
            os.kill(former, signal.SIGKILL)
            wait_for(lambda: self.pid("control") != former, "started again")
        self.wait_running()
        self.assertEqual(self.pid("dataplane"), plane)
        self.assertEqual(self.requests().count("set quotes"), 1)

    def test_a_data_plane_that_is_told_to_drain_by_somebody_else_is_started_again(self):
        self.start_run()
        former = self.pid("dataplane")
        os.kill(former, signal.SIGTERM)
        wait_for(lambda: self.pid("dataplane") != former and self.is_running(), "back")
        self.assertEqual(self.requests().count("drain"), 1)

    def test_it_drains_also_while_control_is_dead(self):
        run = self.start_run()
        os.kill(run.pid, signal.SIGSTOP)
        control = self.pid("control")
        os.kill(control, signal.SIGKILL)
        run.send_signal(signal.SIGTERM)
        os.kill(run.pid, signal.SIGCONT)
        _, err = run.communicate(timeout=LONG_S)
        self.assertEqual(run.returncode, 0, err)
        self.assertEqual(self.requests()[-1], "drain")

    def test_a_second_run_on_the_same_directory_is_refused(self):
        run = self.start_run()
        error = self.busbar("run", "-c", self.conf, "--state-dir", self.state, status=1)
        self.assertEqual(
            error,
            "busbar run: %s: in use by process %d: stop that one, or give another --state-dir\n" % (self.state, run.pid),
        )
        self.assertTrue(self.is_running())

    def test_the_children_go_when_run_is_killed(self):
        run = self.start_run()
        children = [self.pid("dataplane"), self.pid("control")]
        run.kill()
        for pid in children:
            wait_for(lambda: not os.path.exists("/proc/%d" % pid) or self.is_zombie(pid), "gone")
        self.start_run()

    @staticmethod
    def is_zombie(pid):
        try:
            return read("/proc/%d/stat" % pid).rsplit(")", 1)[1].split()[0] == "Z"
        except FileNotFoundError:
            return True

    def test_wrong_configurations_are_refused_before_anything_starts(self):
        self.write_conf("endpoint: []\n")
        error = self.busbar("run", "-c", self.conf, "--state-dir", self.state, status=1)
        self.assertEqual(error, self.conf + ':1: unknown key "endpoint": did you mean endpoints?\n')
        self.assertEqual(os.listdir(self.state), [])

    def test_what_the_data_plane_refuses_ends_the_run(self):
        self.touch("refuse-quotes")
        run = self.start(BUSBAR, "run", "-c", self.conf, "--state-dir", self.state)
        _, err = run.communicate(timeout=LONG_S)
        self.assertEqual(run.returncode, 1)
        self.assertIn(self.conf + ":4: endpoint quotes: tcp://127.0.0.1:1: address in use: choose another\n", err)

    def test_a_data_plane_that_cannot_start_ends_the_run(self):
        self.touch("refuse-start")
        run = self.start(BUSBAR, "run", "-c", self.conf, "--state-dir", self.state)
        _, err = run.communicate(timeout=LONG_S)
        self.assertEqual(run.returncode, 1)
        self.assertIn("busbar-dataplane ended 5 times right after its start, with status=1", err)

    def test_a_missing_program_is_named(self):
        self.env["BUSBAR_DATAPLANE"] = "/nowhere/busbar-dataplane"
        error = self.busbar("run", "-c", self.conf, "--state-dir", self.state, status=1)
        self.assertIn("BUSBAR_DATAPLANE", error)

    def test_without_a_configuration_it_runs_the_embedded_default(self):
        self.start(BUSBAR, "run", "--state-dir", self.state)
        self.wait_running()
        self.assertEqual([e["name"] for e in self.json("endpoints")["endpoints"]], ["quotes", "jobs", "rpc"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:], verbosity=2)
