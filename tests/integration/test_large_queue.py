"""A queue of some thousands: commands by filter and with --limit, acceptance meanwhile, a restart, and all of it delivered. How fast with a
million is tests/bench/million.sh's to say."""
import json
import os
import socket
import sqlite3
import subprocess

import pytest

from conftest import PATIENCE, POSTERN, Gateway, MemoryStore, ask, wait_until
from test_operation import send

FILL = os.environ.get("POSTERN_FILL_QUEUE", os.path.join(os.path.dirname(POSTERN), "../../tests/bench/postern_fill_queue"))
MESSAGES = 1500
RECIPIENTS = 6000


@pytest.fixture
def large(tmp_path, store):
    if not os.path.exists(FILL):
        pytest.skip("postern_fill_queue is not built")
    made = Gateway(tmp_path, [f"127.0.0.1:{store.port}"])
    made.config.write_text(made.config.read_text().replace("\ndomains:", '\ndomains:\n  "*.example.com": { backend: stores }'))
    subprocess.run([FILL, "--messages", str(MESSAGES), "--recipients", str(RECIPIENTS), "--domains", "7", "--due-from", "60", "--due-to", "120",
                    str(tmp_path / "queue.db")], check=True)
    made.start()
    yield made
    assert made.stop() == 0


def listed(gateway, *filters):
    done = gateway.run("queue", "list", "--json", *filters)
    assert done.returncode in (0, 1), done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def states(gateway):
    return json.loads(gateway.run("status", "--json").stdout)["queue"]


def test_commands_on_a_large_queue(large, store):
    assert states(large)["messages"] == MESSAGES
    assert states(large)["recipients"]["waiting"] == RECIPIENTS
    assert [message["id"] for message in listed(large, "--limit", "50")] == sorted(message["id"] for message in listed(large))[:50]
    assert len(listed(large, "--domain", "d3.example.com", "--limit", "20")) == 20
    assert len(listed(large, "--recipient", "user4321@*")) == 1
    assert listed(large, "--state", "held") == []

    dry = large.run("queue", "hold", "--all", "--dry-run")
    assert dry.returncode == 0 and str(RECIPIENTS) in dry.stdout, dry
    assert listed(large, "--state", "held") == []
    held = large.run("queue", "hold", "--domain", "d3.example.com", "--yes")
    assert held.returncode == 0, held
    d3 = sum(1 for number in range(RECIPIENTS) if number % 7 == 3)
    assert states(large)["recipients"]["held"] == d3

    # Killed, it comes back with what it knew, and sends what is due now.
    large.stop(9)
    large.start()
    assert states(large)["recipients"]["held"] == d3
    assert large.run("queue", "retry", "--all", "--yes").returncode == 0
    wait_until(lambda: states(large)["recipients"].get("waiting", 0) + states(large)["recipients"].get("ready", 0) == 0, "delivery")
    with store.lock:
        assert sum(store.received.values()) == RECIPIENTS - d3
    assert large.run("queue", "release", "--all", "--yes").returncode == 0
    wait_until(lambda: states(large)["messages"] == 0, "an empty queue")
    with store.lock:
        assert sum(store.received.values()) == RECIPIENTS


def test_a_damaged_message_is_held_with_an_alarm_and_never_delivered(tmp_path, store):
    """Bit rot in content, envelope and an address: those messages are held, their neighbours delivered."""
    gateway = Gateway(tmp_path, ["127.0.0.1:1"])  # nothing listens there
    gateway.start()
    for number in range(6):
        send(gateway, ["user%d@example.com" % number, "second%d@example.com" % number], "message-%d" % number)
    ids = [message["id"] for message in listed(gateway)]
    assert len(ids) == 6
    assert gateway.stop() == 0
    queue = sqlite3.connect(tmp_path / "queue.db")
    rows = [row[0] for row in queue.execute("SELECT id FROM message ORDER BY id")]
    queue.execute("UPDATE message SET content = CAST(replace(CAST(content AS TEXT), 'Subject', 'Subjegt') AS BLOB) WHERE id = ?", (rows[0],))
    queue.execute("UPDATE message SET sender = 'someone@else.example' WHERE id = ?", (rows[1],))
    queue.execute("UPDATE recipient SET address = 'other@example.com' WHERE message = ? AND ordinal = 0", (rows[2],))
    queue.execute("UPDATE recipient SET address = 'no address at all' WHERE message = ? AND ordinal = 1", (rows[3],))
    queue.commit()
    queue.close()
    gateway.config.write_text(gateway.config.read_text().replace("127.0.0.1:1\"", "127.0.0.1:%d\"" % store.port))
    gateway.start()
    gateway.run("queue", "retry", "--all", "--yes")
    wait_until(lambda: len(listed(gateway, "--state", "held")) == 4, "the damaged ones held")
    wait_until(lambda: len(listed(gateway)) == 4, "the others delivered")
    assert {message["id"] for message in listed(gateway)} == set(ids[:4])
    assert all(recipient["state"] == "held" for message in listed(gateway) for recipient in message["recipients"])
    with store.lock:
        assert {token for token, _ in store.received} == {"message-4", "message-5"}
    for damaged in ids[:4]:
        assert " damaged " in gateway.process.text() and damaged in gateway.process.text()
        assert gateway.run("queue", "cat", damaged).returncode not in (0, 1)
    # Releasing it does not get it through either; removing it does away with it.
    gateway.run("queue", "release", "--all", "--yes")
    wait_until(lambda: all(recipient["state"] == "held" for message in listed(gateway) for recipient in message["recipients"]), "held again")
    assert gateway.run("queue", "remove", "--all", "--yes").returncode == 0
    wait_until(lambda: listed(gateway) == [], "an empty queue")
    with store.lock:
        assert {token for token, _ in store.received} == {"message-4", "message-5"}
    assert gateway.stop() == 0


def test_a_message_to_more_recipients_than_sixteen_bits_count(tmp_path):
    count = 66_000
    store = MemoryStore()
    gateway = Gateway(tmp_path, [f"127.0.0.1:{store.port}"])
    gateway.config.write_text(gateway.config.read_text().replace("limits: {", f"limits: {{ recipients_per_message: {count}, "))
    gateway.start()
    names = [f"u{number}" for number in range(count - 1)] + ["gone-last"]
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE) as client, client.makefile("rwb") as stream:
        assert stream.readline().startswith(b"220 ")
        assert ask(stream, b"EHLO client.example.org\r\n").startswith(b"250 ")
        assert ask(stream, b"MAIL FROM:<a@example.org>\r\n").startswith(b"250 ")
        for begin in range(0, count, 500):
            block = names[begin:begin + 500]
            stream.write(b"".join(b"RCPT TO:<%s@example.com>\r\n" % name.encode() for name in block))
            stream.flush()
            assert all(stream.readline().startswith(b"250 ") for _ in block)
        assert ask(stream, b"RCPT TO:<one-more@example.com>\r\n").startswith(b"452 4.5.3")
        assert ask(stream, b"DATA\r\n").startswith(b"354 ")
        assert ask(stream, b"Subject: many\r\n\r\nx\r\n.\r\n").startswith(b"250 2.0.0 ")
    def left():
        recipients = json.loads(gateway.run("status", "--json").stdout)["queue"]["recipients"]
        return {state: number for state, number in recipients.items() if number and state != "delivered"}

    before = None
    while before != {"parked": 1}:  # however slow the machine is, as long as it goes on
        before = wait_until(lambda: (now := left()) != before and now, "somebody more to be delivered")
    assert gateway.states()["gone-last@example.com"] == "parked"
    assert len(store.received) == count - 1 and set(store.received.values()) == {1}
    assert gateway.stop() == 0
    store.close()
