"""REQUIRETLS (RFC 8689): announced and taken within TLS alone, kept in the queue, and passed to nobody who could be listened to."""
import smtplib
import sqlite3

import pytest

from conftest import PATIENCE, Gateway, MemoryStore, wait_until
from test_tls import any_context, make_certificate


@pytest.fixture
def other():
    made = MemoryStore()
    yield made
    made.close()


@pytest.fixture
def gateway(tmp_path, store, other):
    """Domains: example.com by an address of the loopback, named.example by a name that could lead anywhere."""
    certificate, key = make_certificate(tmp_path, "mx.example.com")
    made = Gateway(tmp_path, [f"127.0.0.1:{store.port}"])
    address = f'  - address: "127.0.0.1:{made.port}"\n'
    text = made.config.read_text().replace(address, address + f'    tls: {{ certificate: {certificate}, key: {key} }}\n    trusted: ["127.0.0.1/32"]\n')
    text = text.replace("domains:\n", "domains:\n  named.example: { backend: named, recipients: any }\n")
    text = text.replace("backends:\n", f'backends:\n  named: {{ endpoints: ["localhost:{other.port}"] }}\n')
    made.config.write_text(text)
    made.start()
    yield made
    if made.process.process.poll() is None:
        assert made.stop() == 0


def connect(gateway, tls=True):
    client = smtplib.SMTP("127.0.0.1", gateway.port, timeout=PATIENCE)
    client.ehlo("client.example.org")
    if tls:
        client.starttls(context=any_context())
        client.ehlo("client.example.org")
    return client


def requires_tls(gateway):
    return {message["recipients"][0]["address"]: message["require_tls"] for message in gateway.list()}


def test_it_is_offered_and_taken_within_tls_alone(gateway):
    with connect(gateway, tls=False) as client:
        assert not client.has_extn("requiretls")
        code, text = client.mail("a@example.org", ["REQUIRETLS"])
        assert code == 555 and text.startswith(b"5.5.4 "), text
    with connect(gateway) as client:
        assert client.has_extn("requiretls")
        assert client.mail("a@example.org", ["REQUIRETLS"])[0] == 250
        assert client.rcpt("ok@example.com")[0] == 250
        code, text = client.rcpt("ok@named.example")
        assert code == 550 and text.startswith(b"5.7.30 "), text
        client.rset()
        assert client.mail("a@example.org")[0] == 250
        assert client.rcpt("ok@named.example")[0] == 250


def test_without_a_backend_that_keeps_it_it_is_not_offered(gateway):
    gateway.config.write_text(gateway.config.read_text().replace('["127.0.0.1:', '["localhost:'))
    assert gateway.run("reload").returncode == 0
    with connect(gateway) as client:
        assert not client.has_extn("requiretls")
        assert client.mail("a@example.org", ["REQUIRETLS"])[0] == 555


def test_it_is_kept_over_a_restart_and_a_change_of_mind(gateway, store, other, tmp_path):
    with connect(gateway) as client:
        client.sendmail("a@example.org", ["full-a@example.com"], "Subject: secret\r\n\r\nx\r\n", mail_options=["REQUIRETLS"])
        client.sendmail("a@example.org", ["full-b@example.com"], "Subject: open\r\n\r\nx\r\n")
    wait_until(lambda: set(gateway.states().values()) == {"waiting"}, "both wait")
    assert requires_tls(gateway) == {"full-a@example.com": True, "full-b@example.com": False}
    identity = next(message["id"] for message in gateway.list() if message["require_tls"])
    assert ", REQUIRETLS" in gateway.run("queue", "show", identity).stdout
    assert gateway.stop() == 0
    with sqlite3.connect(f"file:{tmp_path}/queue.db?mode=ro", uri=True) as file:
        assert file.execute("PRAGMA user_version").fetchone() == (3,)
    # The domain moves to a backend that could be listened to: what must not go there fails, the other goes.
    gateway.config.write_text(gateway.config.read_text().replace("example.com: { backend: stores,", "example.com: { backend: named,"))
    gateway.start()
    wait_until(lambda: "5.7.30" in gateway.run("history", identity).stdout, "refused by ourselves")
    assert not any(b"secret" in content for content in other.contents)
    wait_until(lambda: any(b"open" in content for content in other.contents), "the other message was sent")


def test_a_report_requires_it_too_and_returns_the_header_alone(gateway, store):
    with connect(gateway) as client:
        client.sendmail("full-sender@example.com", ["gone-a@example.com"], "Subject: secret\r\n\r\nthe body\r\n", mail_options=["REQUIRETLS", "RET=FULL"])
    wait_until(lambda: requires_tls(gateway) == {"full-sender@example.com": True}, "the report waits")
    report = gateway.run("queue", "cat", gateway.list()[0]["id"]).stdout
    assert "Subject: secret" in report and "the body" not in report
