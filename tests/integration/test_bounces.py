"""What could not be delivered goes back, by the real binary: who is told, who is parked, by which way, and that every loop ends."""
import base64
import email
import email.policy
import hashlib
import hmac
import itertools
import json
import os
import random
import re
import signal
import smtplib
import ssl
import subprocess

import pytest

from conftest import Gateway, MemoryStore, wait_until
from test_reports import all_by_perl, by_perl, by_python, status_groups

ANN = "ann@sender.example"


def scram(mechanism, initial, user, password, say, stream):
    """The server's side of RFC 5802 section 3."""
    digest = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-1": "sha1"}[mechanism]
    mac = lambda key, text: hmac.new(key, text, digest).digest()
    first = base64.b64decode(initial).removeprefix(b"n,,")
    fields = dict(part.split(b"=", 1) for part in first.split(b","))
    salt = os.urandom(16)
    second = b"r=" + fields[b"r"] + os.urandom(9).hex().encode() + b",s=" + base64.b64encode(salt) + b",i=4096"
    say("334 " + base64.b64encode(second).decode())
    bare, proof = base64.b64decode(stream.readline()).rsplit(b",p=", 1)
    salted = hashlib.pbkdf2_hmac(digest, password, salt, 4096)
    client_key = mac(salted, b"Client Key")
    said = b",".join([first, second, bare])
    signature = mac(hashlib.new(digest, client_key).digest(), said)
    expected = bytes(a ^ b for a, b in zip(client_key, signature))
    if fields[b"n"] != user or base64.b64decode(proof) != expected:
        return False
    say("334 " + base64.b64encode(b"v=" + base64.b64encode(mac(mac(salted, b"Server Key"), said))).decode())
    return stream.readline() == b"\r\n"


class SmtpSink(MemoryStore):
    """Another mail server. Local parts: full-* 452, gone-* 550, else 250. Keeps (MAIL, RCPTs, content) of what it took."""

    def __init__(self, port=None, dsn=False, tls=None, login=None, before_tls=""):
        self.mails = []
        self.dsn = dsn
        self.tls = tls  # an SSLContext: STARTTLS is offered
        self.login = login  # user and password that AUTH must bring
        self.mechanisms = "LOGIN PLAIN"
        self.before_tls = before_tls  # said in one write with the 220 to STARTTLS
        self.commands = []  # (encrypted, command)
        super().__init__(port)

    def authenticate(self, command, say, stream):
        _, mechanism, initial = command.split(" ")
        user, password = self.login.split(b":")
        if mechanism == "PLAIN":
            return base64.b64decode(initial) == b"\0" + user + b"\0" + password
        return scram(mechanism, initial, user, password, say, stream)

    def serve(self, client):
        stream = client.makefile("rwb")
        encrypted, logged_in = False, self.login is None

        def say(text):
            stream.write(text.encode() + b"\r\n")
            stream.flush()

        try:
            say("220 sink ESMTP")
            sender, recipients = None, []
            while line := stream.readline():  # of whichever stream it is by then
                text = line.decode().rstrip("\r\n")
                verb = text[:4].upper()
                self.commands.append((encrypted, text))
                if verb == "EHLO":
                    offers = ["PIPELINING", "8BITMIME", "SMTPUTF8"] + ["DSN"] * self.dsn + ["STARTTLS"] * bool(self.tls and not encrypted)
                    offers += ["AUTH " + self.mechanisms] * bool(self.login and encrypted)
                    say("".join(f"250-{offer}\r\n" for offer in ["sink"] + offers) + "250 ENHANCEDSTATUSCODES")
                elif text == "STARTTLS":
                    say("220 2.0.0 go ahead" + self.before_tls)
                    client = self.tls.wrap_socket(client, server_side=True)
                    stream = client.makefile("rwb")
                    encrypted = True
                elif verb == "AUTH":
                    logged_in = self.authenticate(text, say, stream)
                    say("235 2.7.0 welcome" if logged_in else "535 5.7.8 no")
                elif verb == "MAIL" and not logged_in:
                    say("530 5.7.0 log in first")
                elif verb == "MAIL":
                    sender, recipients = text, []
                    say("250 2.1.0 ok")
                elif verb == "RCPT":
                    local = text.split("<")[1]
                    if local.startswith("gone-"):
                        say("550 5.1.1 unknown there")
                    elif local.startswith("full-"):
                        say("452 4.2.2 full there")
                    else:
                        recipients.append(text)
                        say("250 2.1.5 ok")
                elif verb == "DATA":
                    if not recipients:
                        say("503 5.5.1 no recipients")
                        continue
                    say("354 go")
                    content = []
                    for part in stream:
                        if part == b".\r\n":
                            break
                        content.append(part[1:] if part.startswith(b".") else part)
                    else:
                        return  # the connection broke: half a message is none
                    with self.lock:
                        self.mails.append((sender, recipients, b"".join(content)))
                    say("250 2.0.0 taken")
                elif verb == "QUIT":
                    say("221 2.0.0 bye")
                    return
                else:
                    say("250 2.0.0 ok")
        except (OSError, ValueError):
            pass
        finally:
            client.close()


def trusting(folder, endpoints, bounces="", retry="first: 1s, maximum: 2s", trusted='["127.0.0.1"]'):
    made = Gateway(folder, endpoints)
    text = made.config.read_text()
    text = text.replace(f'"127.0.0.1:{made.port}"\n', f'"127.0.0.1:{made.port}"\n    trusted: {trusted}\n')
    text = re.sub(r"retry: \{.*\}", "retry: { %s }" % retry, text)
    way = "" if "relay" in bounces else "relay: none"
    made.config.write_text(text + "bounces: { %s }\n" % ", ".join(filter(None, (bounces, way))))
    return made


@pytest.fixture
def relay():
    made = SmtpSink()
    yield made
    made.close()


@pytest.fixture
def gateway(tmp_path, store, relay):
    made = trusting(tmp_path, [f"127.0.0.1:{store.port}"], f'per_domain: 1000, relay: "smtp://127.0.0.1:{relay.port}"')
    made.start()
    yield made
    if made.process.process.poll() is None:
        assert made.stop() == 0


def send(gateway, sender, recipients, content="Subject: x\r\n\r\nx\r\n", mail=(), rcpt=()):
    with smtplib.SMTP("127.0.0.1", gateway.port, local_hostname="out.sender.example") as client:
        client.sendmail(sender, recipients, content, mail_options=list(mail), rcpt_options=list(rcpt))


def history(gateway, *filters):
    return [json.loads(line) for line in gateway.run("history", "--json", *filters).stdout.splitlines()]


def replies_of(gateway, identity, event, count):
    """The history is written a little after the fact."""
    def replies():
        found = [row["reply"] for row in history(gateway, identity) if row["event"] == event]
        return found if len(found) >= count else None
    return wait_until(replies, f"{event} in the history")


def empty(gateway):
    return wait_until(lambda: gateway.list() == [], "empty queue")


def test_a_failure_comes_back_in_one_report(gateway, relay):
    send(gateway, ANN, ["gone-a@example.com", "ok@example.com", "gone-b@example.com"])
    empty(gateway)
    assert len(relay.mails) == 1
    sender, recipients, raw = relay.mails[0]
    assert sender.startswith("MAIL FROM:<>") and recipients == [f"RCPT TO:<{ANN}>"]
    report, parts = by_python(raw)
    assert report["Auto-Submitted"] == "auto-replied"
    assert report["To"].addresses[0].addr_spec == ANN
    message, *each = status_groups(raw)
    assert message["Reporting-MTA"] == "dns; mx.example.com" and message["Received-From-MTA"] == "dns; out.sender.example"
    assert [group["Final-Recipient"] for group in each] == ["rfc822; gone-a@example.com", "rfc822; gone-b@example.com"]
    for group in each:
        assert (group["Action"], group["Status"], group["Diagnostic-Code"]) == ("failed", "5.1.1", "smtp; 550 5.1.1 unknown")
        assert "Remote-MTA" not in group, "a store's address is nobody's business"
    assert parts[2].get_content_type() == "text/rfc822-headers"
    # The mail's history names the report, and the report's the mail.
    original = each[0]["Final-Log-ID"]
    events = wait_until(lambda: [e for e in history(gateway, original) if e["event"] == "reported"], "history")
    report_id = re.search(r"report (\w+)", events[0]["reply"]).group(1)
    assert events[0]["recipient"] == ANN
    about = wait_until(lambda: history(gateway, report_id), "history of the report")
    assert about[0]["reply"] == f"(report about {original})"
    wait_until(lambda: [e["event"] for e in history(gateway, report_id)] == ["accepted", "delivered"], "the report's end")
    gateway.process.await_line(f" reported id={original} report={report_id} ")


def test_nobody_vouches_for_a_stranger(tmp_path, store, relay):
    gateway = trusting(tmp_path, [f"127.0.0.1:{store.port}"], f'relay: "smtp://127.0.0.1:{relay.port}"', trusted="[]")
    gateway.start()
    send(gateway, ANN, ["gone-a@example.com", "gone-b@example.com"])
    send(gateway, "", ["gone-c@example.com"])
    wait_until(lambda: gateway.states() == {"gone-a@example.com": "parked", "gone-b@example.com": "parked"}, "parked; and nothing of the null sender's")
    done = gateway.run("queue", "list", "--state", "parked", "--json")
    identity = json.loads(done.stdout)["id"]
    assert json.loads(gateway.run("status", "--json").stdout)["queue"]["recipients"]["parked"] == 2
    assert "nobody vouches" in gateway.run("queue", "why", identity).stdout
    assert replies_of(gateway, identity, "parked", 2) == ["(nobody vouches for the sender)"] * 2
    # Released, it is tried again, and refused again.
    assert gateway.run("queue", "release", identity, "--recipient", "gone-a@example.com").returncode == 0
    wait_until(lambda: sum(e["event"] == "failed" for e in history(gateway, identity)) == 3, "refused again")
    wait_until(lambda: set(gateway.states().values()) == {"parked"}, "parked again")
    assert relay.mails == []
    # Returned by hand, it goes back to whoever it claims to be from.
    done = gateway.run("queue", "bounce", identity, "--reason", "no such people")
    assert done.returncode == 0 and done.stdout.startswith("returned 2 recipients"), done
    empty(gateway)
    assert len(relay.mails) == 1
    _, *each = status_groups(relay.mails[0][2])
    assert [group["Status"] for group in each] == ["5.1.1", "5.1.1"], "the store's words, not ours"
    assert set(replies_of(gateway, identity, "returned", 2)) == {"no such people"}
    assert gateway.stop() == 0


def test_what_waits_is_returned_by_hand_also_beside_a_stopped_gateway(gateway, relay):
    send(gateway, ANN, ["full-a@example.com"], "Subject: first\r\n\r\nx\r\n")
    send(gateway, ANN, ["full-b@example.com"], "Subject: second\r\n\r\nx\r\n")
    wait_until(lambda: list(gateway.states().values()) == ["waiting", "waiting"], "waiting")
    assert gateway.run("queue", "bounce", "--recipient", "full-a@*", "--reason", "moved\r\nStatus: 2.0.0").returncode == 0
    wait_until(lambda: len(relay.mails) == 1, "the report")
    assert gateway.stop() == 0
    assert gateway.run("queue", "bounce", "--all", "--yes", "--reason", "closed").returncode == 0
    offline = gateway.list()
    assert len(offline) == 1 and offline[0]["sender"] == "" and offline[0]["recipients"][0]["address"] == ANN
    gateway.start()
    empty(gateway)
    groups = [status_groups(raw)[1] for _, _, raw in relay.mails]
    assert [group["Status"] for group in groups] == ["5.7.0", "5.7.0"]
    assert groups[0]["Diagnostic-Code"].startswith("x-postern; (returned by the operator: moved")
    assert groups[1]["Diagnostic-Code"] == "x-postern; (returned by the operator: closed)"


def test_a_report_to_a_mailbox_of_ours_stays_at_home(gateway, store, relay):
    send(gateway, "ann@example.com", ["gone-a@example.com"])
    empty(gateway)
    assert relay.mails == [] and len(store.contents) == 1
    assert b"\r\nTo: <ann@example.com>\r\n" in store.contents[0]


def test_without_a_way_out_nothing_is_lost_and_nothing_leaves(tmp_path, store):
    gateway = trusting(tmp_path, [f"127.0.0.1:{store.port}"], "send: always")
    gateway.start()
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        send(gateway, "ann@example.com", ["bob@elsewhere.example"])
    assert refused.value.recipients["bob@elsewhere.example"][0] == 550
    send(gateway, ANN, ["gone-a@example.com"])
    wait_until(lambda: gateway.states() == {"gone-a@example.com": "parked"}, "parked")
    identity = gateway.list()[0]["id"]
    assert "bounces.relay" in replies_of(gateway, identity, "parked", 1)[0]
    assert gateway.stop() == 0


def test_bounces_never_are_never(tmp_path, store, relay):
    gateway = trusting(tmp_path, [f"127.0.0.1:{store.port}"], f'send: never, relay: "smtp://127.0.0.1:{relay.port}"')
    gateway.start()
    send(gateway, ANN, ["gone-a@example.com"])
    wait_until(lambda: gateway.states() == {"gone-a@example.com": "parked"}, "parked")
    assert relay.mails == []
    assert gateway.stop() == 0


def test_trusted_clients_send_to_any_domain(gateway, relay):
    send(gateway, "ann@example.com", ["bob@elsewhere.example", "full-c@elsewhere.example"])
    wait_until(lambda: gateway.states() == {"bob@elsewhere.example": "delivered", "full-c@elsewhere.example": "waiting"}, "states")
    assert relay.mails[0][0].startswith("MAIL FROM:<ann@example.com>")
    assert gateway.list()[0]["recipients"][1]["backend"] == "outgoing"
    assert "outgoing" in gateway.run("backend", "list").stdout
    assert gateway.run("queue", "remove", "--all", "--yes").returncode == 0
    # What is refused there comes back, with the name of who refused.
    send(gateway, "ann@example.com", ["gone-d@elsewhere.example"])
    empty(gateway)
    gateway.process.await_line(r" failed .*gone-d@elsewhere.example")


def test_mail_for_elsewhere_waits_for_the_relay(gateway, relay):
    port = relay.port
    relay.close()
    send(gateway, "ann@example.com", ["bob@elsewhere.example"])
    gateway.process.await_line(" endpoint_down backend=outgoing ")
    send(gateway, "ann@example.com", ["local@example.com"])
    gateway.process.await_line(" delivered .*local@example.com")
    again = SmtpSink(port)
    wait_until(lambda: len(again.mails) == 1, "delivery after the relay's return")
    empty(gateway)
    again.close()


def test_expired_mail_comes_back_as_such(tmp_path, store, relay):
    gateway = trusting(tmp_path, [f"127.0.0.1:{store.port}"], f'relay: "smtp://127.0.0.1:{relay.port}"',
                       retry="first: 1s, maximum: 1s, expire: 3s, delay_notice: 0, classes: { mailbox_full: { first: 1s, maximum: 1s } }")
    gateway.start()
    send(gateway, ANN, ["full-a@example.com"])
    empty(gateway)
    _, group = status_groups(relay.mails[0][2])
    assert (group["Action"], group["Status"]) == ("failed", "4.4.7")
    assert "452 4.2.2 full" in group["Diagnostic-Code"]
    assert gateway.stop() == 0


@pytest.mark.parametrize("store_is_there", [True, False])
def test_a_delay_is_told_once(tmp_path, relay, store_is_there):
    store = MemoryStore()
    if not store_is_there:
        store.close()
    gateway = trusting(tmp_path, [f"127.0.0.1:{store.port}"], f'relay: "smtp://127.0.0.1:{relay.port}"',
                       retry="first: 1s, maximum: 1s, delay_notice: 1s, classes: { mailbox_full: { first: 1s, maximum: 1s } }")
    gateway.start()
    send(gateway, ANN, ["full-a@example.com", "full-b@example.com"], rcpt=["NOTIFY=DELAY,FAILURE"])
    send(gateway, ANN, ["full-c@example.com"], rcpt=["NOTIFY=FAILURE"])
    wait_until(lambda: len(relay.mails) == 1, "the notice")
    _, *groups = status_groups(relay.mails[0][2])
    assert [group["Action"] for group in groups] == ["delayed", "delayed"]
    assert all("Will-Retry-Until" in group for group in groups)
    assert set(gateway.states().values()) <= {"waiting", "ready"}
    if store_is_there:
        wait_until(lambda: min(r["attempts"] for m in gateway.list() for r in m["recipients"]) >= 5, "more attempts")
    assert gateway.stop() == 0
    gateway.start()
    if store_is_there:
        wait_until(lambda: min(r["attempts"] for m in gateway.list() for r in m["recipients"]) >= 7, "attempts after the start")
    assert len(relay.mails) == 1
    assert gateway.stop() == 0
    store.close()


NOTIFY = ["", "NEVER", "FAILURE", "SUCCESS", "DELAY", "SUCCESS,FAILURE", "SUCCESS,DELAY", "FAILURE,DELAY", "SUCCESS,FAILURE,DELAY"]


@pytest.mark.parametrize("utf8", [False, True])
@pytest.mark.parametrize("count", [1, 2])
def test_every_combination_of_what_a_sender_asks(gateway, relay, store, count, utf8):
    """NOTIFY x RET x ORCPT x ENVID, for refused and for taken recipients; read back by Python's email and Perl's MIME::Parser."""
    expected = {}
    host = "sender.example" if not utf8 else "sénder.example"
    with smtplib.SMTP("127.0.0.1", gateway.port, local_hostname="out.sender.example") as client:
        client.ehlo()
        for number, (notify, ret, orcpt, envid, fate) in enumerate(itertools.product(
                NOTIFY, ["", "FULL", "HDRS"], [False, True], ["", "QQ+2B"], ["gone", "ok"])):
            sender = f"s{number}@{host}"
            mail = (["SMTPUTF8"] if utf8 else []) + ([f"RET={ret}"] if ret else []) + ([f"ENVID={envid}{number}"] if envid else [])
            recipients = [f"{fate}-{n}{'ü' if utf8 else 'u'}@example.com" for n in range(count)]
            client.command_encoding = "utf-8"
            assert client.mail(sender, mail)[0] == 250
            for n, recipient in enumerate(recipients):
                options = ([f"NOTIFY={notify}"] if notify else []) + ([f"ORCPT=rfc822;old+2B{n}@old.example"] if orcpt else [])
                assert client.rcpt(recipient, options)[0] == 250
            assert client.data(f"Subject: m{number}\r\nMessage-ID: <m{number}@x>\r\n\r\nbody of {number}\r\n")[0] == 250
            failed = fate == "gone" and (notify == "" or "FAILURE" in notify)
            relayed = fate == "ok" and "SUCCESS" in notify
            if failed or relayed:
                expected[sender] = ("failed" if failed else "relayed", ret, orcpt, f"QQ+{number}" if envid else "", recipients, number)
    empty(gateway)
    found = {}
    for sender, recipients, raw in relay.mails:
        assert sender.startswith("MAIL FROM:<>") and ("SMTPUTF8" in sender) == utf8
        to = recipients[0].split("<")[1].split(">")[0]
        assert to not in found, "two reports of one message"
        found[to] = raw
    assert set(found) == set(expected)
    all_by_perl(found.values())
    for to, (action, ret, orcpt, envid, recipients, number) in expected.items():
        raw = found[to]
        report, parts = by_python(raw)
        whole = action == "failed" and ret == "FULL"
        perl = by_perl(raw)
        types = [part["type"] for part in perl["parts"]]
        # The `for` of our Received names a recipient that is alone.
        returned = ["message/global-headers", "message/global"] if utf8 and count == 1 else ["text/rfc822-headers", "message/rfc822"]
        assert types == ["text/plain", "message/global-delivery-status" if utf8 else "message/delivery-status", returned[whole]]
        assert [part.get_content_type() for part in parts] == types
        assert (f"body of {number}" in raw.decode()) == whole
        assert report["In-Reply-To"] == f"<m{number}@x>"
        message, *groups = status_groups(raw)
        assert message.get("Original-Envelope-Id", "") == envid
        kind = "utf-8" if utf8 else "rfc822"
        assert [group["Final-Recipient"] for group in groups] == [f"{kind}; {recipient}" for recipient in recipients]
        for n, group in enumerate(groups):
            assert group["Action"] == action
            assert group["Status"] == ("5.1.1" if action == "failed" else "2.0.0")
            assert group.get("Original-Recipient", "") == (f"rfc822; old+{n}@old.example" if orcpt else "")


def test_a_success_is_the_next_servers_to_report_when_it_can(tmp_path, store):
    relay = SmtpSink(dsn=True)
    gateway = trusting(tmp_path, [f"127.0.0.1:{store.port}"], f'relay: "smtp://127.0.0.1:{relay.port}"')
    gateway.start()
    send(gateway, "ann@example.com", ["bob@elsewhere.example"], mail=["ENVID=x1"], rcpt=["NOTIFY=SUCCESS", "ORCPT=rfc822;b@old.example"])
    empty(gateway)
    assert len(relay.mails) == 1 and store.contents == []
    assert "ENVID=x1" in relay.mails[0][0]
    assert relay.mails[0][1] == ["RCPT TO:<bob@elsewhere.example> NOTIFY=SUCCESS ORCPT=rfc822;b@old.example"]
    assert gateway.stop() == 0
    relay.close()


def test_kills_neither_lose_nor_double_a_report(gateway, relay):
    """The gateway is killed again and again while it fails messages: in the end each has one report, made once."""
    numbers = random.Random(4711)
    count = 0
    for _ in range(6):
        with smtplib.SMTP("127.0.0.1", gateway.port) as client:
            for _ in range(numbers.randrange(20, 60)):
                client.sendmail(f"s{count}@sender.example", ["gone-a@example.com"], f"Message-ID: <m{count}@x>\r\n\r\nx\r\n")
                count += 1
        # Somewhere among the first failures, and the first reports.
        wanted = numbers.randrange(1, 20)
        gateway.process.await_line(r"(?s)(?: (?:failed|reported) .*?){%d}" % wanted)
        gateway.stop(signal.SIGKILL)
        gateway.start()
    empty(gateway)
    made = {}
    for _, recipients, raw in relay.mails:
        report = email.message_from_bytes(raw, policy=email.policy.SMTP)
        made.setdefault(recipients[0], set()).add(report["Message-ID"])
    assert len(made) == count, "a report is lost"
    assert all(len(ids) == 1 for ids in made.values()), "a report was made twice"


# ---- Loops: all of them end, and the number of messages is known ----

def count_accepted(*gateways):
    return sum(len(re.findall(r" (?:accepted|reported) ", open(gateway.process.log).read())) for gateway in gateways)


def test_two_gateways_that_bounce_to_each_other(tmp_path, store):
    """Each sends its reports to the other, where the sender does not exist."""
    first_folder, second_folder = tmp_path / "first", tmp_path / "second"
    first_folder.mkdir()
    second_folder.mkdir()
    second = trusting(second_folder, [f"127.0.0.1:{store.port}"])
    second.config.write_text(second.config.read_text().replace("example.com: {", "sender.example: {"))
    first = trusting(first_folder, [f"127.0.0.1:{store.port}"], f'relay: "smtp://127.0.0.1:{second.port}"')
    text = second.config.read_text().replace("bounces: {  }", f'bounces: {{ relay: "smtp://127.0.0.1:{first.port}" }}')
    second.config.write_text(text)
    first.start()
    second.start()
    send(first, "gone-ann@sender.example", ["gone-a@example.com"])
    second.process.await_line(" failed .*gone-ann@sender.example")
    empty(first)
    empty(second)
    # The mail, the report about it, and that report accepted by the other: no more.
    assert count_accepted(first, second) == 3
    assert "not_reported" in {e["event"] for e in wait_until(lambda: [e for e in history(second) if e["event"] == "not_reported"], "silence")}
    assert first.stop() == 0 and second.stop() == 0


def test_a_responder_that_answers_everything(tmp_path):
    """A store answers each mail, reports too, in the name of a mailbox that is gone: through us, who cannot deliver the answer."""
    store, relay = MemoryStore(), SmtpSink()
    gateway = trusting(tmp_path, [f"127.0.0.1:{store.port}"], f'relay: "smtp://127.0.0.1:{relay.port}"')
    gateway.start()
    take = store.take

    def answer(content, recipients, say):
        take(content, recipients, say)
        with smtplib.SMTP("127.0.0.1", gateway.port) as client:
            client.sendmail("responder@example.com", ["gone-nobody@example.com"],
                            "Subject: away\r\nAuto-Submitted: auto-replied\r\n\r\nI am away\r\n")

    store.take = answer
    send(gateway, ANN, ["responder@example.com"])
    gateway.process.await_line(" failed .*gone-nobody@example.com")
    empty(gateway)
    assert count_accepted(gateway) == 2, "the mail and the answer; an answer that fails is not answered"

    # One that does not say that it is one hears that its answer failed, and has nobody to answer that to.
    def rude(content, recipients, say):
        take(content, recipients, say)
        if b"multipart/report" in content:
            return  # it came from nobody
        with smtplib.SMTP("127.0.0.1", gateway.port) as client:
            client.sendmail("responder@example.com", ["gone-nobody@example.com"], "Subject: away\r\n\r\nI am away\r\n")

    store.take = rude
    send(gateway, ANN, ["responder@example.com"])
    wait_until(lambda: any(b"multipart/report" in content for content in store.contents), "the report")
    empty(gateway)
    assert count_accepted(gateway) == 2 + 3, "the mail, the answer, the report about the answer"
    assert gateway.stop() == 0
    store.close()
    relay.close()


def test_a_report_that_is_refused_ends_there(gateway, relay):
    send(gateway, "gone-ann@elsewhere.example", ["gone-a@example.com"])
    gateway.process.await_line(" failed .*gone-ann@elsewhere.example")
    empty(gateway)
    assert count_accepted(gateway) == 2 and relay.mails == []


def test_reports_to_one_domain_keep_the_pace(tmp_path, store, relay):
    gateway = trusting(tmp_path, [f"127.0.0.1:{store.port}"], f'per_domain: 2, relay: "smtp://127.0.0.1:{relay.port}"')
    gateway.start()
    for number in range(6):
        send(gateway, f"s{number}@sender.example", ["gone-a@example.com"])
    wait_until(lambda: sum("reported" == e["event"] for e in history(gateway)) == 6, "six reports")
    waiting = [r for m in gateway.list() for r in m["recipients"] if r["state"] == "ready"]
    assert len(relay.mails) + len(waiting) >= 6
    empty(gateway)
    assert len(relay.mails) == 6
    assert gateway.stop() == 0


# ---- Encryption on the way out ----

@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """An authority of our own, and certificates by it for 127.0.0.1 and for another name."""
    folder = tmp_path_factory.mktemp("certificates")
    run = lambda *arguments: subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
    run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
        "-subj", "/CN=authority")
    contexts = {}
    for name, alternative in (("right", "IP:127.0.0.1"), ("wrong", "DNS:other.example")):
        run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", "/CN=x")
        (folder / f"{name}.ext").write_text(f"subjectAltName={alternative}\n")
        run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", f"{name}.ext",
            "-out", f"{name}.pem")
        contexts[name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        contexts[name].load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    contexts["authority"] = folder / "ca.pem"
    # A server that can agree with nobody on a version.
    contexts["old"] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    contexts["old"].load_cert_chain(folder / "right.pem", folder / "right.key")
    contexts["old"].minimum_version = contexts["old"].maximum_version = ssl.TLSVersion.TLSv1_1
    return contexts


def send_through(folder, relay, bounces):
    gateway = trusting(folder, ["127.0.0.1:1"], f'relay: "smtp://127.0.0.1:{relay.port}", {bounces}')
    gateway.start()
    for number in range(3):
        send(gateway, "ann@example.com", ["bob@elsewhere.example"], f"Subject: {number}\r\n\r\n{'x' * 70}\r\n" * (1 + 3000 * number))
    return gateway


@pytest.mark.parametrize("certificate, tls, encrypted", [
    ("right", "opportunistic", True), ("wrong", "opportunistic", True), ("old", "opportunistic", False), ("right", "off", False),
    ("right", "required", True), (None, "opportunistic", False),
])
def test_the_relay_is_spoken_to_as_it_can(tmp_path, certificates, certificate, tls, encrypted):
    relay = SmtpSink(tls=certificates[certificate] if certificate else None)
    gateway = send_through(tmp_path, relay, f"relay_tls: {tls}, relay_authorities: {certificates['authority']}")
    empty(gateway)
    assert len(relay.mails) == 3 and max(len(content) for _, _, content in relay.mails) > 400000
    assert {secret for secret, command in relay.commands if command.startswith("MAIL")} == {encrypted}
    assert gateway.stop() == 0
    relay.close()


@pytest.mark.parametrize("certificate, authority, injected", [("wrong", True, ""), ("right", False, ""), ("old", True, ""), (None, True, ""),
                                                              ("right", True, "\r\n250 2.1.0 injected")])
def test_where_it_is_required_nothing_goes_out_without_it(tmp_path, certificates, certificate, authority, injected):
    relay = SmtpSink(tls=certificates[certificate] if certificate else None, before_tls=injected)
    gateway = send_through(tmp_path, relay, "relay_tls: required" + (f", relay_authorities: {certificates['authority']}" if authority else ""))
    gateway.process.await_line(" endpoint_down backend=outgoing ")
    assert not any(command.startswith(("MAIL", "AUTH")) for _, command in relay.commands)
    assert set(gateway.states().values()) == {"ready"}, "it is the relay's fault, and no recipient's"
    assert gateway.stop() == 0
    relay.close()


@pytest.mark.parametrize("mechanisms", ["SCRAM-SHA-1 PLAIN", "PLAIN SCRAM-SHA-1 SCRAM-SHA-256"])
def test_a_login_shows_no_password_where_it_need_not(tmp_path, certificates, mechanisms):
    (tmp_path / "password").write_text("pass word\n")
    login = f"relay_tls: required, relay_user: mx1, relay_password_file: {tmp_path}/password, relay_authorities: {certificates['authority']}"
    relay = SmtpSink(tls=certificates["right"], login=b"mx1:pass word")
    relay.mechanisms = mechanisms
    gateway = send_through(tmp_path, relay, login)
    empty(gateway)
    assert len(relay.mails) == 3
    best = max(mechanisms.split(), key=["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256"].index)
    assert {command.split()[1] for _, command in relay.commands if command.startswith("AUTH")} == {best}
    relay.login = b"mx1:changed"
    gateway.run("reload")  # takes new connections
    send(gateway, "ann@example.com", ["bob@elsewhere.example"])
    gateway.process.await_line(r" endpoint_down backend=outgoing .*535 5.7.8 no \(to AUTH\)")
    assert gateway.stop() == 0
    relay.close()


def test_a_relay_that_does_not_know_the_password_gets_nothing(tmp_path, certificates):
    (tmp_path / "password").write_text("pass word\n")
    login = f"relay_tls: required, relay_user: mx1, relay_password_file: {tmp_path}/password, relay_authorities: {certificates['authority']}"
    relay = SmtpSink(tls=certificates["right"], login=b"mx1:")
    relay.mechanisms = "SCRAM-SHA-256"
    relay.authenticate = lambda *_: True
    gateway = send_through(tmp_path, relay, login)
    gateway.process.await_line(r" endpoint_down backend=outgoing .*did not prove")
    assert not any(command.startswith("MAIL") for _, command in relay.commands)
    assert gateway.stop() == 0
    relay.close()


def test_a_login_goes_only_to_who_has_shown_who_it_is(tmp_path, certificates):
    (tmp_path / "password").write_text("pass word\n")
    login = f"relay_tls: required, relay_user: mx1, relay_password_file: {tmp_path}/password, relay_authorities: {certificates['authority']}"
    relay = SmtpSink(tls=certificates["right"], login=b"mx1:pass word")
    gateway = send_through(tmp_path, relay, login)
    empty(gateway)
    assert len(relay.mails) == 3
    assert all(secret for secret, command in relay.commands if command.startswith("AUTH"))
    relay.login = b"mx1:changed"
    gateway.run("reload")  # takes new connections
    send(gateway, "ann@example.com", ["bob@elsewhere.example"])
    gateway.process.await_line(r" endpoint_down backend=outgoing .*535 5.7.8 no \(to AUTH\)")
    assert "pass word" not in gateway.process.text() and "AHBhc3M" not in gateway.process.text()
    (tmp_path / "password").unlink()
    assert gateway.run("reload").returncode == 78
    assert gateway.stop() == 0
    relay.close()


def test_stores_are_spoken_to_in_tls_too(tmp_path, certificates):
    class SecretStore(MemoryStore):
        def serve(self, client):
            client.sendall(b"220 store\r\n")
            assert client.recv(100).startswith(b"LHLO")
            client.sendall(b"250-store\r\n250 STARTTLS\r\n")
            if client.recv(100) == b"STARTTLS\r\n":
                client.sendall(b"220 go\r\n")
                self.secrets += 1
                super().serve(Silent(certificates["right"].wrap_socket(client, server_side=True)))
            client.close()

    class Silent:
        """A connection whose greeting was said already."""

        def __init__(self, client):
            self.client = client

        def makefile(self, mode):
            stream = self.client.makefile(mode)
            write, self.greeted = stream.write, False

            def rest(text):
                if self.greeted:
                    write(text)
                self.greeted = True
            stream.write = rest
            return stream

        def close(self):
            self.client.close()

    SecretStore.secrets = 0
    store = SecretStore()
    gateway = Gateway(tmp_path, [f"127.0.0.1:{store.port}"])
    gateway.config.write_text(gateway.config.read_text().replace(
        f'["127.0.0.1:{store.port}"]', f'["127.0.0.1:{store.port}"], tls: required, tls_authorities: {certificates["authority"]}'))
    gateway.start()
    for number in range(5):
        send(gateway, "a@example.org", ["bob@example.com"], f"Subject: {number}\r\n\r\nx\r\n")
    empty(gateway)
    assert len(store.received) == 5 and store.secrets > 0
    told = wait_until(lambda: [row for row in history(gateway) if row["event"] == "delivered"][4:], "the last in the history")
    assert all(row["tls"].startswith("TLSv1.") and " with cipher " in row["tls"] for row in told)
    assert gateway.stop() == 0
    store.close()
