"""Starts the real binary on free ports of the loopback, in a folder of its own, and waits for its events, never for time alone."""
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

POSTERN = os.environ.get("POSTERN", os.path.join(os.path.dirname(__file__), "../../build/gateway/main/postern"))
PATIENCE = 120  # seconds, for a machine under load; nothing waits that long when all is well


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, what, patience=PATIENCE):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.02)
    raise AssertionError("never happened: " + what)


def ask(stream, text):
    """Says it, and returns the last line of the reply."""
    stream.write(text)
    stream.flush()
    while True:
        line = stream.readline()
        if line[3:4] != b"-":
            return line


class Process:
    """One program with its log kept in a file."""

    def __init__(self, arguments, log, **options):
        self.log = str(log)
        self.output = open(self.log, "ab")
        self.start = os.path.getsize(self.log)
        self.process = subprocess.Popen(arguments, stdout=self.output, stderr=self.output, **options)

    def text(self):
        with open(self.log, errors="replace") as log:
            log.seek(self.start)
            return log.read()

    def await_line(self, pattern):
        def found():
            match = re.search(pattern, self.text(), re.M)
            if not match and self.process.poll() is not None:
                raise AssertionError("ended with %s:\n%s" % (self.process.returncode, self.text()))
            return match
        return wait_until(found, "log line " + pattern)

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
        status = self.process.wait(PATIENCE)
        self.output.close()
        return status


class Gateway:
    def __init__(self, folder, endpoints, extra="", recipients="any", listener=""):
        self.folder = folder
        self.port = free_port()
        self.config = folder / "postern.yaml"
        self.config.write_text(f"""
hostname: mx.example.com
listeners:
  - address: "127.0.0.1:{self.port}"
    {listener}
queue: {{ path: {folder}/queue.db, minimum_free_disk: 1MiB }}
domains:
  example.com: {{ backend: stores, recipients: {recipients} }}
backends:
  stores: {{ endpoints: {json.dumps(endpoints)} }}
retry: {{ first: 1s, maximum: 2s }}
limits: {{ connections_per_client: 500 }}
screening: {{ reverse_names: off, sender_domains: off }}
{extra}
""")
        self.process = None

    def start(self):
        self.process = Process([POSTERN, "serve", "-c", str(self.config)], self.folder / "gateway.log")
        self.process.await_line(" ready ")

    def stop(self, how=signal.SIGTERM):
        return self.process.stop(how)

    def run(self, *arguments):
        return subprocess.run([POSTERN, *arguments, "-c", str(self.config)], capture_output=True, text=True, timeout=PATIENCE)

    def list(self):
        done = self.run("queue", "list", "--json")
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def states(self):
        return {recipient["address"]: recipient["state"] for message in self.list() for recipient in message["recipients"]}


class MemoryStore(threading.Thread):
    """An LMTP store that remembers which tokens each recipient got. Local parts: full-* 452, gone-* 550, else 250."""

    host = "127.0.0.1"
    greeting = "250-store\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES"

    def __init__(self, port=None):
        super().__init__(daemon=True)
        self.port = port or free_port()
        self.received = {}  # (token, recipient) -> times
        self.contents = []
        self.lock = threading.Lock()
        self.listener = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((self.host, self.port))
        self.listener.listen(200)
        self.open = []
        self.start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.open.append(client)
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def close(self):
        if self.listener.fileno() < 0:
            return
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for client in self.open:
            try:
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def serve(self, client):
        stream = client.makefile("rwb")

        def say(text):
            stream.write(text.encode() + b"\r\n")

        try:
            say("220 store LMTP")
            stream.flush()
            recipients = []
            for line in stream:
                verb = line[:4].upper()
                if verb == b"LHLO":
                    say(self.greeting)
                elif verb == b"RCPT":
                    recipient = line.split(b"<")[1].split(b">")[0].decode()
                    answer = self.answer_rcpt(recipient)
                    if answer.startswith("2"):
                        recipients.append(recipient)
                    say(answer)
                elif verb == b"DATA":
                    if not recipients:
                        say("503 5.5.1 no recipients")
                        stream.flush()
                        continue
                    say("354 go")
                    stream.flush()
                    content = []
                    for part in stream:
                        if part == b".\r\n":
                            break
                        content.append(part[1:] if part.startswith(b".") else part)
                    else:
                        return  # the client has gone in the midst of it
                    self.take(b"".join(content), recipients, say)
                    recipients = []
                elif verb == b"QUIT":
                    say("221 2.0.0 bye")
                    stream.flush()
                    return
                else:
                    if verb in (b"MAIL", b"RSET"):
                        recipients = []
                    say("250 2.0.0 ok")
                stream.flush()
        except (OSError, ValueError):
            pass
        finally:
            client.close()

    def answer_rcpt(self, recipient):
        return "550 5.1.1 unknown" if recipient.startswith("gone-") else "250 2.1.5 ok"

    def take(self, content, recipients, say):
        token = re.search(rb"^Subject: (.*)\r$", content, re.M)
        with self.lock:
            self.contents.append(content)
            for recipient in recipients:
                if recipient.startswith("full-"):
                    say("452 4.2.2 full")
                    continue
                key = (token.group(1).decode() if token else "", recipient)
                self.received[key] = self.received.get(key, 0) + 1
                say("250 2.0.0 stored")


@pytest.fixture
def store():
    made = MemoryStore()
    yield made
    made.close()


@pytest.fixture
def gateway(tmp_path, store):
    made = Gateway(tmp_path, [f"127.0.0.1:{store.port}"])
    made.start()
    yield made
    if made.process.process.poll() is None:
        assert made.stop() == 0
