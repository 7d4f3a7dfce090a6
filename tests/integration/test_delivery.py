"""The rules of delivery on the real binary: isolation, the brake, admission, routes after a reload, a pause over a restart."""
import signal
import smtplib
import socket
import sqlite3
import time

import pytest

from conftest import Gateway, MemoryStore, free_port, wait_until


def send(gateway, recipients, subject="x"):
    with smtplib.SMTP("127.0.0.1", gateway.port) as client:
        client.sendmail("a@example.org", recipients, f"Subject: {subject}\r\n\r\nx\r\n")


def rcpt(gateway, address):
    with smtplib.SMTP("127.0.0.1", gateway.port) as client:
        client.ehlo("client.example.org")
        client.mail("a@example.org")
        return client.rcpt(address)


def two_backends(gateway, first, second, first_extra="", domains=None):
    """Rewrites the configuration: example.com goes to `first`, example.net to `second`."""
    text = gateway.config.read_text()
    head, _, tail = text.partition("domains:")
    tail = tail[tail.index("retry:"):]
    domains = domains or {"example.com": "first", "example.net": "second"}
    gateway.config.write_text(head + "domains:\n" + "".join(f"  {name}: {{ backend: {backend}, recipients: any }}\n" for name, backend in domains.items())
                              + f"backends:\n  first: {{ endpoints: [\"127.0.0.1:{first}\"]{first_extra} }}\n"
                              + f"  second: {{ endpoints: [\"127.0.0.1:{second}\"] }}\n" + tail)


@pytest.fixture
def quiet(tmp_path, store):
    """A gateway that is not started yet."""
    made = Gateway(tmp_path, [f"127.0.0.1:{store.port}"])
    yield made
    if made.process is not None and made.process.process.poll() is None:
        made.stop(signal.SIGTERM)


class SilentStore:
    """Accepts connections and never says a word."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = self.listener.getsockname()[1]

    def close(self):
        self.listener.close()


class RefusingStore(MemoryStore):
    """Takes everything until it forgets its users."""
    broken = False

    def take(self, content, recipients, say):
        if not self.broken:
            return super().take(content, recipients, say)
        for _ in recipients:
            say("550 5.1.1 no such user here")


def test_a_hung_store_costs_another_nothing(quiet, store):
    silent = SilentStore()
    two_backends(quiet, silent.port, store.port)
    quiet.start()
    for number in range(100):
        send(quiet, [f"u{number}@example.com"])
    for number in range(50):
        send(quiet, [f"u{number}@example.net"], f"m{number}")
    wait_until(lambda: len(store.received) == 50, "delivery beside the hung store")
    assert len(quiet.list()) == 100
    silent.close()


def test_the_brake_keeps_what_a_broken_store_refuses_also_over_a_restart(quiet):
    store = RefusingStore()
    two_backends(quiet, store.port, free_port(), ", brake: { failures: 20, recipients: 10 }")
    quiet.start()
    for number in range(4):
        send(quiet, [f"u{number}@example.com"], f"m{number}")
    wait_until(lambda: len(store.received) == 4, "delivery before the store breaks")
    store.broken = True
    for number in range(60):
        send(quiet, [f"gone{number}@example.com"], f"g{number}")
    quiet.process.await_line(r" error brake_on .*backend=first")
    quiet.stop()
    quiet.start()
    send(quiet, ["late@example.com"], "late")
    wait_until(lambda: "(kept by the brake) 550 5.1.1" in (last_reply(quiet, "late@example.com") or ""), "the brake after the restart")
    states = quiet.states()
    assert states["late@example.com"] == "waiting"
    parked = sum(state == "parked" for state in states.values())
    assert 19 <= parked <= 40, "what came before it bit was believed"
    store.broken = False
    wait_until(lambda: "waiting" not in quiet.states().values(), "delivery of what the brake kept")
    assert ("late", "late@example.com") in store.received
    store.close()


def last_reply(gateway, address):
    for message in gateway.list():
        for recipient in message["recipients"]:
            if recipient["address"] == address:
                return recipient["last_reply"]
    return None


def test_mail_for_a_store_that_is_down_for_long_is_refused_and_other_mail_taken(quiet, store):
    down = free_port()
    two_backends(quiet, down, store.port, ", refuse_after_down: 3s")
    quiet.start()
    assert rcpt(quiet, "a@example.com")[0] == 250
    send(quiet, ["a@example.com"], "waits")
    quiet.process.await_line(r" refusing .*backend=first")
    code, text = rcpt(quiet, "a@example.com")
    assert (code, text[:5]) == (451, b"4.4.1")
    assert rcpt(quiet, "b@example.net")[0] == 250
    back = MemoryStore(down)
    wait_until(lambda: ("waits", "a@example.com") in back.received, "delivery after the store's return")
    quiet.process.await_line(r" accepting .*backend=first")
    assert rcpt(quiet, "a@example.com")[0] == 250
    back.close()


def test_a_backlog_above_the_limit_refuses_more(quiet, store):
    down = free_port()
    two_backends(quiet, down, store.port, ", refuse_backlog: 10")
    quiet.start()
    for number in range(11):
        send(quiet, [f"u{number}@example.com"])
    quiet.process.await_line(r" refusing .*backend=first")
    assert rcpt(quiet, "more@example.com")[0] == 451
    quiet.stop(signal.SIGKILL)
    quiet.start()
    quiet.process.await_line(r" refusing .*backend=first")


def test_a_reload_routes_anew_what_is_queued(quiet, store):
    down = free_port()
    two_backends(quiet, down, store.port)
    quiet.start()
    for number in range(30):
        send(quiet, [f"u{number}@example.com"], f"m{number}")
    quiet.process.await_line(" endpoint_down ")
    two_backends(quiet, down, store.port, domains={"example.com": "second", "example.net": "first"})
    assert quiet.run("reload").returncode == 0
    quiet.process.await_line(r" rerouted .*backend=second")
    wait_until(lambda: len(store.received) == 30, "delivery by the new route")
    wait_until(lambda: quiet.list() == [], "empty queue")


def test_what_has_no_route_any_more_waits_and_is_not_lost(quiet, store):
    down = free_port()
    two_backends(quiet, down, store.port)
    quiet.start()
    send(quiet, ["a@example.com"], "kept")
    quiet.process.await_line(" endpoint_down ")
    two_backends(quiet, down, store.port, domains={"example.net": "second", "example.edu": "first"})
    assert quiet.run("reload").returncode == 0
    quiet.process.await_line(r" no_route .*domain=example.com")
    assert rcpt(quiet, "a@example.com")[0] == 550
    assert set(quiet.states().values()) <= {"ready", "waiting"}
    two_backends(quiet, down, store.port, domains={"example.net": "second", "example.com": "second", "example.edu": "first"})
    assert quiet.run("reload").returncode == 0
    wait_until(lambda: ("kept", "a@example.com") in store.received, "delivery once it has a route again")


def mark_paused(gateway, backend):
    """What `postern backend pause` writes: the gateway is stopped meanwhile."""
    connection = sqlite3.connect(gateway.folder / "queue.db")
    with connection:
        connection.execute("INSERT INTO backend_mark (backend, kind, at, actor, reason) VALUES (?, 0, ?, 'root', 'test')",
                           (backend, int(time.time() * 1000)))
    connection.close()


def test_a_paused_backend_stays_paused_over_a_restart(quiet, store):
    other = MemoryStore()
    two_backends(quiet, store.port, other.port)
    quiet.start()
    quiet.stop()
    mark_paused(quiet, "first")
    quiet.start()
    send(quiet, ["a@example.com"], "paused")
    send(quiet, ["b@example.net"], "flows")
    wait_until(lambda: ("flows", "b@example.net") in other.received, "delivery to the other backend")
    quiet.stop()
    quiet.start()
    send(quiet, ["c@example.net"], "flows too")
    wait_until(lambda: ("flows too", "c@example.net") in other.received, "delivery to the other backend")
    assert store.received == {}
    assert quiet.states() == {"a@example.com": "ready"}
    other.close()


def test_a_store_may_have_a_name(tmp_path, store):
    gateway = Gateway(tmp_path, [f"localhost:{store.port}"])
    gateway.start()
    send(gateway, ["a@example.com"], "named")
    wait_until(lambda: ("named", "a@example.com") in store.received, "delivery")
    store.close()
    send(gateway, ["a@example.com"], "down")
    gateway.process.await_line(f" endpoint_down .*endpoint=localhost:{store.port} .*refused")
    assert gateway.stop() == 0


def test_the_kernel_watches_a_store_that_may_die_without_a_word(quiet, store):
    quiet.start()
    send(quiet, ["a@example.com"], "one")
    wait_until(lambda: ("one", "a@example.com") in store.received, "delivery")

    def timers():
        rows = [line.split() for line in open("/proc/net/tcp").read().splitlines()[1:]]
        return {row[5].split(":")[0] for row in rows if row[2] == "0100007F:%04X" % store.port and row[3] == "01"}
    wait_until(lambda: timers() == {"02"}, "a keepalive timer on the idle connection")


def test_a_success_calls_the_mail_that_waits_for_the_mailbox(quiet):
    store = RefusingStore()

    class Full(RefusingStore):
        full = True

        def take(self, content, recipients, say):
            if self.full:
                for _ in recipients:
                    say("452 4.2.2 mailbox full")
                return
            MemoryStore.take(self, content, recipients, say)
    store.close()
    store = Full()
    two_backends(quiet, store.port, free_port())
    text = quiet.config.read_text()
    quiet.config.write_text(text.replace("retry: { first: 1s, maximum: 2s }", "retry: { first: 10m, maximum: 1h }"))
    quiet.start()
    send(quiet, ["a@example.com"], "one")
    wait_until(lambda: quiet.states() == {"a@example.com": "waiting"}, "deferral")
    store.full = False
    send(quiet, ["a@example.com"], "two")
    wait_until(lambda: ("one", "a@example.com") in store.received, "the waiting one, called by the other", 30)
    store.close()
