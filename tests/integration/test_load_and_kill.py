"""kill -9 and power cuts in the middle of a load of 50 sessions: each message answered 250 reaches the store, no recipient is lost."""
import os
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import Gateway, MemoryStore, wait_until

ROUNDS = int(os.environ.get("POSTERN_ROUNDS", "20"))
SESSIONS = 50
CONNECTIONS = 20  # to the store, the default
RECIPIENTS = ("one", "two")


class Load:
    """50 sessions that send until they are cut off. `answered`: the tokens of messages that got their 250."""

    def __init__(self, port, prefix):
        self.port = port
        self.prefix = prefix
        self.answered = {}  # token -> when
        self.lock = threading.Lock()
        self.stopping = False
        self.threads = [threading.Thread(target=self.session, args=(number,), daemon=True) for number in range(SESSIONS)]
        for thread in self.threads:
            thread.start()

    def session(self, number):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=60) as client:
                stream = client.makefile("rwb")

                def command(text, expected):
                    stream.write(text)
                    stream.flush()
                    while True:
                        line = stream.readline()
                        if not line.startswith(expected):
                            raise OSError(line)
                        if line[3:4] != b"-":
                            return
                command(b"", b"220")
                command(b"EHLO load.example.org\r\n", b"250")
                count = 0
                while not self.stopping:
                    count += 1
                    token = "%s-%d-%d" % (self.prefix, number, count)
                    command(b"MAIL FROM:<a@example.org>\r\n", b"250")
                    for recipient in RECIPIENTS:
                        command(b"RCPT TO:<%s@example.com>\r\n" % recipient.encode(), b"250")
                    command(b"DATA\r\n", b"354")
                    command(b"Subject: %s\r\n\r\n%s\r\n.\r\n" % (token.encode(), b"x" * 2000), b"250")
                    with self.lock:
                        self.answered[token] = time.monotonic()
        except OSError:
            pass

    def await_messages(self, count):
        wait_until(lambda: len(self.answered) >= count, "messages under load")

    def join(self):
        self.stopping = True
        for thread in self.threads:
            thread.join(60)


def check_all_there(gateway, store, answered, what, transactions=1):
    expected = {(token, recipient + "@example.com") for token in answered for recipient in RECIPIENTS}

    def missing():
        with store.lock:
            return expected - store.received.keys()
    try:
        wait_until(lambda: not missing(), "delivery of all that was answered 250", 180)
    except AssertionError:
        raise AssertionError("%d of %d lost after %s" % (len(missing()), len(expected), what))
    wait_until(lambda: gateway.list() == [], "empty queue", 180)
    # A connection takes its next transaction when the results of the last are flushed. So what a crash can repeat is one transaction of each
    # connection: taken by the store, and not yet in the queue.
    duplicates = sum(times - 1 for times in store.received.values())
    most = ROUNDS * CONNECTIONS * len(RECIPIENTS) * transactions
    print("%s: %d messages answered 250, none lost, %d of %d deliveries repeated (in flight when it stopped: at most %d)" % (
        what, len(answered), duplicates, len(expected), most))
    assert duplicates <= most


def test_kill_9_under_load_loses_nothing(gateway, store):
    answered = {}
    for number in range(ROUNDS):
        load = Load(gateway.port, "kill%d" % number)
        load.await_messages(60 + 13 * number % 90)
        gateway.stop(signal.SIGKILL)
        load.join()
        answered.update(load.answered)
        gateway.start()
    check_all_there(gateway, store, answered, "kill -9, %d times" % ROUNDS)


def sh(*arguments, check=True):
    return subprocess.run(arguments, check=check, capture_output=True, text=True)


@pytest.fixture
def small_disk(tmp_path):
    if os.geteuid() != 0 or shutil.which("xfs_io") is None:
        pytest.skip("needs root and xfs_io")
    image = tmp_path / "disk"
    with open(image, "wb") as file:
        file.truncate(512 << 20)
    sh("mkfs.ext4", "-q", "-F", str(image))
    mount = tmp_path / "mount"
    mount.mkdir()
    if sh("mount", "-o", "loop", str(image), str(mount), check=False).returncode != 0:
        pytest.skip("cannot mount a loop device here")
    yield image, mount
    sh("umount", "-l", str(mount), check=False)


def test_power_cuts_under_load_lose_nothing(small_disk, tmp_path, store):
    image, mount = small_disk
    gateway = Gateway(tmp_path, [f"127.0.0.1:{store.port}"])
    gateway.config.write_text(gateway.config.read_text().replace(f"{tmp_path}/queue.db", f"{mount}/queue.db"))
    gateway.start()
    answered = {}
    for number in range(ROUNDS):
        load = Load(gateway.port, "cut%d" % number)
        load.await_messages(60 + 17 * number % 90)
        cut = time.monotonic()
        sh("xfs_io", "-x", "-c", "shutdown", str(mount))
        gateway.stop(signal.SIGKILL)
        load.join()
        # A flush that was under way in the moment of the cut may still have reported success: such replies do not count.
        answered.update({token: when for token, when in load.answered.items() if when < cut - 0.05})
        wait_until(lambda: sh("umount", str(mount), check=False).returncode == 0, "umount")
        sh("mount", "-o", "loop", str(image), str(mount))
        gateway.start()
    # A flush that reported success in the moment of the cut let the connections go on, each to a second transaction.
    check_all_there(gateway, store, answered, "power cut, %d times" % ROUNDS, transactions=2)
    assert gateway.stop() == 0
