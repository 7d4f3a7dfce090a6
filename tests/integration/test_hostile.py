"""The hostile client, the full disk, the table of descriptors that is full: the gateway says no, keeps what it has, and goes on serving others."""
import os
import resource
import select
import smtplib
import socket
import subprocess

import pytest

from conftest import Gateway, MemoryStore, wait_until

SANITIZED = "POSTERN_SANITIZED" in os.environ


def connect(gateway):
    client = socket.create_connection(("127.0.0.1", gateway.port), timeout=120)
    stream = client.makefile("rwb")
    assert stream.readline().startswith(b"220 ")
    return client, stream


def ask(stream, text):
    stream.write(text)
    stream.flush()
    while True:
        line = stream.readline()
        if line[3:4] != b"-":
            return line


def resident(gateway):
    with open(f"/proc/{gateway.process.process.pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))


def send(gateway, subject, size=10):
    with smtplib.SMTP("127.0.0.1", gateway.port, timeout=120) as client:
        client.sendmail("a@example.org", ["ok@example.com"], f"Subject: {subject}\r\n\r\n" + ("x" * 76 + "\r\n") * (size // 78 + 1))


def served(gateway, store, subject):
    send(gateway, subject)
    wait_until(lambda: store.received.get((subject, "ok@example.com")), "delivery of " + subject)


PROBES = [
    b"<user@example.net>", b"<user%example.net@example.com>", b"<user%example.net@[127.0.0.1]>", b"<example.net!user@example.com>",
    b'<"user@example.net"@example.com>', b'<"user%example.net"@example.com>', b"<@example.com:user@example.net>",
    b"<@example.com,@example.org:user@example.net>", b"<user@[127.0.0.1]>", b"<user@[IPv6:::1]>", b"<user@127.0.0.1>",
    b"<USER@EXAMPLE.NET>", b"<user@example.com.example.net>", b"<user@sub.example.com>", b"<user@example.com.>", b"<user@example.com@example.net>",
    b"<user@example.net@example.com>", b"user@example.net", b"<user@ex\xd0\xb0mple.com>", b"<user@example.com\\@example.net>",
    b"<user@example.com> <user@example.net>", b"<user@example.com>,<user@example.net>", b"<user@example.com\0@example.net>",
    b"< user@example.net>", b"<user@example.net >", b"<user@@example.com>", b"<>", b"<@>", b"<user>", b"<user@>", b"<@example.com>",
]


@pytest.mark.parametrize("smtputf8", [False, True], ids=["ascii", "smtputf8"])
def test_no_probe_for_an_open_relay_gets_through(gateway, smtputf8):
    for probe in PROBES:
        client, stream = connect(gateway)
        with client:
            ask(stream, b"EHLO probe.example.org\r\n")
            ask(stream, b"MAIL FROM:<a@example.org>" + (b" SMTPUTF8" if smtputf8 else b"") + b"\r\n")
            reply = ask(stream, b"RCPT TO:" + probe + b"\r\n")
            assert reply[:3] in (b"500", b"501", b"550", b"553", b"555"), (probe, reply)
            assert ask(stream, b"DATA\r\n")[:3] in (b"503", b"554"), probe


def test_a_client_that_never_reads_costs_nobody_else(gateway, store):
    before = resident(gateway)
    deaf, _ = connect(gateway)
    deaf.settimeout(0.5)
    sent = 0
    try:
        while sent < 64 << 20:
            sent += deaf.send(b"VRFY somebody\r\n" * 4000)
    except OSError:
        pass  # it no longer reads what it cannot answer, or hung up
    served(gateway, store, "beside-the-deaf")
    if not SANITIZED:
        assert resident(gateway) - before < 32 << 20
    deaf.close()
    served(gateway, store, "after-the-deaf")


@pytest.mark.parametrize("junk", [b"x" * (8 << 20), b"\0" * (8 << 20), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 1000, bytes(range(256)) * 8192, b"\r\n" * 100000,
                                  b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(500)],
                         ids=["endless-line", "zeros", "http", "every-octet", "empty-lines", "tls-hello"])
def test_junk_ends_the_session_and_nothing_else(gateway, store, junk):
    client, _ = connect(gateway)
    before = resident(gateway)
    try:
        client.sendall(junk + b"\r\n")
        client.shutdown(socket.SHUT_WR)
        while client.recv(65536):
            pass
    except OSError:
        pass
    client.close()
    if not SANITIZED:
        assert resident(gateway) - before < 8 << 20
    served(gateway, store, "after-junk")


def test_hundreds_of_idle_connections_are_held_while_mail_flows(gateway, store):
    served(gateway, store, "alone")
    before = resident(gateway)
    idle = [connect(gateway) for _ in range(400)]
    for _, stream in idle:
        ask(stream, b"EHLO idle.example.org\r\n")
    if not SANITIZED:
        assert (resident(gateway) - before) / len(idle) < 32 << 10
    served(gateway, store, "among-the-idle")
    for client, stream in idle:
        assert ask(stream, b"QUIT\r\n").startswith(b"221 ")
        client.close()


@pytest.mark.skipif(SANITIZED, reason="the sanitizer itself needs a descriptor to look at an object's type")
def test_without_descriptors_clients_wait_and_the_gateway_recovers(tmp_path, store):
    gateway = Gateway(tmp_path, [f"127.0.0.1:{store.port}"])
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, limit[1]))
    try:
        gateway.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    subprocess.run(["prlimit", "--pid", str(gateway.process.process.pid), "--nofile=100:100"], check=True)
    clients = [socket.create_connection(("127.0.0.1", gateway.port)) for _ in range(150)]  # the kernel takes them, accept() cannot
    gateway.process.await_line("(?i)too many open files")
    ticks = cpu_ticks(gateway)
    lines = gateway.process.text().count("\n")
    greeted = select.select(clients, [], [])[0]
    for client in greeted:  # those that got in are served on
        assert client.recv(100).startswith(b"220 ")
        client.sendall(b"NOOP\r\n")
        assert client.recv(100).startswith(b"250 ")
    assert gateway.process.text().count("\n") - lines < 100 and cpu_ticks(gateway) - ticks < 200  # it does not spin
    for client in clients:
        client.close()
    served(gateway, store, "after-the-crowd")
    assert gateway.stop() == 0


def cpu_ticks(gateway):
    with open(f"/proc/{gateway.process.process.pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


@pytest.fixture
def small_disk(tmp_path):
    mount = tmp_path / "disk"
    mount.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160m", "postern-test", str(mount)], capture_output=True).returncode != 0:
        pytest.skip("cannot mount a file system here")
    yield mount
    subprocess.run(["umount", "-l", str(mount)])


def test_a_full_disk_refuses_for_now_and_loses_nothing(small_disk, tmp_path):
    store = MemoryStore()
    store.close()  # down: what is accepted stays in the queue
    gateway = Gateway(tmp_path, [f"127.0.0.1:{store.port}"])
    gateway.config.write_text(gateway.config.read_text().replace(f"{tmp_path}/queue.db", f"{small_disk}/queue.db"))
    gateway.start()
    accepted = []
    refused = None
    for number in range(200):
        subject = "part-%d" % number
        try:
            send(gateway, subject, 1 << 20)
            accepted.append(subject)
        except smtplib.SMTPResponseException as error:
            refused = error
            break
    assert accepted and refused is not None
    assert refused.smtp_code == 452 and b"4.3.1" in refused.smtp_error
    assert len(gateway.list()) == len(accepted)
    # Somebody else takes the rest: even then it starts, shows its queue, and delivers.
    try:
        with open(small_disk / "rest", "wb", buffering=0) as rest:
            while rest.write(b"\0" * 4096):
                pass
    except OSError:
        pass
    assert gateway.stop() == 0
    back = MemoryStore(store.port)
    gateway.start()
    wait_until(lambda: {subject for subject, _ in back.received} == set(accepted), "delivery of all that was accepted")
    (small_disk / "rest").unlink(missing_ok=True)
    served(gateway, back, "after-the-full-disk")
    wait_until(lambda: gateway.list() == [], "empty queue")
    assert gateway.stop() == 0
    back.close()
