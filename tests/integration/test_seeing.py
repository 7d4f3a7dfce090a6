"""What an operator sees: why a recipient waits, backends, conformance, the history; with the gateway running and stopped."""
import json
import os
import pwd
import smtplib
import socket
import sqlite3

from conftest import Gateway, MemoryStore, Process, POSTERN, free_port, wait_until


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


def test_why_tells_of_a_pause_also_what_is_not_due(gateway, store):
    send(gateway, ["full-a@example.com"])
    wait_until(lambda: gateway.states() == {"full-a@example.com": "waiting"}, "deferred")
    assert gateway.run("backend", "pause", "stores", "--reason", "new \x1bdisk").returncode == 0
    identity = gateway.list()[0]["id"]
    for gateway_runs in (True, False):
        told = wait_until(lambda: [row for row in rows(gateway.run("queue", "why", identity, "--json")) if row["waits_for"] == "resume"],
                          "the end of the attempt that was at work")[0]
        assert told["gateway_running"] == gateway_runs
        assert told["since"] and told["actor"].endswith(": backend pause stores")
        text = gateway.run("queue", "why", identity).stdout
        assert "paused by an operator: new " in text and "postern backend resume stores" in text and "backend pause stores" in text
        assert "\x1b" not in text
        if gateway_runs:
            assert gateway.stop() == 0


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


# ---- the history


def test_the_history_tells_every_attempt_and_who_did_what(gateway, store):
    send(gateway, ["gone-a@example.com", "full-b@example.com", "good@example.com"])
    wait_until(lambda: gateway.states().get("gone-a@example.com") == "parked" and gateway.states().get("full-b@example.com") == "waiting", "refusals")
    identity = gateway.list()[0]["id"]
    assert gateway.run("queue", "hold", identity).returncode == 0
    told = await_events(gateway, "accepted", "delivered", "deferred", "failed", "held")
    accepted = told[0]
    assert (accepted["event"], accepted["sender"], accepted["client"]) == ("accepted", "a@example.org", "127.0.0.1")
    assert f"session={accepted['session']}" in gateway.process.text()
    attempts = [row for row in told if row["event"] in ("delivered", "deferred", "failed")]
    assert {(row["recipient"], row["reply"]) for row in attempts} == {
        ("gone-a@example.com", "550 5.1.1 unknown"), ("full-b@example.com", "452 4.2.2 full"), ("good@example.com", "250 2.0.0 stored")}
    for row in attempts:
        assert row["endpoint"] == f"127.0.0.1:{store.port}" and row["backend"] == "stores" and row["attempt"] >= 1
        assert row["tls"] == "" and f"session={row['session']} " in gateway.process.text()
    held = [row for row in told if row["event"] == "held"]
    assert {(row["recipient"], row["command"]) for row in held} == {(who, "queue hold " + identity) for who in ("full-b@example.com", "gone-a@example.com")}
    assert held[0]["actor"] == pwd.getpwuid(os.geteuid()).pw_name

    def events(*arguments):
        return {row["event"] for row in history(gateway, *arguments)}
    assert events("--state", "held") == {"held"}
    assert events("--client", "127.0.0.0/8") == {row["event"] for row in told}
    assert events("--sender", "a@*", "--recipient", "good@*") == {"delivered"}
    assert events("--recipient", "FULL-B@example.com", "--state", "waiting") == {"deferred"}
    for nothing in (["--client", "192.0.2.1"], ["--sender", "<>"], ["--older-than", "1h"], ["--reply", "no such words"], ["0123456789abc"]):
        done = gateway.run("history", *nothing)
        assert (done.returncode, done.stdout) == (1, "") and "history" in done.stderr, nothing
    assert gateway.stop() == 0
    with_nobody_running = history(gateway)
    assert all(row in with_nobody_running for row in told)


def test_a_failed_transaction_leaves_its_transcript(gateway, store):
    send(gateway, ["good@example.com"])
    send(gateway, ["gone-a@example.com", "full-b@example.com"])
    told = await_events(gateway, "delivered", "deferred", "failed")
    identity = next(row["id"] for row in told if row["event"] == "failed")
    assert not any("transcript" in row for row in told)
    wait_until(lambda: "S: 452 4.2.2 full" in gateway.run("history", "--transcript", identity).stdout, "a transcript")
    text = gateway.run("history", "--transcript", identity).stdout
    for said in ("C: MAIL FROM:<a@example.org>", "C: RCPT TO:<gone-a@example.com>", "S: 550 5.1.1 unknown", "-- the content: "):
        assert said in text, text
    assert "secret body line" not in text and "Subject" not in text
    rows_told = history(gateway, "--transcript")
    transcripts = [row for row in rows_told if row["event"] == "transcript"]
    assert {row["id"] for row in transcripts} == {identity}  # none of what went well
    assert transcripts[0]["session"] in {row["session"] for row in told if row["event"] == "failed"}


def test_a_store_that_breaks_off_is_in_the_history(tmp_path):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(10)
        gateway = Gateway(tmp_path, [f"127.0.0.1:{listener.getsockname()[1]}"])
        gateway.start()
        send(gateway, ["x@example.com"])
        client, _ = listener.accept()
        client.sendall(b"220 st\x1b[2Jore\r\n")
        client.recv(1000)
        client.close()
    row = next(row for row in await_events(gateway, "trouble") if row["event"] == "trouble")
    assert row["recipient"] == "x@example.com" and row["reply"]
    text = gateway.run("history", "--transcript", row["id"]).stdout
    assert "S: 220 st\\x1b[2Jore" in text and "C: LHLO mx.example.com" in text and "\x1b" not in text
    assert gateway.stop() == 0


def test_a_history_that_cannot_be_used_stops_nothing(gateway, store):
    assert gateway.stop() == 0
    for part in ("-wal", "-shm"):
        (gateway.folder / f"queue.db-history{part}").unlink(missing_ok=True)
    (gateway.folder / "queue.db-history").write_bytes(b"no database\n" * 1000)
    gateway.start()
    gateway.process.await_line(" problem .*set aside as .*queue.db-history.aside")
    send(gateway, ["good@example.com"])
    await_events(gateway, "accepted", "delivered")
    assert (gateway.folder / "queue.db-history.aside").read_bytes().startswith(b"no database")


def test_counts_that_are_wrong_are_put_right(gateway, store):
    store.close()
    send(gateway, ["a@example.com", "b@example.com"])
    wait_until(lambda: len(gateway.states()) == 2, "queued")
    assert gateway.stop() == 0
    with sqlite3.connect(gateway.folder / "queue.db") as connection:
        connection.execute("UPDATE recipient_count SET recipients = recipients + 40")
        connection.execute("UPDATE meta SET value = 7 WHERE key = 'messages'")
    connection.close()
    assert json.loads(gateway.run("status", "--json").stdout)["queue"]["messages"] == 7
    gateway.start()
    gateway.process.await_line(' recounted changes="messages -6')
    told = json.loads(gateway.run("status", "--json").stdout)["queue"]
    assert told["messages"] == 1 and sum(told["recipients"].values()) == 2
    await_events(gateway, "recounted")
