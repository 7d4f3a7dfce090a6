"""SMTP smuggling and injection through the whole of it: one message in is one message at the store, for its own recipients, however lax the store reads."""
import re
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import PATIENCE, Gateway, MemoryStore, ask, free_port, wait_until

# As in the unit tests of the content: each is one that some server has taken for the end of the data. The first is the true end; by BDAT it is content.
ENDS = [
    b"\r\n.\r\n", b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\r\n.\r", b"\r.\n", b"\n.\r", b"\r.\r\n", b"\r\n\r.\r\n", b"\r\r.\r\r", b"\r\n.\r\r\n",
    b"\r\n.\0\r\n", b"\r\n\0.\r\n", b"\r\n. \r\n", b"\r\n .\r\n", b"\r\n..\r\n", b"\r\n.\n\r\n", b"\r\n.\r\0\n", b"\r\0\n.\r\n", b"\n\r.\r\n", b"\n\n.\r\n",
    b"\r\n.\n.\r\n", b"\n.\r\n.\n", b"\r\n\n.\r\n", b"\r\n.\x8d\n",
]
STORES = {"strict": rb"\r\n\.\r\n", "lf-lf": rb"\r\n\.\r\n|\n\.\n", "lf-crlf": rb"\r?\n\.\r\n", "cr-cr": rb"\r\n\.\r\n|\r\.\r", "crlf-lf": rb"\r\n\.\r?\n",
          "any": rb"(\r\n|[\r\n])\.(\r\n|[\r\n])"}
PATH = rb'<((?:"(?:\\.|[^"\\])*"|[^"<>])*)>'
COMMANDS = rb"LHLO \S+|MAIL FROM:%s( [A-Z0-9]+(=[!-~]+)?)*|RCPT TO:%s( [A-Z0-9]+=[!-~]+)*|DATA|RSET|NOOP|QUIT" % (PATH, PATH)


class FramingStore(MemoryStore):
    """Takes what `ends` matches for the end of the content. Keeps (RCPTs, content as it came) of each message, and each command."""

    greeting = "250-store\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n250 ENHANCEDSTATUSCODES"

    def __init__(self, ends):
        self.ends = re.compile(ends)
        self.mails = []
        self.commands = []
        super().__init__()

    def serve(self, client):
        came = b""

        def until(pattern, came):
            while not (match := pattern.search(came)):
                part = client.recv(65536)
                if not part:
                    raise OSError("gone")
                came += part
            return came[:match.start()], came[match.end():]

        def say(text):
            client.sendall(text.encode() + b"\r\n")

        try:
            say("220 store LMTP")
            recipients = []
            while True:
                line, came = until(re.compile(rb"\r?\n"), came)
                self.commands.append(line)
                verb = line[:4].upper()
                if verb == b"LHLO":
                    say(self.greeting)
                elif verb == b"RCPT":
                    recipients.append(re.search(PATH, line).group(1).decode())
                    say("250 2.1.5 ok")
                elif verb == b"DATA":
                    say("354 go")
                    content, came = until(self.ends, came)
                    with self.lock:
                        self.mails.append((recipients, content))
                    for _ in recipients:
                        say("250 2.0.0 stored")
                    recipients = []
                elif verb == b"QUIT":
                    say("221 2.0.0 bye")
                    return
                else:
                    if verb == b"MAIL":
                        recipients = []
                    say("250 2.0.0 ok")
        except OSError:
            pass
        finally:
            client.close()


@pytest.fixture
def stores():
    made = {name: FramingStore(ends) for name, ends in STORES.items()}
    yield made
    for each in made.values():
        each.close()


@pytest.fixture
def gateway(tmp_path, store, stores):
    """A domain for each store, a listener for each way with bare newlines. Early talk is allowed: the framing alone must hold."""
    made = Gateway(tmp_path, [f"127.0.0.1:{store.port}"])
    made.rejecting = free_port()
    ours = f'  - address: "127.0.0.1:{made.port}"\n    early_talk: allow\n'
    text = made.config.read_text().replace(f'  - address: "127.0.0.1:{made.port}"\n', ours + ours.replace(str(made.port), str(made.rejecting)) +
                                           "    bare_newline: reject\n")
    text = text.replace("domains:\n", "domains:\n" + "".join(f"  {name}.example: {{ backend: {name}, recipients: any }}\n" for name in stores))
    text = text.replace("backends:\n", "backends:\n" + "".join(f'  {name}: {{ endpoints: ["127.0.0.1:{each.port}"] }}\n' for name, each in stores.items()))
    made.config.write_text(text.replace("limits: {", "limits: { errors_per_session: 10000, "))
    made.start()
    yield made
    if made.process.process.poll() is None:
        assert made.stop() == 0


def converse(port):
    client = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    stream = client.makefile("rwb")
    assert stream.readline().startswith(b"220 ")
    assert ask(stream, b"EHLO smuggler.example.org\r\n").startswith(b"250 ")
    return stream


def by_data(text):
    return b"DATA\r\n" + text + b"\r\n.\r\n"


def by_bdat(text):
    return b"BDAT %d LAST\r\n%s" % (len(text), text)


def by_two_chunks(text):
    """Cut within what looks like an end."""
    cut = text.index(b"text") + 6
    return b"BDAT %d\r\n%sBDAT %d LAST\r\n%s" % (cut, text[:cut], len(text) - cut, text[cut:])


def smuggled(subject, end, domain):
    return (b"Subject: %s\r\n\r\ntext%sMAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@%s>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n" % (subject, end, domain))


def send_all(port, domain, way, reject):
    """One message for each end, one behind the other. Returns {recipient: subject} of those that were taken."""
    taken = {}
    stream = converse(port)
    for number, end in enumerate(ENDS):
        if way is by_data and number == 0:
            continue  # there it is the end
        subject = b"%d-%s" % (number, way.__name__.encode())
        stream.write(b"MAIL FROM:<a@example.org> BODY=8BITMIME\r\nRCPT TO:<%s@%s>\r\n" % (subject, domain) + way(smuggled(subject, end, domain)))
        replies = [ask(stream, b"")[:3] for _ in range(3 if way is by_bdat else 4)]
        odd = end.replace(b"\r\n", b"")
        refused = b"\0" in odd or (reject and (b"\r" in odd or b"\n" in odd))
        expected = [b"250", b"250"] + {by_data: [b"354"], by_bdat: [], by_two_chunks: [b"250"]}[way] + [b"554" if refused else b"250"]
        if refused and replies[2] == b"554" and way is by_two_chunks:
            expected = [b"250", b"250", b"554", b"503"]  # it was in the first: there is no transaction for the second
        assert replies == expected, (domain, end, way, replies)
        if not refused:
            taken["%s@%s" % (subject.decode(), domain.decode())] = subject
    assert ask(stream, b"QUIT\r\n").startswith(b"221 ")  # and no reply too many before it
    return taken


@pytest.mark.parametrize("reject", [False, True], ids=["normalize", "reject"])
def test_nothing_ends_a_message_but_its_end(gateway, stores, reject):
    port = gateway.rejecting if reject else gateway.port
    with ThreadPoolExecutor(max_workers=18) as pool:
        sent = {name: [pool.submit(send_all, port, name.encode() + b".example", way, reject) for way in (by_data, by_bdat, by_two_chunks)] for name in stores}
    wait_until(lambda: gateway.list() == [], "empty queue")
    for name, each in stores.items():
        subjects = {recipient: subject for taken in sent[name] for recipient, subject in taken.result().items()}
        assert len(subjects) > 3 and sorted(recipients for recipients, _ in each.mails) == sorted([recipient] for recipient in subjects), name
        for (recipient,), content in each.mails:
            assert b"Subject: %s\r\n" % subjects[recipient] in content, (name, content)
            assert content.count(b"RCPT TO:<victim@") == 1 and content.count(b"Subject: smuggled") == 1, (name, content)
            assert not re.search(rb"\r(?!\n)|(?<!\r)\n|\0", content), (name, content)


# Each is said before a message to one recipient. A line that is taken as RCPT brings its own recipient, and no line more than that.
INJECTIONS = [
    b"MAIL FROM:<a@example.org> ENVID=x+0D+0ARCPT+20TO:<victim@D>\r\n", b"MAIL FROM:<a@example.org> ENVID=x+00\r\n", b"MAIL FROM:<a@example.org> ENVID=x+3D+2B\r\n",
    b"MAIL FROM:<a@example.org> ENVID=x\rRCPT TO:<victim@D>\r\n", b"MAIL FROM:<a@example.org> ENVID=x\nRCPT TO:<victim@D>\r\n",
    b"MAIL FROM:<a@example.org> RET=HDRS\0RCPT TO:<victim@D>\r\n", b"MAIL FROM:<a@example.org> BODY=8BITMIME\x0bRCPT TO:<victim@D>\r\n",
    b"MAIL FROM:<a@example.org> AUTH=<victim@D>\r\n", b"MAIL FROM:<a@example.org>RCPT TO:<victim@D>\r\n",
    b'MAIL FROM:<"a\\\r\nRCPT TO:<victim@D>"@example.org>\r\n', b'MAIL FROM:<"a\nRCPT TO:<victim@D>"@example.org>\r\n', b'MAIL FROM:<"RCPT TO:<victim@D>"@example.org>\r\n',
    b'MAIL FROM:<"a\xc2\x85RCPT TO:<victim@D>"@example.org> SMTPUTF8\r\n', b'MAIL FROM:<"a\xe2\x80\xa8RCPT TO:<victim@D>"@example.org> SMTPUTF8\r\n',
    b"RCPT TO:<first@D> ORCPT=rfc822;victim@D\r\n", b"RCPT TO:<first@D> ORCPT=rfc822;x+0D+0ARCPT+20TO:<victim@D>\r\n", b"RCPT TO:<first@D> ORCPT=rfc822;x+00\r\n",
    b"RCPT TO:<first@D> ORCPT=rfc822;x+0dy\r\n", b"RCPT TO:<first@D> NOTIFY=SUCCESS\rRCPT TO:<victim@D>\r\n", b"RCPT TO:<first@D> NOTIFY=NEVER\nRCPT TO:<victim@D>\r\n",
    b"RCPT TO:<first@D>\nRCPT TO:<victim@D>\r\n", b"RCPT TO:<first@D>\rRCPT TO:<victim@D>\r\n", b"RCPT TO:<first@D>\0RCPT TO:<victim@D>\r\n",
    b"RCPT TO:<first@D>,<victim@D>\r\n", b"RCPT TO:<first@D> <victim@D>\r\n", b"RCPT TO:<first@D> RCPT TO:<victim@D>\r\n", b"RCPT TO:<first@D>> TO:<victim@D>\r\n",
    b'RCPT TO:<"first>\\\n<victim"@D>\r\n', b'RCPT TO:<"first> NOTIFY=NEVER"@D>\r\n', b"RCPT TO:<first@D,victim@D>\r\n", b"RCPT TO:<first@D\tvictim@D>\r\n",
    b"EHLO x\nRCPT TO:<victim@D>\r\n", b"EHLO x\rRCPT TO:<victim@D>\r\n", b"EHLO x (y\\) by z RCPT TO:<victim@D>\r\n", b"VRFY <victim@D>\r\n",
]


def inject(port, domain, number, injection):
    """Returns the recipients of the message that it sends all the same."""
    stream = converse(port)
    spoken = injection.replace(b"@D", b"@" + domain)
    recipients = []
    if injection.startswith(b"RCPT"):
        assert ask(stream, b"MAIL FROM:<a@example.org>\r\n").startswith(b"250 ")
    stream.write(spoken)
    replies = [ask(stream, b"") for _ in range(spoken.count(b"\r\n"))]
    assert not any(reply.startswith(b"250 2.1.5") for reply in replies[injection.startswith(b"RCPT"):]), (injection, replies)
    if not injection.startswith((b"MAIL", b"RCPT")) or (injection.startswith(b"MAIL") and not replies[0].startswith(b"250 ")):
        assert ask(stream, b"MAIL FROM:<a@example.org>\r\n").startswith(b"250 ")
    elif injection.startswith(b"RCPT") and replies[0].startswith(b"250 "):
        recipients.append(injection[injection.index(b"<") + 1:injection.index(b"@D")].decode() + "@" + domain.decode())
    own = "own-%d@%s" % (number, domain.decode())
    assert ask(stream, b"RCPT TO:<%s>\r\n" % own.encode()).startswith(b"250 "), injection
    assert ask(stream, b"DATA\r\n").startswith(b"354 ")
    assert ask(stream, b"Subject: %d\r\n\r\nx\r\n.\r\n" % number).startswith(b"250 ")
    assert ask(stream, b"QUIT\r\n").startswith(b"221 ")
    return recipients + [own]


def test_no_parameter_brings_a_recipient(gateway, stores):
    with ThreadPoolExecutor(max_workers=18) as pool:
        sent = {name: [pool.submit(inject, gateway.port, name.encode() + b".example", *each) for each in enumerate(INJECTIONS)] for name in ("strict", "any")}
    wait_until(lambda: gateway.list() == [], "empty queue")
    for name in sent:
        assert sorted(recipients for recipients, _ in stores[name].mails) == sorted(each.result() for each in sent[name]), name
        for line in stores[name].commands:
            assert re.fullmatch(COMMANDS, line), line
