"""What becomes of each recipient when the store answers {250, 450, 550, close, silence} to up to five of them, in every order, and the
gateway is killed in the midst of some. POSTERN_PATTERNS=all plays all 3,905; the suite plays those of one and two recipients and a sample of
the longer ones (the simulation plays all of them, with a crash at every step)."""
import itertools
import json
import os
import re
import signal
import smtplib
import threading
import time

from conftest import Gateway, MemoryStore, wait_until

KINDS = ["250", "450", "550", "close", "silence"]
ALL = os.environ.get("POSTERN_PATTERNS") == "all"
BACKENDS = 100 if ALL else 8  # a store that breaks off is left alone for a while: the others go on
SECONDS_OF_DOUBT = 10  # a 250 of the store that came so shortly before a kill may not have been recorded


def patterns():
    every = 1 if ALL else 61
    longer = itertools.chain.from_iterable(itertools.product(KINDS, repeat=count) for count in (3, 4, 5))
    shorter = itertools.chain.from_iterable(itertools.product(KINDS, repeat=count) for count in (1, 2))
    return list(shorter) + [pattern for number, pattern in enumerate(longer) if number % every == 0]


class Broken(OSError):
    pass


class PatternStore(MemoryStore):
    """Plays at the first visit of a recipient (INDEX-KIND@...) its kind, and is well with it later; 550 stays."""

    def __init__(self):
        self.seen = set()
        self.taken = {}   # (token, recipient) -> times of its 250s
        self.halt_at = {}  # token -> how many replies are said before `halted`
        self.halted = threading.Event()
        super().__init__()

    def take(self, content, recipients, say):
        token = re.search(rb"^Subject: (.*)\r$", content, re.M).group(1).decode()
        connection = say.__closure__[0].cell_contents
        for number, recipient in enumerate(recipients):
            if self.halt_at.get(token) == number:
                del self.halt_at[token]
                connection.flush()
                self.halted.set()
                connection.read()  # until the gateway is dead
                raise Broken
            kind = recipient.split("@")[0].split("-")[1]
            with self.lock:
                first = (token, recipient) not in self.seen
                self.seen.add((token, recipient))
            if kind == "550":
                say("550 5.7.1 not you")
            elif kind == "450" and first:
                say("450 4.2.0 later")
            elif kind == "close" and first:
                connection.flush()
                raise Broken
            elif kind == "silence" and first:
                connection.flush()
                connection.read()  # until the gateway has waited long enough
                raise Broken
            else:
                with self.lock:
                    self.taken.setdefault((token, recipient), []).append(time.monotonic())
                say("250 2.0.0 stored")


def test_each_recipient_of_each_pattern_ends_as_it_must(tmp_path):
    store = PatternStore()
    gateway = Gateway(tmp_path, [])
    names = [f"d{number}" for number in range(BACKENDS)]
    text = gateway.config.read_text()
    head, tail = text[:text.index("domains:")], text[text.index("retry:"):]
    gateway.config.write_text(head + "domains: { " + ", ".join(f"{name}.example: {{ backend: {name}, recipients: any }}" for name in names) + " }\nbackends: { "
                              + ", ".join(f'{name}: {{ endpoints: ["127.0.0.1:{store.port}"], reply_timeout: 1s }}' for name in names) + " }\n"
                              + tail)
    gateway.start()
    played = patterns()
    # In the midst of these the gateway dies: after so many replies of the first transaction.
    longest = [number for number, pattern in enumerate(played) if len(pattern) == 5 and pattern[0] in ("250", "550") and pattern[1] != "close"]
    for number in longest[::max(1, len(longest) // 5)]:
        store.halt_at[f"p{number}"] = 1
    deaths = []
    wanted = {}
    batches = 8
    try:
        for batch in range(batches):
            with smtplib.SMTP("127.0.0.1", gateway.port) as client:
                for number in range(batch, len(played), batches):
                    domain = names[number % BACKENDS] + ".example"
                    recipients = [f"r{index}-{kind}@{domain}" for index, kind in enumerate(played[number])]
                    client.sendmail("a@example.org", recipients, f"Subject: p{number}\r\n\r\nx\r\n")
                    wanted.update({(f"p{number}", recipient): recipient.split("@")[0].split("-")[1] for recipient in recipients})
            if store.halted.wait(2):
                assert gateway.stop(signal.SIGKILL) == -signal.SIGKILL
                deaths.append(time.monotonic())  # dead now: whatever it was giving came before
                store.halted.clear()
                gateway.start()

        def at_rest():  # quickly: who halts is to be seen before the gateway has waited long enough
            states = json.loads(gateway.run("status", "--json").stdout)["queue"]["recipients"]
            return all(state in ("parked", "delivered") or number == 0 for state, number in states.items())

        end = time.monotonic() + 900
        while not at_rest():
            assert time.monotonic() < end, [message for message in gateway.list()][:3]
            if store.halted.is_set():
                gateway.stop(signal.SIGKILL)
                deaths.append(time.monotonic())
                store.halted.clear()
                gateway.start()
            time.sleep(0.2)
        parked = sum(recipient["state"] == "parked" for message in gateway.list() for recipient in message["recipients"])
        refused = sum(kind == "550" for kind in wanted.values())
        for (token, recipient), kind in wanted.items():
            taken = store.taken.get((token, recipient), [])
            if kind == "550":
                assert taken == []
                continue
            assert taken, f"{token} {recipient} was lost"
            doubted = [time_taken for time_taken in taken[:-1] if not any(0 <= death - time_taken < SECONDS_OF_DOUBT for death in deaths)]
            assert not doubted, f"{token} {recipient} came {len(taken)} times"
        assert parked == refused, "who was refused is kept for a report to the sender, and nobody else"
        assert deaths, "the gateway died in the midst of one at least"
    finally:
        store.close()
        if gateway.process.process.poll() is None:
            gateway.stop()
