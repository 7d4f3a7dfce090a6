#!/usr/bin/env python3
"""What `recipients: ask` with a warm memory costs beside `recipients: any`: the CPU time of the gateway a message, in alternating runs of two
gateways on the same store, which knows some mailboxes and refuses every other name. For a line of the table: 1 recipient and 20 a message.

    tests/bench/recipients.py [--binary build/gateway/main/postern] [--pairs 5] [--messages 3000]
"""
import argparse
import os
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from load import SOURCE
from processes import BenchError, Program, free_port, wait_until

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
REQUIRED = 1.3
DOMAIN = "bench.example"


class SelectiveStore:
    """Takes every name that ends in "user", throws the mail away, and counts what it was asked for without getting a message."""

    def __init__(self):
        self.questions = 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        stream = client.makefile("rwb")
        stream.write(b"220 store LMTP\r\n")
        stream.flush()
        recipients = 0
        line = stream.readline()
        while line:
            verb = line[:4].upper()
            if verb == b"LHLO":
                stream.write(b"250-store\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-CHUNKING\r\n250 ENHANCEDSTATUSCODES\r\n")
            elif verb == b"RCPT":
                if b"user@" in line:
                    recipients += 1
                    stream.write(b"250 2.1.5 ok\r\n")
                else:
                    stream.write(b"550 5.1.1 no such user\r\n")
            elif verb == b"BDAT":
                stream.read(int(line.split()[1]))
                stream.write(b"250 2.0.0 stored\r\n" * recipients)
            else:
                if verb == b"RSET":
                    self.questions += 1
                recipients = 0 if verb in (b"MAIL", b"RSET") else recipients
                stream.write(b"250 2.0.0 ok\r\n")
            stream.flush()
            line = b"" if verb == b"QUIT" else stream.readline()
        client.close()


class Gateway:
    def __init__(self, binary, folder, recipients, store_port):
        self.recipients = recipients
        self.port = free_port()
        self.folder = os.path.join(folder, recipients)
        os.mkdir(self.folder)
        self.queue = os.path.join(self.folder, "queue.db")
        config = os.path.join(self.folder, "postern.yaml")
        with open(config, "w") as text:
            text.write("""\
hostname: mx.bench.example
listeners: [ { address: "127.0.0.1:%d" } ]
limits: { connections_per_client: 2000 }
queue: { path: %s, minimum_free_disk: 1MiB }
domains: { %s: { backend: stores, recipients: %s } }
backends: { stores: { endpoints: ["127.0.0.1:%d"] } }
""" % (self.port, self.queue, DOMAIN, recipients, store_port))
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.program = Program([binary, "serve", "-c", config], log)
        wait_until(self.is_ready, "the gateway")

    def is_ready(self):
        self.program.check()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def queued(self):
        connection = sqlite3.connect("file:%s?mode=ro" % self.queue, uri=True)
        try:
            return connection.execute("SELECT count(*) FROM message").fetchone()[0]
        finally:
            connection.close()

    def load(self, messages, recipients):
        """The CPU seconds a message, up to an empty queue and a little more for what is put off."""
        before = self.program.cpu_seconds()
        arguments = [SOURCE, "-s", "20", "-d", "-m", str(messages), "-l", "4096", "-M", "client.example.org", "-f", "sender@example.org", "-t",
                     "user@" + DOMAIN]
        if recipients > 1:
            arguments += ["-r", str(recipients)]
        done = subprocess.run(arguments + ["127.0.0.1:%d" % self.port], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BenchError("smtp-source: " + done.stderr[-500:])
        wait_until(lambda: self.queued() == 0, "an empty queue", 120, 0.05)
        time.sleep(2.5)
        return (self.program.cpu_seconds() - before) / messages


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=os.path.join(REPOSITORY, "build/gateway/main/postern"))
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--messages", type=int, default=3000)
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="postern-bench.", dir=os.environ.get("TMPDIR", "/var/tmp"))
    gateways = []
    try:
        store = SelectiveStore()
        for recipients in ("any", "ask"):
            gateways.append(Gateway(options.binary, folder, recipients, store.port))
        fell_short = False
        for recipients in (1, 20):
            messages = options.messages if recipients == 1 else max(100, options.messages // 4)
            for gateway in gateways:
                gateway.load(200, recipients)  # whatever is asked for is known from here on
            asked = store.questions
            figures = [[gateway.load(messages, recipients) for gateway in gateways] for _ in range(options.pairs)]
            ratio = statistics.median(ask / any_ for any_, ask in figures)
            fell_short = fell_short or ratio >= REQUIRED
            print("%2d recipients: any %.0f us, ask %.0f us of CPU a message (medians of %d), ratio %.2f (required: below %.1f); asked %d times"
                  % (recipients, statistics.median(f[0] for f in figures) * 1e6, statistics.median(f[1] for f in figures) * 1e6,
                     options.pairs, ratio, REQUIRED, store.questions - asked), flush=True)
        sys.exit(1 if fell_short else 0)
    except BenchError as error:
        sys.exit("bench: %s" % error)
    finally:
        for gateway in gateways:
            gateway.program.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
