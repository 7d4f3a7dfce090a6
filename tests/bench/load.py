"""The load: Postfix's smtp-source as the clients and smtp-sink as the store, with the sink's own count of what has arrived."""
import os
import re
import subprocess
import threading
import time

from processes import BenchError, Program, answers, free_port, wait_until

SOURCE = "/usr/sbin/smtp-source"
SINK = "/usr/sbin/smtp-sink"
PAUSE = 0.005  # how exactly the time of the last delivery is known


class Sink:
    """smtp-sink, which takes mail and throws it away. It writes its count with every message; the last one is read now and then, so that
    counting does not become a load of its own."""

    def __init__(self, lmtp, folder):
        self.port = free_port()
        self.messages = 0
        self.changed_at = time.monotonic()
        reading, writing = os.pipe()
        arguments = [SINK, "-c", "-m", "1000"] + (["-L"] if lmtp else []) + (["-u", "nobody"] if os.geteuid() == 0 else []) + [
            "127.0.0.1:%d" % self.port, "1000"]
        self.program = Program(arguments, writing, cwd=folder)
        os.close(writing)
        self._reading = reading
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        wait_until(self.is_up, "smtp-sink", 10)

    def is_up(self):
        self.program.check()
        return answers(self.port)

    def _read(self):
        text = b""
        while not self._ended.wait(PAUSE):
            try:
                text = text[-200:] + os.read(self._reading, 1 << 20)
            except OSError:
                return
            counts = re.findall(rb"mesg=(\d+)\r", text)
            if counts and int(counts[-1]) != self.messages:
                self.messages = int(counts[-1])
                self.changed_at = time.monotonic()

    def stop(self):
        self.program.stop()
        self._ended.set()
        self._thread.join()
        os.close(self._reading)


class Load:
    """One scenario: what smtp-source is told."""

    def __init__(self, key, title, octets=4096, recipients=1, reuse=False, sessions=50):
        self.key = key
        self.title = title
        self.octets = octets
        self.recipients = recipients
        self.reuse = reuse
        self.sessions = sessions

    def run(self, port, sink, domain, messages):
        """Sends `messages` to `port` and waits until as many have arrived in `sink`. The seconds that took."""
        arguments = [SOURCE, "-s", str(self.sessions), "-m", str(messages), "-l", str(self.octets), "-M", "client.example.org",
                     "-f", "sender@example.org", "-t", "user@" + domain]
        if self.reuse:
            arguments.append("-d")
        if self.recipients > 1:
            arguments += ["-r", str(self.recipients)]
        arguments.append("127.0.0.1:%d" % port)
        target = sink.messages + messages
        began = time.monotonic()
        source = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if source.returncode != 0:
            raise BenchError("smtp-source: " + source.stdout.decode(errors="replace")[-500:])
        wait_until(lambda: sink.messages >= target, "%d messages in the store (%d are there)" % (target, sink.messages), 120, PAUSE)
        return sink.changed_at - began
