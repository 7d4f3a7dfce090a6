"""What a store in trouble costs. Two measurements, each printed with what is required of it:

  hung    Two stores, one of which accepts and then says nothing: the p99 of the other's delivery latency (from the client's final dot to the
          store's), against what it is beside a store that is well; phases alternate in one run of the gateway.
  drain   Mail is queued for a store that is down. After its return (smtp-sink -L): when the drain starts, its rate, the connections it
          opens and the gateway's resident memory; beside it the bare tools, smtp-source into smtp-sink, as the ceiling.

    tests/bench/outage.py hung|drain [--binary build/gateway/main/postern] [--messages N]
"""
import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from load import SINK, SOURCE
from processes import BenchError, Program, answers, free_port, wait_until

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Gateway:
    def __init__(self, binary, folder, backends):
        self.binary = binary
        self.folder = folder
        self.port = free_port()
        self.config = os.path.join(folder, "postern.yaml")
        with open(self.config, "w") as config:
            config.write("hostname: mx.example.com\n")
            config.write('listeners: [ { address: "127.0.0.1:%d" } ]\n' % self.port)
            config.write("queue: { path: %s/queue.db, minimum_free_disk: 1MiB }\n" % folder)
            config.write("limits: { connections_per_client: 1000 }\n")
            config.write("domains: { %s }\n" % ", ".join("%s.example: { backend: %s, recipients: any }" % (name, name) for name in backends))
            config.write("backends: { %s }\n" % ", ".join(
                '%s: { endpoints: ["127.0.0.1:%d"] }' % item for item in backends.items()))
        self.program = None

    def start(self):
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.program = Program([self.binary, "serve", "-c", self.config], log)
        wait_until(lambda: answers(self.port), "the gateway to start")

    def stop(self):
        self.program.stop()

    def resident(self):
        """(now, at most so far), octets."""
        values = {}
        with open("/proc/%d/status" % self.program.process.pid) as status:
            for line in status:
                if line.startswith(("VmRSS", "VmHWM")):
                    values[line[:5]] = int(line.split()[1]) * 1024
        return values["VmRSS"], values["VmHWM"]

    def whole_status(self):
        done = subprocess.run([self.binary, "status", "--json", "-c", self.config], capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    def status(self):
        return self.whole_status()["queue"]

    def queued(self):
        return self.status()["messages"]

    def recipients(self):
        """How many are in each state."""
        return self.status()["recipients"]


class TimingStore(threading.Thread):
    """An LMTP store that notes when the content of each message was complete, by its Subject."""

    recipient = b"250 ok"  # what it says to RCPT

    def __init__(self, silent=False):
        super().__init__(daemon=True)
        self.silent = silent
        self.arrived = {}
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=500)
        self.port = self.listener.getsockname()[1]
        self.kept = []
        self.start()

    def run(self):
        while True:
            client, _ = self.listener.accept()
            if self.silent:
                self.kept.append(client)
                continue
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        stream = client.makefile("rwb")
        stream.write(b"220 store LMTP\r\n")
        stream.flush()
        for line in stream:
            verb = line[:4].upper()
            if verb == b"LHLO":
                stream.write(b"250-store\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
            elif verb == b"RCPT":
                stream.write(self.recipient + b"\r\n")
            elif verb == b"DATA" and self.recipient.startswith(b"5"):
                stream.write(b"503 5.5.1 no recipients\r\n")
            elif verb == b"DATA":
                stream.write(b"354 go\r\n")
                stream.flush()
                subject = b""
                for part in stream:
                    if part.startswith(b"Subject: "):
                        subject = part[9:].strip()
                    if part == b".\r\n":
                        break
                self.arrived[subject] = time.monotonic()
                stream.write(b"250 2.0.0 stored\r\n")
            elif verb == b"QUIT":
                stream.write(b"221 bye\r\n")
                stream.flush()
                break
            else:
                stream.write(b"250 ok\r\n")
            stream.flush()
        client.close()


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = self.socket.makefile("rb")
        self.expect(b"220")
        self.say(b"EHLO client.example.org\r\n", b"250")

    def expect(self, code):
        while True:
            line = self.stream.readline()
            if not line.startswith(code):
                raise BenchError("the gateway said %r" % line)
            if line[3:4] != b"-":
                return

    def say(self, text, code):
        self.socket.sendall(text)
        self.expect(code)

    def send(self, domain, token):
        """When the final dot went out."""
        self.say(b"MAIL FROM:<a@example.org>\r\n", b"250")
        self.say(b"RCPT TO:<user@%s>\r\n" % domain.encode(), b"250")
        self.say(b"DATA\r\n", b"354")
        sent = time.monotonic()
        self.say(b"Subject: %s\r\n\r\n%s\r\n.\r\n" % (token, b"x" * 4000), b"250")
        return sent


def p99(values):
    return statistics.quantiles(values, n=100)[98]


def hung(options, folder):
    well, silent, third = TimingStore(), TimingStore(silent=True), TimingStore()
    gateway = Gateway(options.binary, folder, {"well": well.port, "hung": silent.port, "third": third.port})
    gateway.start()
    client, other = Client(gateway.port), Client(gateway.port)
    count = options.messages or 1500
    latencies = {"alone": [], "beside": []}
    number = 0
    try:
        for round_number in range(options.rounds):
            for phase in ("alone", "beside"):
                sent = {}
                for _ in range(count // options.rounds):
                    number += 1
                    token = b"%d" % number
                    sent[token] = client.send("well.example", token)
                    # The same load in both phases; only that in one of them the other store is a well one.
                    other.send("hung.example" if phase == "beside" else "third.example", b"h" + token)
                    time.sleep(0.002)
                wait_until(lambda: all(token in well.arrived for token in sent), "deliveries")
                latencies[phase] += [well.arrived[token] - when for token, when in sent.items()]
        stuck = gateway.queued()
    finally:
        gateway.stop()
    for phase, values in latencies.items():
        print("%-7s %5d messages   p50 %6.2f ms   p99 %6.2f ms" % (
            phase, len(values), statistics.median(values) * 1e3, p99(values) * 1e3))
    ratio = p99(latencies["beside"]) / p99(latencies["alone"])
    print("p99 beside a hung store (%d messages stuck at it) by p99 alone: %.2f (at most 1.5)" % (stuck, ratio))
    return ratio <= 1.5


class CountingSink:
    """smtp-sink -L on a port that was chosen before; its own counts."""

    def __init__(self, port, folder):
        self.output = open(os.path.join(folder, "sink"), "wb")
        arguments = [SINK, "-c", "-L", "-m", "1000"] + (["-u", "nobody"] if os.geteuid() == 0 else [])
        self.started_at = time.monotonic()
        self.program = Program(arguments + ["127.0.0.1:%d" % port, "1000"], self.output, cwd=folder)
        self.path = self.output.name

    def counts(self):
        with open(self.path, "rb") as output:
            output.seek(max(0, os.path.getsize(self.path) - 200))
            lines = [line for line in output.read().split(b"\r") if b"mesg=" in line]
        if len(lines) < 2:
            return 0, 0
        fields = dict(field.split(b"=") for field in lines[-2].split() if b"=" in field)
        return int(fields[b"mesg"]), int(fields[b"sess"])

    def stop(self):
        self.program.stop()
        self.output.close()


def source(port, messages, protocol, sessions):
    arguments = [SOURCE, "-s", str(sessions), "-m", str(messages), "-l", "4096", "-d", "-f", "a@example.org", "-t", "user@stores.example"]
    done = subprocess.run(arguments + protocol + ["127.0.0.1:%d" % port], capture_output=True, text=True)
    if done.returncode != 0:
        raise BenchError(done.stderr)


def drain(options, folder):
    messages = options.messages or 100000
    store_port = free_port()
    gateway = Gateway(options.binary, folder, {"stores": store_port})
    gateway.start()
    sink = None
    try:
        began = time.monotonic()
        source(gateway.port, messages, [], 50)
        wait_until(lambda: gateway.queued() >= messages, "everything to be queued", 60, 0.2)
        print("queued %d messages of 4 KiB in %.1f s; resident %.0f MB" % (
            messages, time.monotonic() - began, gateway.resident()[0] / 1e6))
        sink = CountingSink(store_port, folder)
        first, samples = None, []
        while True:
            time.sleep(0.02)
            gateway.program.check()
            delivered, sessions = sink.counts()
            now = time.monotonic() - sink.started_at
            if delivered > 0 and first is None:
                first = now
            if not samples or now - samples[-1][0] >= 1:
                samples.append((now, delivered, sessions))
            if gateway_done(delivered, messages):
                break
            if now > 600:
                raise BenchError("only %d delivered" % delivered)
        wait_until(lambda: gateway.queued() == 0, "an empty queue", 60, 0.05)
        took = time.monotonic() - sink.started_at
        delivered, sessions = sink.counts()
        most = gateway.resident()[1]
        ceiling_began = time.monotonic()
        source(store_port, messages // 4, ["-L"], 20)
        ceiling = messages / 4 / (time.monotonic() - ceiling_began)
    finally:
        gateway.stop()
        if sink:
            sink.stop()
    rate = messages / (took - first)
    connects = [later[2] - earlier[2] for earlier, later in zip(samples, samples[1:])] or [sessions]
    print("drain starts %.2f s after the store's return (at most 2)" % first)
    print("%.0f recipients/s to an empty queue (at least 2000); the bare tools: %.0f/s, ratio %.2f" % (rate, ceiling, rate / ceiling))
    print("connections: %d in all, at most %d in a second (20 at once allowed)" % (sessions, max(connects)))
    print("resident memory, most: %.0f MB (at most 150)" % (most / 1e6))
    return first <= 2 and rate >= 2000 and most < 150e6


def gateway_done(delivered, messages):
    return delivered >= messages - 1  # smtp-sink's count is read one line late


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["hung", "drain"])
    parser.add_argument("--binary", default=os.path.join(REPOSITORY, "build/gateway/main/postern"))
    parser.add_argument("--messages", type=int)
    parser.add_argument("--rounds", type=int, default=5, help="hung: how often the phases alternate")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="postern-outage-", dir=os.environ.get("TMPDIR", "/var/tmp")) as folder:
        os.chmod(folder, 0o755)
        try:
            good = {"hung": hung, "drain": drain}[options.what](options, folder)
        except BenchError as error:
            print(error, file=sys.stderr)
            return 2
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
