"""What bounces cost the mail that is well: the p99 of its delivery latency (from the client's final dot to the store's), in one run of the gateway:

  alone     nothing else comes in
  busy      between each two of its messages another one comes in, for another store that takes it
  bounces   the same load, but each of the others bounces; and in the queue is a pile of bounces, half of them parked and half of them
            reports that wait for a relay which accepts and says nothing

What bounces cost is the third against the second; what the load itself costs is the second against the first.

    tests/bench/bounces.py [--binary build/gateway/main/postern] [--pile 100000] [--messages 5000]
"""
import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

from outage import REPOSITORY, Client, Gateway, TimingStore, p99
from load import SOURCE
from processes import BenchError, free_port, wait_until

PARTS = 5


class RefusingStore(TimingStore):
    recipient = b"550 5.1.1 no such user"


class BouncingGateway(Gateway):
    """Trusts whoever comes in at `trusted_port`, and nobody at `port`."""

    def __init__(self, binary, folder, well, third, gone, relay):
        super().__init__(binary, folder, {"well": well, "third": third, "gone": gone})
        self.trusted_port = free_port()
        with open(self.config) as config:
            text = config.read()
        text = text.replace('" } ]\n', '" }, { address: "127.0.0.1:%d", trusted: ["127.0.0.1"] } ]\n' % self.trusted_port, 1)
        text = text.replace('gone: { endpoints: ["127.0.0.1:%d"]' % gone, 'gone: { endpoints: ["127.0.0.1:%d"], brake: { failures: 0 }' % gone)
        text += 'bounces: { per_domain: 100000, relay: "smtp://127.0.0.1:%d" }\n' % relay
        with open(self.config, "w") as config:
            config.write(text)


def pile_up(gateway, count):
    """`count` bouncing messages over each listener; until each of them is parked, or has its report in the queue."""
    for port in (gateway.port, gateway.trusted_port):
        arguments = [SOURCE, "-s", "20", "-m", str(count), "-l", "4096", "-d", "-f", "a@sender.example", "-t", "user@gone.example"]
        done = subprocess.run(arguments + ["127.0.0.1:%d" % port], capture_output=True, text=True)
        if done.returncode != 0:
            raise BenchError(done.stderr)

    def settled():
        # A bounced message and its report count alike: only the store's backlog tells that none is still to be bounced.
        status = gateway.whole_status()
        recipients = status["queue"]["recipients"]
        backlog = next(backend["backlog"] for backend in status["backends"] if backend["name"] == "gone")
        return backlog == 0 and recipients.get("parked", 0) == count and sum(recipients.values()) == 2 * count

    wait_until(settled, "everything to be parked or reported", 600, 0.5)


def measure(gateway, store, count, phase, others):
    """`others`: the domain of the messages in between, if any."""
    client, other = Client(gateway.port), Client(gateway.trusted_port)
    sent = {}
    for number in range(count):
        token = b"%s%d" % (phase.encode(), number)
        sent[token] = client.send("well.example", token)
        if others:
            other.send(others, b"x" + token)
        else:
            other.say(b"NOOP\r\n", b"250")
        time.sleep(0.002)
    wait_until(lambda: all(token in store.arrived for token in sent), "deliveries")
    return [store.arrived[token] - when for token, when in sent.items()]


def steady_p99(values):
    """The median of the p99 of each part: one disturbance from outside falls into one part."""
    size = len(values) // PARTS
    return statistics.median(p99(values[part * size:(part + 1) * size]) for part in range(PARTS))


def run(options, folder):
    well, third, gone, relay = TimingStore(), TimingStore(), RefusingStore(), TimingStore(silent=True)
    gateway = BouncingGateway(options.binary, folder, well.port, third.port, gone.port, relay.port)
    gateway.start()
    try:
        alone = measure(gateway, well, options.messages, "alone", None)
        busy = measure(gateway, well, options.messages, "busy", "third.example")
        began = time.monotonic()
        pile_up(gateway, options.pile // 2)
        print("piled up in %.1f s: %s; resident %.0f MB" % (time.monotonic() - began, gateway.recipients(), gateway.resident()[0] / 1e6))
        bounces = measure(gateway, well, options.messages, "bounces", "gone.example")
    finally:
        gateway.stop()
    for phase, values in (("alone", alone), ("busy", busy), ("bounces", bounces)):
        print("%-7s %5d messages   p50 %6.2f ms   p99 %6.2f ms, median of %d parts" % (
            phase, len(values), statistics.median(values) * 1e3, steady_p99(values) * 1e3, PARTS))
    ratio = steady_p99(bounces) / steady_p99(busy)
    print("p99 beside %d bounces by p99 beside as much mail that is well: %.2f (at most 1.5); by p99 alone: %.2f" % (
        options.pile, ratio, steady_p99(bounces) / steady_p99(alone)))
    return ratio <= 1.5


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=os.path.join(REPOSITORY, "build/gateway/main/postern"))
    parser.add_argument("--pile", type=int, default=100000)
    parser.add_argument("--messages", type=int, default=5000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="postern-bounces-", dir=os.environ.get("TMPDIR", "/var/tmp")) as folder:
        os.chmod(folder, 0o755)
        try:
            good = run(options, folder)
        except BenchError as error:
            print(error, file=sys.stderr)
            return 2
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
