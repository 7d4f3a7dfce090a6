"""Clients in TLS that are gone when their message is about to be answered: it is delivered once or never, and nothing is left of them."""
import fcntl
import json
import smtplib
import socket
import sqlite3
import ssl
import struct
import termios

import pytest

from conftest import PATIENCE, ask, wait_until
from test_tls import any_context, make_certificate, ready_to_shake, tls_gateway

RESET = struct.pack("ii", 1, 0)


@pytest.fixture
def gateway(tmp_path, store):
    certificate, key = make_certificate(tmp_path, "mx.example.com")
    made = tls_gateway(tmp_path, store, f"{{ certificate: {certificate}, key: {key} }}")
    made.start()
    yield made
    if made.process.process.poll() is None:
        assert made.stop() == 0


def has_taken_all(client, port):
    """Whether the gateway's end of the connection has read what this end sent: no queue on either side."""
    if struct.unpack("i", fcntl.ioctl(client, termios.TIOCOUTQ, b"\0" * 4))[0]:
        return False
    ours, theirs = ":%04X" % client.getsockname()[1], ":%04X" % port
    with open("/proc/net/tcp") as table:
        for row in table:
            fields = row.split()
            if fields[1].endswith(theirs) and fields[2].endswith(ours):
                return fields[4].split(":")[1] == "00000000"
    return False


def leave(client, how):
    if how == "notice":
        client.setblocking(False)
        try:
            client.unwrap()
        except (ssl.SSLError, OSError):
            pass
    elif how == "reset":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    client.close()


def test_a_client_that_goes_while_its_message_is_stored_leaves_no_double(gateway, store, tmp_path):
    """Dovecot 2.3.13 hung when a TLS client vanished then."""
    context = any_context()
    for how in ("reset", "plain", "notice"):
        for content in (b"DATA\r\n", b"BDAT %d LAST\r\n"):
            subject = f"{how}-{content[:4].decode()}"
            text = f"Subject: {subject}\r\n\r\nx\r\n".encode()
            client = context.wrap_socket(ready_to_shake(gateway.port))
            stream = client.makefile("rwb")
            for line in (b"EHLO client.example.org\r\n", b"MAIL FROM:<a@example.org>\r\n", b"RCPT TO:<ok@example.com>\r\n"):
                assert ask(stream, line).startswith(b"250 ")
            if content.startswith(b"DATA"):
                assert ask(stream, content).startswith(b"354 ")
                text += b".\r\n"
            else:
                text = content % len(text) + text
            # Another holds the queue's lock, so that the commit has to wait.
            other = sqlite3.connect(tmp_path / "queue.db", isolation_level=None, timeout=PATIENCE)
            other.execute("BEGIN IMMEDIATE")
            client.sendall(text)
            wait_until(lambda: has_taken_all(client, gateway.port), "the gateway to have it all")
            stream.close()
            leave(client, how)
            assert not store.received.get((subject, "ok@example.com"))
            other.execute("ROLLBACK")
            other.close()
            with smtplib.SMTP("127.0.0.1", gateway.port, timeout=PATIENCE) as following:
                following.starttls(context=context)
                following.sendmail("a@example.org", ["ok@example.com"], f"Subject: behind-{subject}\r\n\r\nx\r\n")
    wait_until(lambda: json.loads(gateway.run("status", "--json").stdout)["sessions"] == 0, "the end of all sessions")
    wait_until(lambda: gateway.list() == [], "empty queue")
    subjects = [f"{how}-{verb}" for how in ("reset", "plain", "notice") for verb in ("DATA", "BDAT")]
    # It was all there when they went, so that it was stored; none of them heard so, and none is there twice.
    assert store.received == {(prefix + subject, "ok@example.com"): 1 for subject in subjects for prefix in ("", "behind-")}
