"""Which recipients are taken: asked for at their store, listed, in a file, in a database; and what is refused while the sender is on the line."""
import json
import os
import pathlib
import socket
import sqlite3
import subprocess
import tempfile
import threading

import pytest

from conftest import Gateway, MemoryStore, ask, wait_until
from test_dovecot import DOVECOT, Dovecot


class Directory(MemoryStore):
    """Knows its mailboxes: what is not in `answers` and begins with none of `known` is unknown. Remembers what was asked, and how many
    transactions there were."""

    def __init__(self, port=None, greeting=None):
        self.known = ("user", "full-")
        self.answers = {}
        self.asked = []
        self.transactions = 0
        self.silent = threading.Event()
        self.go_on = threading.Event()
        if greeting:
            self.greeting = greeting
        super().__init__(port)

    def answer_rcpt(self, recipient):
        if self.silent.is_set():
            self.go_on.wait()
        local = recipient.split("@")[0]
        with self.lock:
            if not self.asked or self.asked[-1][0] != threading.get_ident() or local.startswith("no-such-mailbox-"):
                self.transactions += 1
            self.asked.append((threading.get_ident(), recipient))
        if local in self.answers:
            return self.answers[local]
        return "250 2.1.5 ok" if local.startswith(self.known) else "550 5.1.1 unknown"

    def questions(self, local=""):
        with self.lock:
            names = [recipient.split("@")[0] for _, recipient in self.asked]
        return [name for name in names if name.startswith(local) and not name.startswith("no-such-mailbox-")]


class Client:
    """One session, up to and with MAIL. `proxy`: the address that it seems to come from."""

    def __init__(self, port, proxy=None, mail=b"MAIL FROM:<a@example.org>"):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.stream = self.socket.makefile("rwb")
        if proxy:
            self.stream.write(b"PROXY TCP4 %s 127.0.0.1 1000 25\r\n" % proxy.encode())
            self.stream.flush()
        self.greeting = self.stream.readline()
        if self.greeting.startswith(b"220"):
            ask(self.stream, b"EHLO client.example.org\r\n")
            self.mail = ask(self.stream, mail + b"\r\n")

    def rcpt(self, local, domain="example.com"):
        return ask(self.stream, f"RCPT TO:<{local}@{domain}>\r\n".encode()).decode()

    def data(self, content=b"Subject: token\r\n\r\nx\r\n"):
        assert ask(self.stream, b"DATA\r\n").startswith(b"354")
        return ask(self.stream, content + b".\r\n").decode()

    def close(self):
        self.stream.close()
        self.socket.close()


@pytest.fixture
def directory():
    made = Directory()
    yield made
    made.go_on.set()
    made.close()


@pytest.fixture
def start(tmp_path):
    """Starts a gateway; stops it in the end, if the test has not."""
    started = []

    def go(store, replace=("", ""), **options):
        gateway = Gateway(tmp_path, [f"127.0.0.1:{store.port}"], **options)
        gateway.config.write_text(gateway.config.read_text().replace(*replace))
        gateway.start()
        started.append(gateway)
        return gateway
    yield go
    for gateway in started:
        if gateway.process.process.poll() is None:
            assert gateway.stop() == 0


def check_of(gateway, local):
    done = gateway.run("route", f"{local}@example.com", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["check"]


def test_unknown_and_full_hear_it_in_session_and_the_store_is_asked_once(start, directory):
    directory.answers["over"] = "452 4.2.2 quota exceeded"
    gateway = start(directory, recipients="ask")
    for _ in range(3):
        client = Client(gateway.port)
        assert client.rcpt("user1").startswith("250 2.1.5 ")
        assert client.rcpt("nobody").startswith("550 5.1.1 <nobody@example.com>: unknown")
        assert client.rcpt("over").startswith("452 4.2.2 <over@example.com>: quota exceeded")
        client.close()
    assert directory.questions() == ["user1", "nobody", "over"]
    assert gateway.list() == []
    wait_until(lambda: "taken: the store said 250" in check_of(gateway, "user1"), "the file of known recipients")
    assert "unknown: the store said 550 5.1.1 unknown" in check_of(gateway, "nobody")
    assert "full: the store said 452" in check_of(gateway, "over")
    assert "not known yet" in check_of(gateway, "user2")


def test_ask_is_the_default_and_postmaster_is_never_refused(start, directory):
    gateway = start(directory, replace=(", recipients: any", ""))
    client = Client(gateway.port)
    assert client.rcpt("nobody").startswith("550 5.1.1")
    assert client.rcpt("PostMaster").startswith("250")
    assert ask(client.stream, b"RCPT TO:<postmaster>\r\n").startswith(b"250")
    client.close()


def test_a_batch_is_asked_about_in_one_transaction(start, directory):
    gateway = start(directory, recipients="ask")
    client = Client(gateway.port)
    names = [f"user{number}" if number % 2 else f"nobody{number}" for number in range(18)]  # 9 errors: one more would hang up
    client.stream.write("".join(f"RCPT TO:<{name}@example.com>\r\n" for name in names).encode())
    client.stream.flush()
    replies = [client.stream.readline()[:3] for _ in names]
    assert replies == [b"250" if name.startswith("user") else b"550" for name in names]
    assert directory.questions() == names
    assert directory.transactions == 1
    client.close()


def test_of_a_batch_nobody_is_asked_for_who_is_not_ours(start, directory):
    gateway = start(directory, recipients="ask")
    client = Client(gateway.port)
    names = ["user1@example.com", "spy@elsewhere.example", "user%elsewhere.example@example.com", "postmaster@example.com", "user2@example.com"]
    client.stream.write("".join(f"RCPT TO:<{name}>\r\n" for name in names).encode())
    client.stream.flush()
    assert [client.stream.readline()[:3] for _ in names] == [b"250", b"550", b"550", b"250", b"250"]
    assert directory.questions() == ["user1", "user2"]
    with directory.lock:
        assert not any("elsewhere" in recipient for _, recipient in directory.asked), "nor any sample of their domains"
    client.close()


def test_many_sessions_ask_about_the_same_recipient_once(start, directory):
    directory.silent.set()
    gateway = start(directory, recipients="ask", extra="ask: { timeout: 60s }")
    clients = [Client(gateway.port) for _ in range(8)]
    for client in clients:
        client.stream.write(b"RCPT TO:<user1@example.com>\r\n")
        client.stream.flush()
    directory.go_on.set()
    for client in clients:
        assert client.stream.readline().startswith(b"250")
        client.close()
    assert directory.questions() == ["user1"]


def test_what_is_known_outlives_a_restart_and_serves_while_the_store_is_down(start, directory):
    gateway = start(directory, recipients="ask", extra="ask: { negative: 1s, refresh: 1s, timeout: 60s }")
    client = Client(gateway.port)
    assert client.rcpt("user1").startswith("250")
    assert client.rcpt("nobody").startswith("550")
    client.close()
    assert gateway.stop() == 0
    directory.close()
    gateway.start()

    def heard(local):
        client = Client(gateway.port)
        reply = client.rcpt(local)
        client.close()
        return reply
    # Unknown is believed for a second here; then the store would be asked, and there is none.
    wait_until(lambda: heard("nobody").startswith("450 4.4.1"), "an answer that is too old to be believed")
    client = Client(gateway.port)
    assert client.rcpt("user1").startswith("250")
    assert client.rcpt("user-never-seen").startswith("250")
    assert client.data().startswith("250")
    client.close()
    gateway.process.await_line(" asking_failed backend=stores ")
    again = Directory(directory.port)
    wait_until(lambda: len(again.received) == 2, "delivery once the store is back")
    assert {recipient for _, recipient in again.received} == {"user1@example.com", "user-never-seen@example.com"}
    again.close()


def test_a_store_that_takes_everything_is_not_asked_for_each(start, directory):
    directory.known = ("",)
    gateway = start(directory, recipients="ask")
    client = Client(gateway.port)
    for number in range(5):
        assert client.rcpt(f"anybody{number}").startswith("250")
    client.close()
    assert directory.questions() == ["anybody0"]
    wait_until(lambda: "the domain takes everything" in check_of(gateway, "anybody9"), "the file of known recipients")


def test_a_store_that_does_not_answer_costs_one_wait_and_no_mail(start, directory):
    directory.silent.set()
    gateway = start(directory, recipients="ask", extra="ask: { timeout: 100ms }")
    client = Client(gateway.port)
    assert client.rcpt("user1").startswith("250")
    gateway.process.await_line(" asking_failed .*takes too long")
    for number in range(50):  # 5 s if each waited, and far more with a patient store; none is asked about
        assert client.rcpt(f"nobody{number}").startswith("250")
    assert directory.questions() == []
    client.close()


def test_deliveries_teach(start, directory):
    """A store that says only after the data what it thinks of a recipient."""
    directory.known = ("",)

    class Late(Directory):
        def take(self, content, recipients, say):
            for recipient in recipients:
                say({"gone": "550 5.1.1 no such user", "full": "552 5.2.2 does not fit"}.get(recipient.split("@")[0], "250 2.0.0 stored"))

    late = Late()
    late.known = ("",)
    gateway = start(late, recipients="ask")
    client = Client(gateway.port)
    for local in ("gone", "full", "well"):
        assert client.rcpt(local).startswith("250")
    assert client.data().startswith("250")
    gateway.process.await_line(" failed .*to=gone@example.com")
    gateway.process.await_line(" failed .*to=full@example.com")
    client.close()
    client = Client(gateway.port)
    assert client.rcpt("gone").startswith("550 5.1.1 <gone@example.com>: no such user")
    assert client.rcpt("full").startswith("452 4.2.2")  # a smaller message may fit
    assert client.rcpt("well").startswith("250")
    client.close()
    late.close()


def test_a_mailbox_that_took_mail_is_not_refused_for_good_at_once(start, directory):
    gateway = start(directory, recipients="ask", extra="ask: { negative: 0, refresh: 1s, positive: 1h }")
    client = Client(gateway.port)
    assert client.rcpt("user1").startswith("250")
    directory.answers["user1"] = "550 5.1.1 user table is empty"

    def doubted():
        reply = client.rcpt("user1")
        assert reply[:3] in ("250", "450"), reply
        return reply.startswith("450 4.1.1")
    wait_until(doubted, "the refresh")
    assert client.rcpt("nobody").startswith("550")
    directory.answers.clear()
    wait_until(lambda: client.rcpt("user1").startswith("250"), "the store to know it again")
    client.close()


def test_a_backend_that_forgets_its_mailboxes_returns_no_mail(start, directory):
    gateway = start(directory, recipients="ask", extra="ask: { negative: 0, refresh: 1s }")
    client = Client(gateway.port)
    names = [f"user{number}" for number in range(25)]
    assert all(client.rcpt(name).startswith("250") for name in names)
    assert client.rcpt("nobody").startswith("550 5.1.1")
    directory.known = ()
    wait_until(lambda: all(client.rcpt(name).startswith("450 4.1.1") for name in names), "all of them to be in doubt")
    gateway.process.await_line(" error recipients_doubted backend=stores ")
    assert client.rcpt("nobody").startswith("450 4.1.1")  # who knows
    directory.known = ("user",)
    wait_until(lambda: all(client.rcpt(name).startswith("250") for name in names), "all of them to be known again")
    gateway.process.await_line(" recipients_trusted backend=stores")
    assert client.rcpt("nobody").startswith("550 5.1.1")
    client.close()


def test_what_the_store_cannot_take_is_refused_in_session(start, directory):
    directory.greeting = "250-store\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250 ENHANCEDSTATUSCODES"
    gateway = start(directory, recipients="ask")

    def session(mail):
        client = Client(gateway.port, mail=mail)
        assert client.mail.startswith(b"250"), client.mail
        return client
    client = session(b"MAIL FROM:<a@example.org> SIZE=2000")
    assert client.rcpt("user1")[:3] in ("250", "552")  # nothing is known of the store yet; asking about user1 tells, soon enough or not
    wait_until(lambda: client.rcpt("user2").startswith("552 5.3.4 The mailbox store takes at most 1000"), "what was asked to end")
    client.close()
    client = session(b"MAIL FROM:<a@example.org> SMTPUTF8 BODY=8BITMIME")
    assert client.rcpt("us\u00e9r").startswith("553 5.6.7")
    assert client.rcpt("user1").startswith("250")
    assert client.data().startswith("250 2.0.0 queued")  # declared, and not used
    client.close()
    client = session("MAIL FROM:<\u00e9@example.org> SMTPUTF8".encode())
    assert client.rcpt("user1").startswith("550 5.6.7")
    client.close()
    for mail, content, refusal in ((b"MAIL FROM:<a@example.org> BODY=8BITMIME", "caf\u00e9\r\n".encode(), "554 5.6.3"),
                                   (b"MAIL FROM:<a@example.org> SMTPUTF8 BODY=8BITMIME", "caf\u00e9\r\n".encode(), "550 5.6.7"),
                                   (b"MAIL FROM:<a@example.org>", b"long line\r\n" * 100, "552 5.3.4")):
        client = session(mail)
        assert client.rcpt("user1").startswith("250")
        assert client.data(b"Subject: x\r\n\r\n" + content).startswith(refusal)
        client.close()
    wait_until(lambda: gateway.list() == [] and len(directory.received) == 1, "delivery of the one that is plain")


def test_a_list_knows_who_is_taken(start, directory):
    gateway = start(directory, recipients='[info, Sales@example.com]')
    client = Client(gateway.port)
    assert client.rcpt("INFO").startswith("250")
    assert client.rcpt("sales").startswith("250")
    assert client.rcpt("user1").startswith("550 5.1.1 <user1@example.com>: no such mailbox here")
    client.close()
    assert directory.questions() == []
    assert check_of(gateway, "info") == "list; it is in it"
    assert check_of(gateway, "user1") == "list; it is not in it; RCPT hears 550 5.1.1"


def test_a_file_is_read_again_when_it_changes_and_kept_when_it_is_bad(start, directory, tmp_path):
    path = tmp_path / "recipients"
    path.write_text("# people\nuser1@example.com\n\ninfo\n")
    gateway = start(directory, recipients=f"{{ file: {path} }}")
    client = Client(gateway.port)
    assert client.rcpt("user1").startswith("250")
    assert client.rcpt("user2").startswith("550 5.1.1")
    path.write_text("user2@example.com\n")
    gateway.process.await_line(" recipients_read .*entries=1")
    assert client.rcpt("user2").startswith("250")
    assert client.rcpt("user1").startswith("550 5.1.1")
    path.write_text("")
    gateway.process.await_line(" recipients_kept .*lists nobody")
    path.write_text("user3@example.com\nuser four\n")
    gateway.process.await_line(" recipients_kept .*recipients:2: expected an address")
    assert client.rcpt("user2").startswith("250")
    assert client.rcpt("user3").startswith("550")
    client.close()
    done = gateway.run("check")
    assert done.returncode == 78 and "recipients of example.com: " in done.stderr
    done = gateway.run("reload")
    assert done.returncode != 0 and "the old configuration stays in force" in done.stdout + done.stderr


def test_a_database_is_asked_and_when_it_cannot_be_nobody_is_refused_for_good(start, directory, tmp_path):
    path = tmp_path / "mailboxes.db"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE mailbox (address TEXT PRIMARY KEY)")
    database.execute("INSERT INTO mailbox VALUES ('user1@example.com')")
    database.commit()
    query = "SELECT 1 FROM mailbox WHERE address = ?"
    gateway = start(directory, recipients=f'{{ sqlite: {path}, query: "{query}" }}')
    client = Client(gateway.port)
    assert client.rcpt("User1").startswith("250")
    assert client.rcpt("o'brien").startswith("550 5.1.1")  # no text of a stranger becomes SQL
    database.execute("INSERT INTO mailbox VALUES ('user2@example.com')")
    database.commit()
    assert client.rcpt("user2").startswith("250")
    database.execute("BEGIN EXCLUSIVE")
    assert client.rcpt("user2").startswith("451 4.3.0")
    gateway.process.await_line(" recipients_unreadable .*locked")
    database.rollback()
    assert client.rcpt("user2").startswith("250")
    database.close()
    fresh = tmp_path / "fresh.db"
    database = sqlite3.connect(fresh)
    database.execute("CREATE TABLE mailbox (address TEXT PRIMARY KEY)")
    database.execute("INSERT INTO mailbox VALUES ('user3@example.com')")
    database.commit()
    database.close()
    fresh.replace(path)  # the usual way to bring a new one
    assert client.rcpt("user3").startswith("250")
    assert client.rcpt("user1").startswith("550 5.1.1")
    path.unlink()
    assert client.rcpt("user3").startswith("451 4.3.0")
    client.close()
    assert "RCPT hears 451" in check_of(gateway, "user3")


def test_who_tries_out_names_is_refused_and_nobody_else(start, directory):
    gateway = start(directory, recipients="ask", listener='proxy_protocol: ["127.0.0.1/32"]\n    trusted: ["192.0.2.77"]',
                    replace=("limits: {", "limits: { unknown_recipients_per_hour: 3,"))
    client = Client(gateway.port, proxy="192.0.2.1")
    for number in range(3):
        assert client.rcpt(f"nobody{number}").startswith("550 5.1.1")
    assert client.rcpt("user1").startswith("421 4.7.1")
    assert client.stream.readline() == b""
    client.close()
    assert Client(gateway.port, proxy="192.0.2.1").greeting.startswith(b"421 4.7.1")
    friend = Client(gateway.port, proxy="192.0.2.77")
    for number in range(5):
        assert friend.rcpt(f"nobody{number}").startswith("550 5.1.1")
    other = Client(gateway.port, proxy="192.0.2.2")
    assert other.rcpt("user1").startswith("250")
    clever = Client(gateway.port, proxy="192.0.2.3")
    for number in range(3):
        assert clever.rcpt("user1").startswith("250"), "to ask for somebody who is there proves nothing"
        assert clever.rcpt(f"guess{number}").startswith("550 5.1.1")
    assert clever.rcpt("user1").startswith("421 4.7.1")
    honest = Client(gateway.port, proxy="192.0.2.4")
    assert honest.rcpt("moved0").startswith("550 5.1.1")
    for number in range(3):
        assert honest.rcpt("user1").startswith("250") and honest.data().startswith("250")
        ask(honest.stream, b"MAIL FROM:<a@example.org>\r\n")
    for number in range(2):
        assert honest.rcpt(f"moved{number + 1}").startswith("550 5.1.1")
    assert honest.rcpt("user2").startswith("250"), "it has given as much mail"
    for session in (friend, other, clever, honest):
        session.close()


def test_check_reads_the_certificates(start, directory, tmp_path):
    gateway = start(directory)
    for name in ("one", "two"):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj",
                        "/CN=mx.example.com", "-keyout", tmp_path / f"{name}.key", "-out", tmp_path / f"{name}.pem"], check=True, capture_output=True)
    text = gateway.config.read_text()
    tls = f"tls: {{ certificate: {tmp_path}/one.pem, key: {tmp_path}/%s.key }}"
    address = f'  - address: "127.0.0.1:{gateway.port}"\n'
    gateway.config.write_text(text.replace(address, address + "    " + tls % "one" + "\n"))
    assert gateway.run("check").returncode == 0
    gateway.config.write_text(text.replace(address, address + "    " + tls % "two" + "\n"))
    done = gateway.run("check")
    assert done.returncode == 78 and "two.key" in done.stderr, done.stderr


@pytest.fixture
def dovecot():
    if DOVECOT is None or os.geteuid() != 0:
        pytest.skip("needs dovecot-lmtpd and root")
    with tempfile.TemporaryDirectory(prefix="postern-dovecot-") as name:
        folder = pathlib.Path(name)
        os.chmod(folder, 0o755)
        made = Dovecot(folder)
        with open(made.config, "a") as config:
            config.write("lmtp_rcpt_check_quota = yes\n")
        made.start()
        yield made
        made.stop()


def test_dovecot_is_asked_and_when_it_is_down_what_it_said_serves(start, dovecot):
    gateway = start(dovecot, recipients="ask")
    client = Client(gateway.port)
    assert client.rcpt("ok").startswith("250")
    assert client.data(b"Subject: first\r\n\r\nx\r\n").startswith("250")
    client.close()
    wait_until(lambda: dovecot.messages("ok"), "delivery")
    # Ten octets are the quota; Dovecot sees that it is exceeded once there is anything.
    folder = dovecot.folder / "mail" / "full"
    (folder / "new").mkdir(parents=True)
    (folder / "cur").mkdir()
    (folder / "tmp").mkdir()
    (folder / "new" / "1.first.host").write_text("Subject: there already\n\nmore than ten octets\n")
    for root, folders, files in os.walk(folder):
        for each in [root] + [os.path.join(root, one) for one in folders + files]:
            os.chmod(each, 0o777)
            os.chown(each, 65534, 65534)
    client = Client(gateway.port)
    assert client.rcpt("nobody-here").startswith("550 5.1.1")
    assert client.rcpt("full").startswith(("452 4.2.2", "552 5.2.2"))
    client.close()
    wait_until(lambda: gateway.list() == [], "an empty queue: nothing was taken that would be reported")
    dovecot.stop()
    client = Client(gateway.port)
    assert client.rcpt("ok").startswith("250")
    assert client.data(b"Subject: second\r\n\r\nx\r\n").startswith("250")
    client.close()
    gateway.process.await_line(" endpoint_down ")
    dovecot.start()
    wait_until(lambda: len(dovecot.messages("ok")) == 2, "delivery after Dovecot's return")
