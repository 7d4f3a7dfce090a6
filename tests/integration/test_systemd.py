"""deploy/systemd under a real systemd, in a small machine of its own: installed as the units' heads say, and what an operator does then."""
import os
import pathlib
import re
import shutil
import signal
import smtplib
import socket
import stat
import threading
import time

import pytest

from conftest import POSTERN, MemoryStore, wait_until
from machine import Machine, Refused

pytestmark = pytest.mark.skipif("POSTERN_SANITIZED" in os.environ, reason="the sanitizers want more than the unit allows")

ROOT = pathlib.Path(__file__).parents[2]
UNITS = ROOT / "deploy/systemd"
CONFIGURATION = """
hostname: mx.example.com
user: postern
listeners:
  - address: "0.0.0.0:25"
  - address: "[::]:25"
queue: { path: /var/lib/postern/queue.db, minimum_free_disk: 1MiB }
control: { socket: /run/postern/control.sock }
domains: { example.com: { backend: stores, recipients: any } }
backends: { stores: { endpoints: ["127.0.0.1:24"] } }
"""


@pytest.fixture(scope="module")
def machine():
    try:
        made = Machine()
    except Refused as why:
        pytest.skip(f"no systemd in namespaces here: {why}")
    try:
        source = made.path("/source")
        source.mkdir()
        shutil.copy(POSTERN, source / "postern")
        for file in UNITS.iterdir():
            shutil.copy(file, source)
        made.do("install", "-m", "755", "/source/postern", "/usr/bin/postern")
        made.do("install", "-m", "644", "/source/postern.sysusers.conf", "/usr/lib/sysusers.d/postern.conf")
        made.do("systemd-sysusers", "/usr/lib/sysusers.d/postern.conf")
        made.do("install", "-m", "644", "/source/postern.service", "/source/postern.socket", "/etc/systemd/system/")
        made.do("install", "-d", "-m", "750", "-g", "postern", "/etc/postern")
        made.path("/source/postern.yaml").write_text(CONFIGURATION)
        yield made
    finally:
        made.stop()


class Service:
    """The unit in the machine, with an empty queue and a store, and the words of systemctl and journalctl for it."""

    def __init__(self, machine):
        self.machine = machine
        self.config = machine.path("/etc/postern/postern.yaml")
        machine.do("install", "-m", "640", "-g", "postern", "/source/postern.yaml", "/etc/postern/postern.yaml")
        self.dropins = machine.path("/run/systemd/system/postern.service.d")
        self.dropins.mkdir(parents=True)
        self.change("sooner", "RestartSec=1s")  # not five
        machine.do("systemctl", "reset-failed")
        self.begin = time.time()
        self.open_store()

    def open_store(self):
        with self.machine:
            self.store = MemoryStore(24)

    def close(self):
        self.machine.run("systemctl", "disable", "--now", "postern.socket", "postern.service")
        shutil.rmtree(self.machine.path("/var/lib/postern"), ignore_errors=True)
        shutil.rmtree(self.dropins)
        self.store.close()

    def change(self, name, lines):
        (self.dropins / f"{name}.conf").write_text("[Service]\n" + lines + "\n")
        self.systemctl("daemon-reload")

    def systemctl(self, *words):
        return self.machine.do("systemctl", *words)

    def is_in(self, state, unit="postern.service"):
        return self.machine.run("systemctl", "is-active", unit).stdout.strip() == state

    def show(self, name):
        return self.machine.do("systemctl", "show", "--value", "-p", name, "postern.service").strip()

    def journal(self, *words):
        return self.machine.do("journalctl", "-q", "-u", "postern.service", "--since", f"@{self.begin:.6f}", "-o", "cat", *words)

    def await_journal(self, pattern, *words):
        return wait_until(lambda: re.search(pattern, self.journal(*words), re.M), "line in the journal: " + pattern)

    def connect(self, host="127.0.0.1"):
        with self.machine:
            client = smtplib.SMTP(host, 25, timeout=60)
        return client

    def send(self, subject, host="127.0.0.1"):
        with self.connect(host) as client:
            client.sendmail("a@example.org", ["ok@example.com"], f"Subject: {subject}\r\n\r\nx\r\n")

    def await_delivery(self, subject):
        wait_until(lambda: self.store.received.get((subject, "ok@example.com")), "delivery of " + subject)

    def kill(self):
        [pid] = self.machine.pids("postern.service")
        os.kill(pid, signal.SIGKILL)

    def spoil(self):
        self.config.write_text(self.config.read_text() + "typo: yes\n")

    def mend(self):
        self.config.write_text(CONFIGURATION)


@pytest.fixture
def service(machine):
    made = Service(machine)
    yield made
    made.close()


def test_it_runs_with_no_more_than_it_needs(service):
    machine = service.machine
    service.systemctl("enable", "--now", "postern.service")
    service.send("one")
    service.send("six", "::1")
    service.await_delivery("one")
    service.await_delivery("six")
    user = re.search(r"^postern:x:(\d+):(\d+):", machine.path("/etc/passwd").read_text(), re.M)
    uid, gid = int(user.group(1)), int(user.group(2))
    [pid] = machine.pids("postern.service")
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        status = dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if ":\t" in line)
        assert set(status["Uid"].split()) == {str(uid)} and set(status["Gid"].split()) == {str(gid)}
        assert [int(status[kind], 16) for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb")] == [0, 0, 0, 0]
        assert int(status["CapBnd"], 16) == 1 << 10  # CAP_NET_BIND_SERVICE
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    mounts = [line.split() for line in pathlib.Path(f"/proc/{pid}/mounts").read_text().splitlines()]
    writable = {words[1] for words in mounts if "rw" in words[3].split(",")}
    assert writable - {"/proc", "/dev/pts", "/dev/shm", "/dev/mqueue"} == {"/var/lib/postern", "/run/postern", "/tmp", "/var/tmp"}

    def owner_and_mode(path):
        known = machine.path(path).stat()
        return known.st_uid, known.st_gid, oct(stat.S_IMODE(known.st_mode))

    assert owner_and_mode("/etc/postern") == (0, gid, "0o750")
    assert owner_and_mode("/var/lib/postern") == (uid, gid, "0o750")
    assert owner_and_mode("/run/postern") == (uid, gid, "0o750")
    assert owner_and_mode("/run/postern/control.sock") == (uid, gid, "0o660")
    for file in machine.path("/var/lib/postern").iterdir():
        assert owner_and_mode("/var/lib/postern/" + file.name) == (uid, gid, "0o600")
    assert "stores: 0 recipients to deliver" in machine.do("postern", "status")
    assert service.journal("-p", "warning") == ""


def test_mail_outlives_a_restart_and_a_reload_tells_its_outcome(service):
    service.systemctl("start", "postern.service")
    service.store.close()
    service.send("queued")
    service.await_journal("endpoint_down", "-p", "warning")
    service.systemctl("restart", "postern.service")
    assert "1 message" in service.machine.do("postern", "status")
    service.spoil()
    assert service.machine.run("systemctl", "reload", "postern.service").returncode != 0
    service.await_journal("unknown key `typo`")
    assert service.is_in("active")
    service.mend()
    service.systemctl("reload", "postern.service")
    service.await_journal(" reloaded ")
    service.open_store()
    service.await_delivery("queued")
    assert service.show("NRestarts") == "0"
    service.systemctl("stop", "postern.service")
    assert service.show("Result") == "success"
    assert not service.machine.path("/run/postern").exists()


def test_it_comes_back_after_a_crash(service):
    service.systemctl("start", "postern.service")
    service.store.close()
    service.send("queued")
    service.kill()
    wait_until(lambda: service.show("NRestarts") == "1" and service.is_in("active"), "the next start")
    service.open_store()
    service.await_delivery("queued")


def test_the_journal_loses_no_line(service):
    """By default it lets a service write ten thousand lines in half a minute, or a few times that on a large disk. Here it is less."""
    settings = service.machine.path("/etc/systemd/journald.conf")
    settings.write_text("[Journal]\nRateLimitIntervalSec=30s\nRateLimitBurst=20\n")
    service.systemctl("restart", "systemd-journald.service")
    try:
        service.systemctl("start", "postern.service")
        with service.connect() as client:
            for number in range(500):
                client.sendmail("a@example.org", ["ok@example.com"], f"Subject: {number}\r\n\r\nx\r\n")
        wait_until(lambda: service.journal().count(" accepted ") == 500, "every line")
    finally:
        settings.unlink()
        service.systemctl("restart", "systemd-journald.service")


def use_the_socket(service):
    """And so need no capability."""
    service.change("socket", "AmbientCapabilities=\nCapabilityBoundingSet=")
    service.systemctl("enable", "--now", "postern.socket")


def test_a_connection_starts_it_and_none_is_refused_while_it_restarts(service):
    use_the_socket(service)
    assert service.is_in("inactive")
    service.send("one")
    service.await_delivery("one")
    assert service.is_in("active")
    [pid] = service.machine.pids("postern.service")
    assert re.search(r"^CapBnd:\t0+$", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)
    greetings, ended = [], threading.Event()

    def knock():
        while not ended.is_set():
            try:
                with socket.create_connection(("127.0.0.1", 25), timeout=60) as client:
                    greetings.append(client.recv(4))
                    client.sendall(b"QUIT\r\n")
                    client.recv(400)
            except OSError as error:
                greetings.append(error)
            time.sleep(0.002)

    with service.machine:
        clients = threading.Thread(target=knock)
        clients.start()
    try:
        for _ in range(3):
            before = len(greetings)
            service.systemctl("restart", "postern.service")
            wait_until(lambda: len(greetings) > before + 5, "more clients")
    finally:
        ended.set()
        clients.join()
    assert set(greetings) == {b"220 "}


def test_a_client_that_comes_after_a_crash_waits_for_the_next_start(service):
    use_the_socket(service)
    service.systemctl("start", "postern.service")
    service.kill()
    service.send("one")
    service.await_delivery("one")


def test_the_socket_comes_back_with_the_service(service):
    use_the_socket(service)
    service.spoil()
    with pytest.raises((OSError, smtplib.SMTPException)):
        service.send("refused")
    wait_until(lambda: service.is_in("failed", "postern.socket"), "the end of the socket")
    service.mend()
    service.systemctl("reset-failed")  # or wait ten seconds
    service.systemctl("start", "postern.service")
    assert service.is_in("active", "postern.socket")
    service.send("one")
    service.await_delivery("one")


def test_a_wrong_configuration_stops_it_and_is_shown(service):
    service.spoil()
    assert service.machine.run("systemctl", "start", "postern.service").returncode != 0
    assert (service.show("ActiveState"), service.show("ExecMainStatus")) == ("failed", "78")
    assert "unknown key `typo`" in service.show("StatusText")
    service.await_journal("unknown key `typo`")
    service.mend()
    service.systemctl("start", "postern.service")
    assert service.show("StatusText") == ""


def test_what_mends_itself_is_tried_again(service):
    """A port that another program has, and a /etc/resolv.conf that is not there yet."""
    service.change("patient", "[Unit]\nStartLimitIntervalSec=0")  # five seconds between starts do not meet the limit, one does
    resolv_conf = service.machine.path("/etc/resolv.conf")
    text = resolv_conf.read_text()
    resolv_conf.unlink()
    try:
        with service.machine:
            other = socket.create_server(("127.0.0.1", 25))
        assert service.machine.run("systemctl", "start", "postern.service").returncode != 0
        assert service.show("StatusText").endswith("Address already in use")
        assert service.show("SubState") == "auto-restart"
        other.close()
        wait_until(lambda: "resolv.conf cannot be read" in service.show("StatusText"), "the next fault")
    finally:
        resolv_conf.write_text(text)
    wait_until(lambda: service.is_in("active"), "its start")
    service.send("one")
    service.await_delivery("one")
