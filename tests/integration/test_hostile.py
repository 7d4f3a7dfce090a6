"""The hostile client, the full disk, the table of descriptors that is full: the gateway says no, keeps what it has, and goes on serving others."""
import os
import resource
import select
import shutil
import smtplib
import socket
import subprocess

import pytest

from conftest import Gateway, MemoryStore, ask, wait_until

SANITIZED = "POSTERN_SANITIZED" in os.environ


def connect(gateway):
    client = socket.create_connection(("127.0.0.1", gateway.port), timeout=120)
    stream = client.makefile("rwb")
    assert stream.readline().startswith(b"220 ")
    return client, stream


def resident(gateway):
    with open(f"/proc/{gateway.process.process.pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))


def send(gateway, subject, size=10):
    with smtplib.SMTP("127.0.0.1", gateway.port, timeout=120) as client:
        client.sendmail("a@example.org", ["ok@example.com"], f"Subject: {subject}\r\n\r\n" + ("x" * 76 + "\r\n") * (size // 78 + 1))


def served(gateway, store, subject):
    send(gateway, subject)
    wait_until(lambda: store.received.get((subject, "ok@example.com")), "delivery of " + subject)


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


def test_half_messages_of_many_clients_do_not_fill_the_disk(small_disk, tmp_path):
    """The minimum is kept whether they declare their sizes or not, and the room comes back when they vanish."""
    store = MemoryStore()
    gateway = Gateway(tmp_path, [f"127.0.0.1:{store.port}"])
    gateway.config.write_text(gateway.config.read_text().replace(f"{tmp_path}/queue.db, minimum_free_disk: 1MiB",
                                                                 f"{small_disk}/queue.db, minimum_free_disk: 64MiB"))
    gateway.start()

    def free():
        return shutil.disk_usage(small_disk).free

    def begin(parameters=b""):
        client, stream = connect(gateway)
        ask(stream, b"EHLO half.example.org\r\n")
        answer = ask(stream, b"MAIL FROM:<a@example.org>%s\r\n" % parameters)
        if answer.startswith(b"250 "):
            ask(stream, b"RCPT TO:<half@example.com>\r\n")
            answer = ask(stream, b"DATA\r\n")
        return client, stream, answer

    room = free() - (64 << 20)
    assert room > 16 << 20
    # Of what is declared the first MiB is promised before it comes.
    declared = [begin(b" SIZE=%d" % (1 << 20)) for _ in range((room >> 20) + 4)]
    answers = [answer[:9] for _, _, answer in declared]
    assert answers[0].startswith(b"354") and answers[-1] == b"452 4.3.1", answers
    for client, _, _ in declared:
        client.shutdown(socket.SHUT_RDWR)
    wait_until(lambda: begins_with_size(gateway, room // 2), "the room comes back")

    undeclared = [begin() for _ in range(8)]
    block = (b"x" * 70 + b"\r\n") * 15000  # 1 MiB
    for _ in range(room // (len(undeclared) << 20) + 4):
        for client, _, answer in undeclared:
            assert answer.startswith(b"354")
            client.sendall(block)
    # The rest of who is refused is read, and the answer comes at its end.
    answers = [ask(stream, b"\r\n.\r\n")[:9] for _, stream, _ in undeclared]
    assert b"452 4.3.1" in answers and set(answers) <= {b"452 4.3.1", b"250 2.0.0"}, answers
    assert free() > 16 << 20, "more than the write-ahead log and the file, each with all of it, can take of the minimum"
    for client, _, _ in undeclared:
        client.shutdown(socket.SHUT_RDWR)
    wait_until(lambda: begins_with_size(gateway, 4 << 20), "the room comes back")
    served(gateway, store, "after-the-half-messages")
    assert gateway.stop() == 0
    store.close()


def begins_with_size(gateway, size):
    with smtplib.SMTP("127.0.0.1", gateway.port) as client:
        client.ehlo("x.example.org")
        return client.mail("a@example.org", ["SIZE=%d" % size])[0] == 250
