"""What an operator sees: why a recipient waits, backends, conformance; with the gateway running and stopped."""
import json
import smtplib

from conftest import MemoryStore, Process, POSTERN, free_port, wait_until


def send(gateway, recipients, subject="x"):
    with smtplib.SMTP("127.0.0.1", gateway.port) as client:
        client.sendmail("a@example.org", recipients, f"Subject: {subject}\r\n\r\nsecret body line\r\n")


def rows(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def history(gateway, *arguments):
    return rows(gateway.run("history", "--json", *arguments))


def await_events(gateway, *events):
    return wait_until(lambda: set(events) <= {row["event"] for row in history(gateway)} and history(gateway), "history of " + ", ".join(events))


def test_why_says_what_is_waited_for(gateway, store):
    send(gateway, ["gone-a@example.com", "good@example.com"])
    wait_until(lambda: gateway.states().get("gone-a@example.com") == "parked", "parked")
    identity = gateway.list()[0]["id"]
    done = gateway.run("queue", "why", identity, "--json")
    told = rows(done)
    assert done.returncode == 0 and [row["recipient"] for row in told] == ["gone-a@example.com"]
    assert told[0]["waits_for"] == "report" and told[0]["gateway_running"] is True
    assert "queue release" in gateway.run("queue", "why", identity).stdout
    assert gateway.run("queue", "why", identity, "good@example.com").returncode == 1
    assert gateway.stop() == 0
    done = gateway.run("queue", "why", identity, "--json")
    assert "gateway not running" in done.stderr and rows(done)[0]["gateway_running"] is False


def test_a_pause_keeps_mail_and_survives_a_restart(gateway, store):
    assert gateway.run("backend", "pause", "stores", "--reason", "new disk").returncode == 0
    send(gateway, ["good@example.com"])
    wait_until(lambda: gateway.states() == {"good@example.com": "ready"}, "queued")
    identity = gateway.list()[0]["id"]
    assert rows(gateway.run("queue", "why", identity, "--json"))[0]["waits_for"] == "resume"
    assert gateway.stop() == 0
    assert rows(gateway.run("backend", "list", "--json"))[0]["paused"]["reason"] == "new disk"
    gateway.start()
    assert "PAUSED" in gateway.run("backend", "list", "stores").stdout
    assert store.received == {}
    assert gateway.stop() == 0
    done = gateway.run("backend", "resume", "stores")
    assert done.returncode == 0 and "changing the queue file directly" in done.stderr
    gateway.start()
    wait_until(lambda: gateway.list() == [], "delivery after the resume")
    events = [row["event"] for row in await_events(gateway, "paused", "resumed", "delivered")]
    assert events.index("paused") < events.index("resumed")
    assert gateway.run("backend", "pause").returncode == 64
    assert gateway.run("backend", "pause", "nosuch").returncode == 1


def test_probe_and_why_of_a_dead_store(gateway, store):
    assert gateway.run("backend", "probe", "stores").returncode == 0
    port = store.port
    store.close()
    send(gateway, ["good@example.com"])
    gateway.process.await_line(" endpoint_down ")
    done = gateway.run("backend", "probe")
    assert done.returncode == 1 and "refused" in done.stdout
    identity = gateway.list()[0]["id"]
    wait_until(lambda: rows(gateway.run("queue", "why", identity, "--json"))[0]["waits_for"] == "endpoint", "an endpoint that is down")
    assert "DOWN" in gateway.run("status").stdout
    again = MemoryStore(port)
    wait_until(lambda: gateway.list() == [], "delivery after the return")
    assert gateway.run("backend", "probe", "stores").returncode == 0
    again.close()
    assert gateway.stop() == 0
    assert gateway.run("backend", "probe", "stores").returncode == 69


def test_conformance_of_our_own_store_stores_nothing(gateway, tmp_path):
    port = free_port()
    maildir = tmp_path / "mail"
    (maildir / "example.com" / "bob").mkdir(parents=True)
    own = Process([POSTERN, "store", "--listen", f"127.0.0.1:{port}", "--maildir", str(maildir)], tmp_path / "store.log")
    own.await_line(" ready ")
    text = gateway.config.read_text()
    gateway.config.write_text(text + f"  own: {{ endpoints: ['127.0.0.1:{port}'] }}\n" if text.rstrip().endswith("backends:") else
                              text.replace("backends:\n", f"backends:\n  own: {{ endpoints: ['127.0.0.1:{port}'] }}\n"))
    done = gateway.run("backend", "conformance", "own", "--recipient", "bob@example.com", "--json")
    told = rows(done)
    assert done.returncode == 0, done.stdout
    assert len(told) > 14 and {row["result"] for row in told} == {"pass"}, done.stdout
    assert all(row["clause"].startswith("RFC ") for row in told)
    assert list(maildir.rglob("new/*")) == []
    assert "nothing was stored" in gateway.run("backend", "conformance", "own").stdout
    assert gateway.run("backend", "conformance", "nosuch").returncode == 1
    assert gateway.run("backend", "conformance", "own", "--recipient", "nobody").returncode == 65
    own.stop()
    assert gateway.run("backend", "conformance", "own").returncode == 1
