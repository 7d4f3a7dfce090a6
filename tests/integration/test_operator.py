"""What whoever runs the gateway relies on: exit statuses, what a start refuses, reload, systemd's notifications, the log, and the way it ends."""
import fcntl
import glob
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import smtplib
import socket
import stat
import subprocess
import tempfile
import threading

import pytest
from conftest import PATIENCE, POSTERN, MemoryStore, Gateway, Process, ask, free_port, wait_until

ROOT = os.path.join(os.path.dirname(__file__), "../..")
DEAD = "127.0.0.1:1"  # nobody listens there


def run(*arguments, **more):
    return subprocess.run([POSTERN, *arguments], capture_output=True, text=True, timeout=60, **more)


def send(gateway, recipients, subject="x"):
    with smtplib.SMTP("127.0.0.1", gateway.port) as client:
        client.sendmail("a@example.org", recipients, f"Subject: {subject}\r\n\r\nx\r\n")


def write(path, text):
    path.write_text(text)
    return str(path)


GOOD = """
hostname: mx.example.com
domains: { example.com: { backend: near }, "*.example.com": { backend: far }, deep.example.com: { backend: near } }
backends:
  near: { endpoints: ["127.0.0.1:24", "[::1]:24", "unix:/run/lmtp"], balance: failover }
  far: { endpoints: ["far.example.net:2424"] }
"""


# ---- check, route, version


def test_check_says_nothing_of_a_good_file(tmp_path):
    done = run("check", "-c", write(tmp_path / "p.yaml", GOOD))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    environment = {**os.environ, "POSTERN_CONFIG": str(tmp_path / "p.yaml")}
    assert run("check", env=environment).returncode == 0


def test_check_tells_all_that_is_wrong_and_exits_78(tmp_path):
    file = write(tmp_path / "p.yaml", GOOD + "retry: { first: 30 }\nlog: { levle: info }\n")
    done = run("check", "-c", file)
    assert done.returncode == 78 and done.stdout == ""
    assert done.stderr.splitlines() == [
        f"{file}:7:17: `first`: expected a duration from 100ms to 1d, found `30`; did you mean `30s`?",
        f"{file}:8:8: unknown key `levle`; did you mean `level`?"]


def test_check_warns_and_exits_0(tmp_path):
    listeners = 'listeners: [ { address: "127.0.0.1:2525", trusted: ["0.0.0.0/0"] } ]\n'
    done = run("check", "-c", write(tmp_path / "p.yaml", GOOD + listeners))
    assert done.returncode == 0
    assert "warning: " in done.stderr and "an open relay" in done.stderr


@pytest.mark.parametrize("command", [["check"], ["serve"], ["route", "x@example.com"], ["queue", "list"], ["status"]])
def test_a_file_that_cannot_be_read_exits_78(command, tmp_path):
    for file, why in ((tmp_path / "none.yaml", "No such file"), (tmp_path, "Is a directory")):
        done = run(*command, "-c", str(file))
        assert done.returncode == 78 and f"{file}: {why}" in done.stderr


def test_route_explains_rule_backend_and_order(tmp_path):
    file = write(tmp_path / "p.yaml", GOOD)
    for address, rule, backend, endpoints in (
            ("x@example.com", "example.com", "near", ["127.0.0.1:24", "[::1]:24", "unix:/run/lmtp"]),
            ("x@a.b.EXAMPLE.com", "*.example.com", "far", ["far.example.net:2424"]),
            ("x@deep.example.com", "deep.example.com", "near", ["127.0.0.1:24", "[::1]:24", "unix:/run/lmtp"])):
        done = run("route", "-c", file, "--json", address)
        assert done.returncode == 0
        told = json.loads(done.stdout)
        assert (told["rule"], told["backend"], told["endpoints"]) == (rule, backend, endpoints)
        text = run("route", "-c", file, address).stdout
        assert all(word in text for word in [rule, backend, *endpoints])


def test_route_exit_statuses(tmp_path):
    file = write(tmp_path / "p.yaml", GOOD)
    foreign = run("route", "-c", file, "x@example.org")
    assert foreign.returncode == 1 and "550 5.7.1" in foreign.stderr
    hostile = run("route", "-c", file, "x\x1b[2J@example.com")
    assert hostile.returncode == 65 and "\x1b" not in hostile.stderr
    assert run("route", "-c", file).returncode == 64
    assert run("route", "-c", file, "x@example.com", "--nonsense").returncode == 64
    assert run("route", "-c", write(tmp_path / "bad.yaml", "x: 1\n"), "x@example.com").returncode == 78


def test_version_names_the_libraries():
    done = run("version")
    assert done.returncode == 0 and re.match(r"postern \d+\.\d+\.\d+ \(revision \w+\)\n", done.stdout)
    told = json.loads(run("version", "--json").stdout)
    assert told["libraries"]["sqlite"].startswith("3.") and told["libraries"]["openssl"].startswith("3.")


# ---- starting


def serve(tmp_path, text):
    return run("serve", "-c", write(tmp_path / "serve.yaml", text))


def least(queue, port=0, more=""):
    return f"""
hostname: mx.example.com
listeners: [ {{ address: "127.0.0.1:{port}" }} ]
queue: {{ path: {queue}, minimum_free_disk: 0 }}
domains: {{ example.com: }}
backends: {{ s: {{ endpoints: ["{DEAD}"] }} }}
{more}
"""


def test_a_queue_folder_that_cannot_be_used_stops_the_start(tmp_path):
    for folder in (tmp_path / "none", "/proc"):
        done = serve(tmp_path, least(f"{folder}/queue.db", more=f"control: {{ socket: {tmp_path}/c.sock }}"))
        assert done.returncode == 74, done.stderr
        assert str(folder) in done.stderr


def test_a_queue_that_is_none_is_left_alone(tmp_path):
    queue = tmp_path / "queue.db"
    queue.write_text("This is a letter, not a database.\n" * 100)
    done = serve(tmp_path, least(queue))
    assert done.returncode == 74 and str(queue) in done.stderr
    assert queue.read_text().startswith("This is a letter")
    queue.unlink()
    queue.symlink_to("/dev/null")
    assert serve(tmp_path, least(queue)).returncode == 78


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes its user")
def test_folders_that_are_missing_become_the_users():
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        base = pathlib.Path(name)
        base.chmod(0o755)
        (base / "roots").mkdir(mode=0o755)
        file = write(base / "p.yaml", least(f"{base}/roots/spool/mail/queue.db", port=free_port(),
                                            more=f"user: nobody\ncontrol: {{ socket: {base}/run/postern/control.sock }}"))
        for _ in range(2):  # the second time all of it is there
            process = Process([POSTERN, "serve", "-c", file], base / "log")
            process.await_line(" ready ")
            assert run("queue", "list", "-c", file).returncode == 0
            assert process.stop() == 0
            for made in ("roots/spool", "roots/spool/mail", "run", "run/postern", "roots/spool/mail/queue.db"):
                found = (base / made).stat()
                assert found.st_uid == pwd.getpwnam("nobody").pw_uid, made
                assert stat.S_IMODE(found.st_mode) == (0o600 if made.endswith(".db") else 0o750), made
            assert (base / "roots").stat().st_uid == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes its user")
def test_a_link_in_a_folders_place_gives_nothing_away():
    """Who may write in a folder on the way points elsewhere: root makes nothing there, and nothing there becomes the user's."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        base = pathlib.Path(name)
        base.chmod(0o755)
        (base / "roots").mkdir(mode=0o755)
        (base / "home").mkdir(mode=0o755)
        shutil.chown(base / "home", "nobody")
        for target in ("roots", "nothing"):
            (base / "home/spool").symlink_to(base / target)
            for folder in ("spool", "spool/mail"):
                done = serve(base, least(f"{base}/home/{folder}/queue.db", more=f"user: nobody\ncontrol: {{ socket: {base}/c.sock }}"))
                assert done.returncode in (74, 78) and str(base) in done.stderr, (target, folder, done.stderr)
            assert (base / "roots").stat().st_uid == 0 and list((base / "roots").iterdir()) == []
            assert not (base / "nothing").exists()
            (base / "home/spool").unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes its user")
def test_a_user_that_does_not_exist_stops_the_start(tmp_path):
    done = serve(tmp_path, least(tmp_path / "queue.db", more="user: nobody-of-that-name"))
    assert done.returncode == 78 and "`nobody-of-that-name` does not exist" in done.stderr
    assert not (tmp_path / "queue.db").exists()


def test_files_are_private(gateway, tmp_path):
    send(gateway, ["full-a@example.com"])
    wait_until((tmp_path / "queue.db-history").exists, "the history is written behind")
    modes = {}
    for path in tmp_path.glob("queue.db*"):
        try:
            modes[path.name] = stat.S_IMODE(path.stat().st_mode)
        except FileNotFoundError:
            pass  # SQLite's journal of the new history file, gone again
    assert {"queue.db", "queue.db-wal", "queue.db-lock", "queue.db-history"} <= set(modes)
    assert set(modes.values()) == {0o600}, modes
    assert stat.S_IMODE((tmp_path / "control.sock").stat().st_mode) == 0o660


def test_the_same_gateway_twice_exits_75_and_takes_no_client_from_the_first(gateway):
    for _ in range(5):
        second = run("serve", "-c", str(gateway.config))
        assert second.returncode == 75
        assert f"in use by process {gateway.process.process.pid}" in second.stderr
        with smtplib.SMTP("127.0.0.1", gateway.port) as client:
            assert client.noop()[0] == 250
    assert gateway.run("status").returncode == 0  # its control socket is still its own


def test_another_gateway_on_the_same_port_exits_69(gateway, tmp_path):
    done = serve(tmp_path, least(tmp_path / "other.db", port=gateway.port, more=f"control: {{ socket: {tmp_path}/o.sock }}"))
    assert done.returncode == 69
    assert f"127.0.0.1:{gateway.port}: cannot listen: Address already in use" in done.stderr


def test_starts_and_accepts_while_the_store_is_down(tmp_path):
    port = free_port()
    gateway = Gateway(tmp_path, [f"127.0.0.1:{port}"])
    gateway.start()
    send(gateway, ["a@example.com"], "early")
    gateway.process.await_line(" endpoint_down ")
    store = MemoryStore(port)
    wait_until(lambda: ("early", "a@example.com") in store.received, "delivery")
    gateway.process.await_line(" endpoint_up ")
    assert gateway.stop() == 0
    store.close()


def test_warnings_of_the_configuration_are_logged(tmp_path):
    gateway = Gateway(tmp_path, [DEAD], extra="")
    gateway.config.write_text(gateway.config.read_text().replace("\ndomains:", "\ndomains:\n  '*.com': { backend: stores }"))
    gateway.start()
    assert re.search(r" warn config_warning warning=.*top-level domain", gateway.process.text())
    assert gateway.stop() == 0


# ---- reload


def change(gateway, old, new):
    text = gateway.config.read_text()
    assert old in text
    gateway.config.write_text(text.replace(old, new, 1))


def greeting(gateway):
    with socket.create_connection(("127.0.0.1", gateway.port)) as client:
        return client.recv(200).decode()


def test_reload_says_each_time_what_waits_for_the_next_start(gateway):
    other = free_port()
    change(gateway, f"127.0.0.1:{gateway.port}", f"127.0.0.1:{other}")
    change(gateway, "mx.example.com", "mx7.example.com")
    for _ in range(2):
        done = gateway.run("reload")
        assert done.returncode == 0
        assert "`listeners` changes with the next start" in done.stdout
    gateway.process.process.send_signal(signal.SIGHUP)
    gateway.process.await_line(" reloaded actor=signal ")
    assert len(re.findall(" needs_restart key=listeners", gateway.process.text())) == 3
    assert greeting(gateway).startswith("220 mx7.example.com ")  # the old listener, with the new name


def test_reload_follows_a_listener_whatever_its_place(tmp_path, store):
    gateway = Gateway(tmp_path, [f"127.0.0.1:{store.port}"])
    second = free_port()
    both = f'listeners:\n  - address: "127.0.0.1:{gateway.port}"\n'
    change(gateway, both, both + f'  - address: "127.0.0.1:{second}"\n')
    gateway.start()
    change(gateway, f'listeners:\n  - address: "127.0.0.1:{gateway.port}"\n  - address: "127.0.0.1:{second}"\n',
           f'listeners:\n  - {{ address: "127.0.0.1:{second}", bare_newline: reject }}\n  - address: "127.0.0.1:{gateway.port}"\n')
    done = gateway.run("reload")
    assert done.returncode == 0 and "next start" not in done.stdout
    answers = {}
    for port in (gateway.port, second):
        with smtplib.SMTP("127.0.0.1", port) as client:
            client.ehlo("x")
            client.mail("a@example.org")
            client.rcpt("a@example.com")
            client.docmd("DATA")
            client.send(b"Subject: x\r\n\r\na\nb\r\n.\r\n")
            answers[port] = client.getreply()[0]
    assert answers == {gateway.port: 250, second: 550} or answers == {gateway.port: 250, second: 554}, answers
    assert gateway.stop() == 0


def test_reload_of_a_bad_file_keeps_the_old_one(gateway, store):
    good = gateway.config.read_text()
    gateway.config.write_text("domains: [\n")
    gateway.process.process.send_signal(signal.SIGHUP)
    gateway.process.await_line(r" error reload_failed actor=signal problem=.*not YAML")
    send(gateway, ["a@example.com"], "still")
    wait_until(lambda: ("still", "a@example.com") in store.received, "delivery")
    gateway.config.unlink()
    gateway.process.process.send_signal(signal.SIGHUP)
    gateway.process.await_line(r" reload_failed .*No such file")
    gateway.config.write_text(good)
    assert gateway.run("reload").returncode == 0


# ---- systemd


class Notified:
    """The other end of sd_notify."""

    def __init__(self, path):
        self.path = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(60)

    def next(self):
        return self.socket.recv(4096).decode().splitlines()


def test_systemd_hears_of_every_step(tmp_path, monkeypatch):
    notified = Notified(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", notified.path)
    gateway = Gateway(tmp_path, [DEAD])
    gateway.start()
    assert notified.next() == ["READY=1"]
    with socket.create_connection(("127.0.0.1", gateway.port)) as client:  # ready means that the listeners are open
        assert client.recv(4) == b"220 "
    for how in ("signal", "command"):
        if how == "signal":
            gateway.process.process.send_signal(signal.SIGHUP)
        else:
            assert gateway.run("reload").returncode == 0
        reloading = notified.next()
        assert reloading[0] == "RELOADING=1" and re.match(r"MONOTONIC_USEC=\d+$", reloading[1])
        assert notified.next() == ["READY=1"]
    gateway.config.write_text("no: 1\n")
    gateway.process.process.send_signal(signal.SIGHUP)
    assert notified.next()[0] == "RELOADING=1"
    assert notified.next() == ["READY=1"]  # with the old configuration
    gateway.process.process.send_signal(signal.SIGTERM)
    assert notified.next() == ["STOPPING=1"]
    assert gateway.process.process.wait(60) == 0


def test_systemd_hears_why_it_does_not_start(tmp_path, monkeypatch):
    notified = Notified(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", notified.path)
    gateway = Gateway(tmp_path, [DEAD])
    with socket.create_server(("127.0.0.1", gateway.port)):
        done = gateway.run("serve")
    assert done.returncode == 69
    assert notified.next() == [f"STATUS=127.0.0.1:{gateway.port}: cannot listen: Address already in use"]
    gateway.config.write_text("hostnam: x\nno: 1\n")
    done = gateway.run("serve")
    assert done.returncode == 78
    assert notified.next() == ["STATUS=" + done.stderr.splitlines()[0]]


# ---- the log


class RudeStore(MemoryStore):
    """Its refusals hold what a terminal would act on, and what would end a log line."""

    def take(self, content, recipients, say):
        for _ in recipients:
            say('450 4.2.0 "quoted" \x1b[2J\x07\x7f\\ id=forged event=accepted \xe2\x80\xae')


@pytest.mark.parametrize("form", ["logfmt", "json"])
def test_a_strangers_text_never_reaches_the_log_raw(tmp_path, form):
    store = RudeStore()
    gateway = Gateway(tmp_path, [f"127.0.0.1:{store.port}"], extra=f"log: {{ format: {form}, level: debug }}")
    gateway.process = Process([POSTERN, "serve", "-c", str(gateway.config)], tmp_path / "gateway.log")
    gateway.process.await_line("ready")
    with socket.create_connection(("127.0.0.1", gateway.port)) as client:
        assert client.recv(4096).startswith(b"220 ")
        client.sendall(b"EHLO x\r\n")
        assert client.recv(4096).startswith(b"250-")
        client.sendall(b"HELO \x1b[2J\r\n\x1b]0;title\x07\r\nMAIL FROM:<a\x1b@example.org>\r\nQUIT\r\n")
        while client.recv(4096):
            pass
    send(gateway, ["a@example.com"])
    gateway.process.await_line("deferred")
    shown = gateway.run("queue", "list").stdout + gateway.run("history").stdout + gateway.run("history", "--json").stdout
    assert gateway.stop() == 0
    store.close()
    for octets in (open(tmp_path / "gateway.log", "rb").read(), shown.encode()):
        assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", octets)
        assert b"\xe2\x80\xae" not in octets  # turns the direction of what follows
    lines = open(tmp_path / "gateway.log").read().splitlines()
    if form == "json":
        events = [json.loads(line) for line in lines]
        assert all({"time", "level", "event"} <= set(event) for event in events)
        assert [event["event"] for event in events if event.get("id") == "forged"] == []
        assert {"ready", "accepted", "deferred", "stopping", "stopped"} <= {event["event"] for event in events}
    else:
        for line in lines:
            assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (debug|info|warn|error) [a-z_]+( [a-z_]+=(\"(\\.|[^\"\\])*\"|[^\" ]+))*$", line), line


def test_a_message_refused_after_its_content_is_in_the_log(gateway):
    with smtplib.SMTP("127.0.0.1", gateway.port) as client:
        with pytest.raises(smtplib.SMTPDataError):
            client.sendmail("a@example.org", ["a@example.com"], "Received: from a by b; x\r\n" * 51 + "\r\nx\r\n")
    gateway.process.await_line(r' info refused session=\S+ client=127.0.0.1 helo=\S+ from=a@example.org to=a@example.com reply="554 5.4.6 ')


def test_a_refusal_in_the_log_says_of_which_mail(gateway):
    with smtplib.SMTP("127.0.0.1", gateway.port) as client:
        client.ehlo("client.example.org")
        client.mail("a@example.org")
        assert client.rcpt("ok@example.com")[0] == 250
        assert client.rcpt("somebody@elsewhere.example")[0] == 550
        gateway.process.await_line(r' info refused session=\S+ client=127.0.0.1 helo=client.example.org from=a@example.org to=somebody@elsewhere.example reply="550 5.7.1 ')


def test_a_log_that_nobody_reads_stops_neither_mail_nor_the_end(tmp_path, store):
    gateway = Gateway(tmp_path, [f"127.0.0.1:{store.port}"])
    gateway.config.write_text(gateway.config.read_text().replace("limits: {", "limits: { errors_per_session: 100000,"))
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    process = subprocess.Popen([POSTERN, "serve", "-c", str(gateway.config)], stdout=subprocess.DEVNULL, stderr=writing)
    os.close(writing)
    try:
        log = b""
        while b" ready " not in log:
            log += os.read(reading, 4096)
            assert process.poll() is None, log
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE) as client, client.makefile("rwb") as stream:
            stream.readline()
            ask(stream, b"EHLO client.example.org\r\n")
            ask(stream, b"MAIL FROM:<a@example.org>\r\n")
            for _ in range(100):  # more lines than wait for a reader
                stream.write(b"RCPT TO:<x@elsewhere.example>\r\n" * 100)
                stream.flush()
                for _ in range(100):
                    assert stream.readline().startswith(b"550 ")
        send(gateway, ["ok@example.com"], "unlogged")
        wait_until(lambda: store.received.get(("unlogged", "ok@example.com")), "the delivery")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
        os.close(reading)


def test_every_event_of_the_log_is_in_the_readme():
    events = set()
    for file in glob.glob(os.path.join(ROOT, "gateway", "**", "*.cpp"), recursive=True):
        text = open(file).read()
        events |= set(re.findall(r"(?:log_?\.|log->|parts_->log\.)(?:debug|info|warn|error)\(\s*\"([a-z_]+)\"", text))
        events |= set(re.findall(r"log_?\.write\([^;\"{]*\"([a-z_]+)\"", text))
        events |= set(re.findall(r"settle\([^;\"]*\"([a-z_]+)\"", text))
    assert {"ready", "accepted", "delivered", "endpoint_down", "queue_closed", "disconnected"} <= events
    readme = open(os.path.join(ROOT, "README.md")).read()
    assert [event for event in sorted(events) if f"`{event}`" not in readme] == []


# ---- the end


class PatientStore(MemoryStore):
    """Answers the end of the data only when it is told to."""

    def __init__(self):
        self.asked = threading.Event()
        self.may_answer = threading.Event()
        super().__init__()

    def take(self, content, recipients, say):
        self.asked.set()
        self.may_answer.wait(120)
        super().take(content, recipients, say)


def test_term_lets_a_delivery_in_flight_finish(tmp_path):
    store = PatientStore()
    gateway = Gateway(tmp_path, [f"127.0.0.1:{store.port}"], extra="shutdown_grace: 100s")
    gateway.start()
    send(gateway, ["a@example.com"], "last")
    assert store.asked.wait(60)
    gateway.process.process.send_signal(signal.SIGTERM)
    gateway.process.await_line(" stopping")
    store.may_answer.set()
    assert gateway.process.process.wait(60) == 0
    assert " delivered " in gateway.process.text() and " stopped" in gateway.process.text()
    assert gateway.list() == []
    store.close()


def test_term_gives_up_after_the_grace_and_keeps_the_mail(tmp_path):
    store = PatientStore()
    gateway = Gateway(tmp_path, [f"127.0.0.1:{store.port}"], extra="shutdown_grace: 200ms")
    gateway.start()
    send(gateway, ["a@example.com"], "again")
    assert store.asked.wait(60)
    with socket.create_connection(("127.0.0.1", gateway.port)) as idle:
        idle.recv(200)
        assert gateway.stop() == 0
    assert list(gateway.states()) == ["a@example.com"]
    store.may_answer.set()
    gateway.start()
    wait_until(lambda: gateway.list() == [], "delivery after the start")
    assert gateway.stop() == 0
    store.close()


def test_int_ends_as_term_does(tmp_path):
    gateway = Gateway(tmp_path, [DEAD])
    gateway.start()
    assert gateway.stop(signal.SIGINT) == 0
    assert " stopped" in gateway.process.text()
    assert not (tmp_path / "control.sock").exists()
