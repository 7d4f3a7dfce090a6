"""The metrics listener: what it tells, when it says that mail is accepted, and strangers who send it anything."""
import contextlib
import http.client
import json
import math
import os
import re
import shutil
import signal
import smtplib
import socket
import sqlite3
import subprocess

import pytest

from conftest import POSTERN, Gateway, MemoryStore, free_port, wait_until
from test_confinement import needs_root, place  # noqa: F401 (a fixture)
from test_tls import any_context, make_certificate

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = rf'{NAME}="(?:[^"\\\n]|\\[\\"n])*"'
SAMPLE = re.compile(rf"({NAME})(\{{{LABEL}(?:,{LABEL})*\}})? (\S+)")


def parsed(text):
    """Sample (name with labels) -> value. Whatever is not of the format fails."""
    samples, types, helped = {}, {}, set()
    assert text.endswith("\n")
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            name = line.split(" ")[2]
            assert name not in helped and len(line.split(" ", 3)) == 4, line
            helped.add(name)
            continue
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert kind in ("counter", "gauge") and name in helped and name not in types, line
            types[name] = kind
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        name, labels, value = match.groups()
        assert name == list(types)[-1], f"outside of its family: {line}"
        assert name.startswith(("postern_", "process_")) and (types[name] == "counter") == name.endswith("_total"), line
        assert name + (labels or "") not in samples, f"twice: {line}"
        assert math.isfinite(float(value)), line
        samples[name + (labels or "")] = float(value)
    return samples


def ask(port, path, method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request(method, path)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response, text


def scrape(gateway):
    response, text = ask(gateway.http, "/metrics")
    assert response.status == 200 and response.getheader("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
    return parsed(text)


def ready(gateway):
    response, text = ask(gateway.http, "/readyz")
    assert response.status in (200, 503) and text.count("\n") == 1
    return None if response.status == 200 else text.strip()


def raw(port, octets):
    """All that it answers, until it hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=120) as client:
        answer = b""
        with contextlib.suppress(ConnectionError):
            client.sendall(octets)
        with contextlib.suppress(ConnectionError):
            while part := client.recv(65536):
                answer += part
        return answer


def send(gateway, recipients, subject="x", **tls):
    with smtplib.SMTP("127.0.0.1", gateway.port) as client:
        if tls:
            client.starttls(**tls)
        client.sendmail("a@example.org", recipients, f"Subject: {subject}\r\n\r\nx\r\n")


def watched_gateway(folder, endpoints, **more):
    port = free_port()
    made = Gateway(folder, endpoints, extra=f'control: {{ http: "127.0.0.1:{port}" }}', **more)
    made.http = port
    return made


@pytest.fixture
def watched(tmp_path, store):
    made = watched_gateway(tmp_path, [f"127.0.0.1:{store.port}"])
    made.start()
    yield made
    if made.process.process.poll() is None:
        assert made.stop() == 0


# ---- what it tells


def test_numbers_follow_the_mail(tmp_path, store):
    certificate, key = make_certificate(tmp_path, "mx.example.com")
    # Named twice, as happens; and in a file with a name that must be escaped.
    odd = tmp_path / 'odd "na\\me".pem'
    shutil.copy(certificate, odd)
    pair = f"{{ certificate: '{odd}', key: {key} }}"
    gateway = watched_gateway(tmp_path, [f"127.0.0.1:{store.port}"],
                              listener=f"tls: {{ certificate: '{odd}', key: {key}, additional: [{pair}] }}")
    gateway.start()
    before = scrape(gateway)
    endpoint = f'{{backend="stores",endpoint="127.0.0.1:{store.port}"'
    listener = f'listener="127.0.0.1:{gateway.port}"'
    send(gateway, ["ok@example.com", "full-a@example.com", "gone-b@example.com"], context=any_context())
    wait_until(lambda: gateway.states() == {"ok@example.com": "delivered", "full-a@example.com": "waiting", "gone-b@example.com": "parked"}, "states")
    after = scrape(gateway)
    assert set(before) <= set(after)
    assert all(after[name] >= before[name] for name in before if "_total" in name)
    version = json.loads(gateway.run("version", "--json").stdout)
    assert after[f'postern_build_info{{version="{version["version"]}",revision="{version["revision"]}"}}'] == 1
    grown = {name: after[name] - before[name] for name in before}
    assert grown["postern_messages_accepted_total"] == 1
    assert grown["postern_smtp_connections_total"] == 1
    assert grown['postern_tls_handshakes_total{result="full"}'] == 1
    assert grown['postern_recipient_results_total{result="delivered"}'] == 1
    assert grown['postern_recipient_results_total{result="failed"}'] == 1
    assert grown['postern_recipient_results_total{result="deferred"}'] >= 1
    assert grown["postern_queue_commits_total"] >= 2 and grown["postern_queue_flushes_total"] >= 2
    assert grown["postern_queue_stored_messages_total"] == 1 and grown["postern_queue_recorded_results_total"] >= 3
    assert grown["process_cpu_seconds_total"] > 0
    assert after["postern_queue_messages"] == 1 and after["postern_queue_oldest_message_seconds"] >= 0
    states = {state: after[f'postern_queue_recipients{{state="{state}"}}'] for state in ("ready", "waiting", "unknown", "held", "parked")}
    assert states["parked"] == 1 and states["waiting"] + states["ready"] == 1 and states["held"] == states["unknown"] == 0
    assert after['postern_backend_backlog_recipients{backend="stores"}'] == 1
    assert after["postern_endpoint_circuit" + endpoint + ',state="closed"}'] == 1
    assert after["postern_endpoint_allowed" + endpoint + "}"] >= 1
    # As printable() has it, and then as a label.
    file = str(odd).replace("\\", "\\" * 4).replace('"', '\\"')
    assert after[f'postern_certificate_days_left{{{listener},file="{file}"}}'] > 0
    assert after[f'postern_certificate_not_after_seconds{{{listener},file="{file}"}}'] > after["postern_start_time_seconds"]
    assert after["postern_queue_healthy"] == after["postern_ready"] == 1
    assert after["postern_queue_log_bytes"] > 0
    assert after["postern_queue_disk_free_bytes"] > after["postern_queue_disk_minimum_free_bytes"] == 1 << 20
    assert after["process_resident_memory_bytes"] > 1 << 20 and after["process_threads"] > 5
    assert 5 < after["process_open_fds"] <= after["process_max_fds"]
    assert abs(after["process_start_time_seconds"] - os.stat(f"/proc/{gateway.process.process.pid}").st_ctime) < 3600
    status = json.loads(gateway.run("status", "--json").stdout)
    assert status["queue"]["messages"] == after["postern_queue_messages"]
    assert gateway.stop() == 0


def test_backends_tell_what_an_operator_or_a_fault_has_done(watched, store):
    endpoint = f'{{backend="stores",endpoint="127.0.0.1:{store.port}"'
    assert watched.run("backend", "pause", "stores").returncode == 0
    send(watched, ["ok@example.com"])
    samples = wait_until(lambda: (told := scrape(watched))['postern_backend_backlog_recipients{backend="stores"}'] == 1 and told, "a backlog")
    assert samples['postern_backend_paused{backend="stores"}'] == 1 and samples['postern_backend_down{backend="stores"}'] == 0
    store.close()
    assert watched.run("backend", "resume", "stores").returncode == 0
    watched.process.await_line(" endpoint_down ")
    samples = wait_until(lambda: (told := scrape(watched))['postern_backend_down{backend="stores"}'] == 1 and told, "down")
    assert samples['postern_backend_paused{backend="stores"}'] == 0
    assert samples["postern_endpoint_circuit" + endpoint + ',state="closed"}'] == 0
    assert sum(samples["postern_endpoint_circuit" + endpoint + f',state="{state}"}}'] for state in ("closed", "open", "probing")) == 1
    again = MemoryStore(store.port)
    wait_until(lambda: scrape(watched)["postern_queue_messages"] == 0, "delivery after the return")
    samples = scrape(watched)
    assert samples["postern_queue_oldest_message_seconds"] == 0
    assert samples['postern_recipient_results_total{result="delivered"}'] == 1
    again.close()


def test_every_metric_is_in_the_readme(watched):
    readme = open(os.path.join(os.path.dirname(__file__), "../../README.md")).read()
    text = ask(watched.http, "/metrics")[1]
    names = set(re.findall(r"^# TYPE postern_(\S+)", text, re.M))
    assert len(names) > 30 and [name for name in sorted(names) if f"`{name}`" not in readme] == []


def test_three_paths_and_no_more(watched):
    for path, status, text in (("/", 200, "/metrics"), ("/healthz", 200, "alive\n"), ("/readyz", 200, "ready"), ("/metrics?x=y", 200, "postern_"),
                               ("/v1/status", 404, "/healthz"), ("/metrics/x", 404, "/metrics"), ("/favicon.ico", 404, "/readyz")):
        response, said = ask(watched.http, path)
        assert response.status == status and text in said, path
        head, nothing = ask(watched.http, path, "HEAD")
        assert head.status == status and nothing == ""
        if not path.startswith("/metrics?"):
            assert head.getheader("Content-Length") == response.getheader("Content-Length") == str(len(said))
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        response, said = ask(watched.http, "/metrics", method)
        assert (response.status, response.getheader("Allow")) == (405, "GET, HEAD") and "GET" in said
    # The operator's verbs are not here.
    for path in ("/v1/reload", "/v1/recipients:remove", "/v1/backends:pause"):
        assert raw(watched.http, f"POST {path} HTTP/1.1\r\nContent-Length: 2\r\n\r\n{{}}".encode()).startswith(b"HTTP/1.1 405 ")


# ---- whether mail is accepted


def test_not_ready_while_the_queue_is_full(tmp_path, store):
    store.close()
    gateway = watched_gateway(tmp_path, [f"127.0.0.1:{store.port}"])
    good = gateway.config.read_text()
    gateway.config.write_text(good.replace("minimum_free_disk: 1MiB", "minimum_free_disk: 1MiB, maximum_messages: 2"))
    gateway.start()
    send(gateway, ["a@example.com"])
    assert ready(gateway) is None
    send(gateway, ["b@example.com"])
    assert ready(gateway) == "as many messages are queued as may be (queue.maximum_messages: 2)"
    samples = scrape(gateway)
    assert samples["postern_ready"] == 0 and samples["postern_queue_healthy"] == 1 and samples["postern_queue_messages_maximum"] == 2
    with pytest.raises(smtplib.SMTPResponseException) as refused:  # it is as it says
        send(gateway, ["c@example.com"])
    assert refused.value.smtp_code == 452
    gateway.config.write_text(good.replace("minimum_free_disk: 1MiB", "minimum_free_disk: 1000TiB"))
    assert gateway.run("reload").returncode == 0
    assert ready(gateway).startswith("less than queue.minimum_free_disk (1099511627776000 bytes) is free")
    gateway.config.write_text(good)
    assert gateway.run("reload").returncode == 0
    assert ready(gateway) is None and ask(gateway.http, "/healthz")[0].status == 200
    assert gateway.stop() == 0


def test_not_ready_while_the_queue_is_closed(watched, store):
    store.close()
    send(watched, ["a@example.com"])
    assert watched.stop() == 0
    # The tree of the messages is damaged, which is found when they are looked at.
    file = watched.folder / "queue.db"
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        page = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'message'").fetchone()[0]
        octets = connection.execute("PRAGMA page_size").fetchone()[0]
    connection.close()
    with open(file, "r+b") as queue:
        queue.seek((page - 1) * octets)
        queue.write(b"\xff" * octets)
    watched.start()
    watched.process.await_line(" queue_closed .*the check of the queue file found")
    assert wait_until(lambda: ready(watched), "a reason").startswith("the queue takes nothing in: ")
    with pytest.raises(smtplib.SMTPResponseException) as refused:  # it is as it says
        send(watched, ["b@example.com"])
    assert refused.value.smtp_code == 451
    samples = scrape(watched)
    assert samples["postern_ready"] == samples["postern_queue_healthy"] == 0
    assert ask(watched.http, "/healthz")[0].status == 200


def test_not_ready_while_it_stops(watched):
    client = smtplib.SMTP("127.0.0.1", watched.port)
    client.ehlo("x")
    client.mail("a@example.org")
    client.rcpt("a@example.com")
    assert client.docmd("DATA")[0] == 354
    watched.process.process.send_signal(signal.SIGTERM)
    watched.process.await_line(" stopping")
    assert wait_until(lambda: ready(watched), "a reason") == "the gateway is stopping"
    assert ask(watched.http, "/healthz")[0].status == 200
    client.send(b"Subject: x\r\n\r\nx\r\n.\r\n")
    assert client.getreply()[0] == 250
    client.close()
    assert watched.process.process.wait(120) == 0
    with pytest.raises(ConnectionRefusedError):
        ask(watched.http, "/healthz")


# ---- strangers


def test_junk_is_answered_and_forgotten(watched):
    for junk, status in ((b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", b"400"), (b"EHLO mx.example.org\r\n", b"400"),
                         (b"GET /metrics HTTP/9.9\r\n\r\n", b"400"), (b"GET /metrics HTTP/1.1\r\nno colon\r\n\r\n", b"400"),
                         (b"GET /metrics HTTP/1.1\r\nX: " + b"a" * 20000 + b"\r\n\r\n", b"431"),
                         (b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n\r\n", b"431"),
                         (b"POST /metrics HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b"413"),
                         (b"GET /metrics HTTP/1.1\r\nContent-Length: 1000\r\n\r\nonly this", b"200")):
        assert raw(watched.http, junk).startswith(b"HTTP/1.1 " + status), junk[:60]
    raw(watched.http, b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * (1 << 20))  # ends, whatever he hears
    assert scrape(watched)["postern_ready"] == 1
    assert " problem " not in watched.process.text()


def test_who_is_slow_is_told_so_and_cut_off(watched):
    with socket.create_connection(("127.0.0.1", watched.http), timeout=120) as client:
        client.sendall(b"GET /metr")
        assert client.recv(4096).startswith(b"HTTP/1.1 408 ")
        while client.recv(4096):
            pass
    assert scrape(watched)["postern_ready"] == 1


def test_more_connections_than_there_are_places_keep_nobody_out(watched, store):
    before = scrape(watched)["process_threads"]
    silent = [socket.create_connection(("127.0.0.1", watched.http), timeout=120) for _ in range(200)]
    for client in silent[::2]:
        with contextlib.suppress(ConnectionError):
            client.sendall(b"GET /metrics HTTP/1.1\r\n")
    samples = scrape(watched)
    assert samples["process_threads"] <= before + 16
    send(watched, ["ok@example.com"], "meanwhile")
    wait_until(lambda: store.received.get(("meanwhile", "ok@example.com")), "delivery")
    for client in silent[:180]:  # who came first has gone for who came later
        with contextlib.suppress(ConnectionError):
            while client.recv(4096):
                pass
    for client in silent:
        client.close()
    assert scrape(watched)["postern_ready"] == 1
    assert " problem " not in watched.process.text()


# ---- whoever configures it


def test_an_address_beyond_this_machine_is_warned_of(tmp_path):
    gateway = Gateway(tmp_path, ["127.0.0.1:1"], extra='control: { http: "0.0.0.0:8025" }')
    done = gateway.run("check")
    assert done.returncode == 0 and "warning: " in done.stderr and "`0.0.0.0:8025` is no loopback address" in done.stderr
    gateway.config.write_text(gateway.config.read_text().replace("0.0.0.0:8025", "localhost:8025"))
    done = gateway.run("check")
    assert done.returncode == 78 and "`http`: expected IP:PORT" in done.stderr


def test_an_address_that_is_taken_stops_the_start(tmp_path):
    gateway = watched_gateway(tmp_path, ["127.0.0.1:1"])
    with socket.socket() as other:
        other.bind(("127.0.0.1", gateway.http))
        other.listen(1)
        done = subprocess.run([POSTERN, "serve", "-c", str(gateway.config)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 69 and f"control.http: 127.0.0.1:{gateway.http}: cannot listen: Address already in use" in done.stderr


def test_a_reload_keeps_the_address_and_says_so(watched):
    good = watched.config.read_text()
    for other in (f'"127.0.0.1:{free_port()}"', None):
        mine = f'control: {{ http: "127.0.0.1:{watched.http}" }}'
        watched.config.write_text(good.replace(mine, f"control: {{ http: {other} }}" if other else ""))
        done = watched.run("reload")
        assert done.returncode == 0 and "`control.http` changes with the next start" in done.stdout
        assert scrape(watched)["postern_ready"] == 1
    watched.config.write_text(good)
    assert "next start" not in watched.run("reload").stdout


@needs_root
def test_it_works_in_the_sandbox_and_on_a_port_of_root(place, store):
    gateway = watched_gateway(place, [f"127.0.0.1:{store.port}"])
    for port in range(1023, 600, -1):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            break
    text = gateway.config.read_text().replace(f"127.0.0.1:{gateway.http}", f"127.0.0.1:{port}")
    gateway.config.write_text("user: nobody\n" + text.replace(f"path: {place}/queue.db", f"path: {place}/home/queue.db"))
    gateway.http = port
    gateway.start()
    send(gateway, ["ok@example.com"], "one")
    wait_until(lambda: store.received.get(("one", "ok@example.com")), "delivery")
    samples = scrape(gateway)
    assert samples["postern_messages_accepted_total"] == 1 and samples['postern_queue_recipients{state="ready"}'] >= 0
    assert samples["process_open_fds"] > 5 and samples["process_threads"] > 5 and samples["process_resident_memory_bytes"] > 1 << 20
    assert ready(gateway) is None
    assert " sandbox " not in gateway.process.text() and gateway.stop() == 0
