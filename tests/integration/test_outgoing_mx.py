"""Straight to the servers of other domains: a world of MX hosts on loopback addresses, named by a real name server with a signed zone."""
import hashlib
import shutil
import smtplib
import socket
import ssl
import subprocess
import threading

import pytest

from conftest import MemoryStore, Process, free_port, wait_until
from test_bounces import history, send, trusting
from test_reports import status_groups

ANN = "ann@example.com"


class Mx(threading.Thread):
    """One server of a domain. `rcpt`: its replies to RCPT, the last for all further ones. Keeps (encrypted, recipient) of what it took."""

    def __init__(self, ip, port, greeting="220 here", rcpt=("250 2.1.5 ok",), tls=None, gate=None):
        super().__init__(daemon=True)
        self.greeting, self.rcpt, self.tls, self.gate = greeting, list(rcpt), tls, gate
        self.connections, self.took = 0, []
        self.listener = socket.create_server((ip, port))
        self.start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        stream, encrypted, recipients = client.makefile("rwb"), False, []

        def say(text):
            stream.write(text.encode() + b"\r\n")
            stream.flush()

        try:
            if self.gate:
                self.gate.wait()
            say(self.greeting)
            while line := stream.readline():
                verb = line[:4].upper()
                if verb == b"EHLO":
                    say("250-mx\r\n" + "250-STARTTLS\r\n" * bool(self.tls and not encrypted) + "250 ENHANCEDSTATUSCODES")
                elif verb == b"STAR":
                    say("220 2.0.0 go ahead")
                    if self.tls == "broken":
                        client.recv(1)  # it has begun
                        client.sendall(b"this is no TLS\r\n")
                        return
                    client = self.tls.wrap_socket(client, server_side=True)
                    stream, encrypted = client.makefile("rwb"), True
                elif verb == b"RCPT":
                    reply = self.rcpt.pop(0) if len(self.rcpt) > 1 else self.rcpt[0]
                    recipients += [line.decode().split("<")[1].split(">")[0]] * reply.startswith("250")
                    say(reply)
                elif verb == b"DATA":
                    say("354 go" if recipients else "503 5.5.1 nobody")
                    while recipients and (part := stream.readline()) != b".\r\n":
                        if not part:
                            return  # the connection broke: half a message is none
                    if recipients:
                        self.took += [(encrypted, recipient) for recipient in recipients]
                        recipients = []
                        say("250 2.0.0 taken")
                elif verb == b"QUIT":
                    return say("221 2.0.0 bye")
                else:
                    say("250 2.0.0 ok")
        except (OSError, ValueError):
            pass
        finally:
            client.close()


class Authority:
    """Certificates: one for each name, signed by an authority of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=authority",
                     "-keyout", "ca.key", "-out", "ca.pem")

    def openssl(self, *arguments, **options):
        return subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True, **options).stdout

    def server(self, name):
        """The server's context, the digest of its key and that of the authority's certificate."""
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-addext",
                     f"subjectAltName=DNS:{name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
                     "-copy_extensions", "copy", "-out", f"{name}.pem")
        chain = self.folder / f"{name}.chain"
        chain.write_text((self.folder / f"{name}.pem").read_text() + (self.folder / "ca.pem").read_text())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, self.folder / f"{name}.key")
        key = self.openssl("pkey", "-pubin", "-pubout", "-outform", "DER", input=self.openssl("x509", "-in", f"{name}.pem", "-noout", "-pubkey"))
        authority = self.openssl("x509", "-in", "ca.pem", "-outform", "DER")
        return context, hashlib.sha256(key).hexdigest(), hashlib.sha256(authority).hexdigest()


class NameServer:
    """nsd with three zones: signed.example, plain.example (not signed) and forged.example (changed after it was signed)."""

    def __init__(self, folder, records):
        self.folder, self.port = folder, free_port()
        for zone in ("signed", "plain", "forged"):
            lines = ["$TTL 60", f"@ SOA ns.{zone}.example. ops.{zone}.example. 1 60 60 600 60", "@ NS ns", "ns A 127.0.0.1"] + records[zone]
            (folder / zone).write_text(f"$ORIGIN {zone}.example.\n" + "\n".join(lines) + "\n")
        anchors = ""
        for zone in ("signed", "forged"):
            keys = [self.ldns("ldns-keygen", "-a", "ECDSAP256SHA256", *flag, f"{zone}.example") for flag in ([], ["-k"])]
            self.ldns("ldns-signzone", zone, *keys)
            anchors += (folder / f"{keys[1]}.key").read_text()
        forged = (folder / "forged.signed").read_text()
        assert "127.0.53.90" in forged
        (folder / "forged.signed").write_text(forged.replace("127.0.53.90", "127.0.53.1"))
        self.anchors = folder / "anchors"
        self.anchors.write_text(anchors)
        zones = "".join(f'zone:\n  name: {zone}.example\n  zonefile: "{zone}{signed}"\n'
                        for zone, signed in (("signed", ".signed"), ("plain", ""), ("forged", ".signed")))
        (folder / "nsd.conf").write_text(f"""
server:
  ip-address: 127.0.0.1@{self.port}
  zonesdir: "{folder}"
  database: ""
  username: ""
  pidfile: "{folder}/nsd.pid"
  xfrdfile: "{folder}/xfrd.state"
  zonelistfile: "{folder}/zone.list"
  server-count: 1
remote-control:
  control-enable: no
{zones}""")
        self.process = Process([shutil.which("nsd", path="/usr/sbin:/usr/bin"), "-d", "-c", str(folder / "nsd.conf")], folder / "nsd.log")
        self.process.await_line("nsd started")

    def ldns(self, *command):
        return subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True).stdout.strip()


class World:
    def __init__(self, folder):
        self.folder = folder
        self.store = MemoryStore()
        (folder / "ca").mkdir()
        (folder / "dns").mkdir()
        self.authority = Authority(folder / "ca")
        self.records = {"signed": [], "plain": [], "forged": []}
        self.hosts = {}
        self.made = trusting(folder, [f"127.0.0.1:{self.store.port}"])
        self.port = self.made.port

    def host(self, name, number, zone="plain", **how):
        """A host of this name, there when it has a greeting."""
        ip = f"127.0.53.{number}"
        self.records[zone].append(f"{name} A {ip}")
        self.hosts[name] = Mx(ip, self.port, **how)
        return self.hosts[name]

    def mx(self, domain, *exchanges, zone="plain"):
        self.records[zone] += [f"{domain} MX {exchange}" for exchange in exchanges]

    def tlsa(self, host, record):
        self.records["signed"].append(f"_{self.port}._tcp.{host} TLSA {record}")

    def start(self, tls):
        self.names = NameServer(self.folder / "dns", self.records)
        text = self.made.config.read_text().split("bounces:")[0]
        self.made.config.write_text(text + f"""
bounces: {{ port: {self.port}, tls: {{ {tls} }}, never_to: ["127.0.66.0/24"] }}
dns: {{ servers: ["127.0.0.1:{self.names.port}"], trust_anchor: {self.names.anchors}, timeout: 30s }}
""")
        self.made.start()

    def close(self):
        if self.made.process:
            assert self.made.stop() == 0
        self.names.process.stop()
        for host in self.hosts.values():
            host.listener.close()
        self.store.close()

    def reports(self):
        return [content for content in list(self.store.contents) if b"report-type=delivery-status" in content]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = World(tmp_path_factory.mktemp("world"))
    describe(made)
    yield made
    made.gate.set()
    made.close()


def describe(world):
    """Who is there. Names of domains say what becomes of mail for them."""
    world.gate = threading.Event()
    # Without signatures.
    world.mx("fine", "20 fine-b", "10 fine-a")
    world.host("fine-a", 10)
    world.host("fine-b", 11)
    world.host("implicit", 12)  # no MX record
    world.mx("dead", "10 dead-a")
    world.records["plain"].append("dead-a A 127.0.53.13")
    world.mx("second", "10 dead-a", "20 busy", "30 second-c")
    world.host("busy", 14, greeting="421 4.3.2 busy")
    world.host("second-c", 15)
    world.mx("slow", "10 slow-a")
    world.host("slow-a", 16, gate=world.gate)
    world.mx("grey", "10 grey-a")
    world.host("grey-a", 17, rcpt=["450 4.7.1 come back later", "250 2.1.5 welcome"])
    world.mx("null", "0 .")
    world.mx("broken", "10 broken-a")
    world.host("broken-a", 18, tls="broken")
    world.mx("later", "10 later-a", "20 fine-b")
    world.host("later-a", 19, rcpt=["451 4.3.0 not now"])
    world.mx("never", "10 never-a")
    world.host("never-a", 20, rcpt=["550 5.1.1 nobody of that name"])
    world.mx("circle", "10 mx.example.com.", "20 fine-a")
    world.mx("own-address", "10 own-a", "10 own-a", "20 fine-a")
    world.records["plain"].append("own-a A 127.0.0.1")
    world.mx("hostless", "10 nowhere")
    world.mx("forbidden", "10 forbidden-a")
    world.records["plain"].append("forbidden-a A 127.0.66.1")
    world.mx("required", "10 required-a")
    world.host("required-a", 21, tls=world.authority.server("required-a.plain.example")[0])
    # With signatures.
    for name, number, what in (("right", 30, "3 1 1 {key}"), ("anchor", 31, "2 0 1 {authority}"), ("wrong", 32, "3 1 1 " + "ab" * 32),
                               ("unusable", 33, "1 1 1 {key}"), ("stripped", 34, "3 1 1 {key}"), ("unusable-clear", 35, "1 1 1 {key}")):
        context, key, authority = world.authority.server(f"mx.{name}.signed.example")
        world.mx(name, f"10 mx.{name}", zone="signed")
        world.host(f"mx.{name}", number, zone="signed", tls=None if name in ("stripped", "unusable-clear") else context)
        world.tlsa(f"mx.{name}", what.format(key=key, authority=authority))
    # Certificates of the authority, and of another name.
    world.mx("other-name", "10 mx.other-name", zone="signed")
    context, _, authority = world.authority.server("somebody.example")
    world.host("mx.other-name", 36, zone="signed", tls=context)
    world.tlsa("mx.other-name", f"2 0 1 {authority}")
    world.mx("partial", "10 mx.partial", zone="signed")
    context, _, authority = world.authority.server("m*.partial.signed.example")
    world.host("mx.partial", 38, zone="signed", tls=context)
    world.tlsa("mx.partial", f"2 0 1 {authority}")
    world.mx("without", "10 mx.without", zone="signed")  # no TLSA record: no TLS is needed
    world.host("mx.without", 37, zone="signed")
    world.mx("forged", "10 forged-a", zone="forged")
    world.records["forged"].append("forged-a A 127.0.53.90")
    world.start("required.plain.example: required")


DELIVERED = {  # to whom, and whether it had to be encrypted
    "fine.plain": ("fine-a", False), "implicit.plain": ("implicit", False), "second.plain": ("second-c", False),
    "grey.plain": ("grey-a", False), "broken.plain": ("broken-a", False), "right.signed": ("mx.right", True),
    "anchor.signed": ("mx.anchor", True), "unusable.signed": ("mx.unusable", True), "without.signed": ("mx.without", False),
}
RETURNED = {  # with this status, and in whose name
    "null.plain": ("5.1.10", None), "never.plain": ("5.1.1", "never-a.plain.example"), "circle.plain": ("5.4.6", None),
    "own-address.plain": ("5.4.6", None), "hostless.plain": ("5.4.4", None), "forbidden.plain": ("5.4.4", None),
    "nonexistent.plain": ("5.1.2", None), "nonexistent.signed": ("5.1.2", None),
}
WAITING = {
    "dead.plain": "451 4.4.1 dead-a.plain.example[127.0.53.13]:", "later.plain": "451 4.3.0 not now",
    "required.plain": "451 4.7.5 required-a.plain.example[127.0.53.21]:", "wrong.signed": "451 4.7.5 mx.wrong.signed.example",
    "stripped.signed": "451 4.7.5 mx.stripped.signed.example", "unusable-clear.signed": "451 4.7.5 mx.unusable-clear.signed.example",
    "other-name.signed": "451 4.7.5 mx.other-name.signed.example", "partial.signed": "451 4.7.5 mx.partial.signed.example", "forged.forged": "451 4.4.3", "outside.nobody": "451 4.4.3",
}


@pytest.fixture(scope="module")
def sent(world):
    """A message for each domain, by domain."""
    ids = {}
    with smtplib.SMTP("127.0.0.1", world.port, local_hostname="out.example.com") as client:
        client.ehlo()
        for domain in ["slow.plain", *DELIVERED, *RETURNED, *WAITING]:
            client.mail(ANN)
            client.rcpt(f"x@{domain}.example")
            ids[domain] = client.data(b"Subject: x\r\n\r\nx\r\n")[1].decode().split()[-1]
    wait_until(lambda: all(world.hosts[host].took for host, _ in DELIVERED.values()), "deliveries")
    wait_until(lambda: len(world.reports()) == len(RETURNED), "reports")
    world.waiting = wait_until(lambda: all_of(waiting(world), WAITING), "deferrals")
    world.returned = {group["Final-Recipient"].split(";")[1].strip(): group
                      for content in world.reports() for group in status_groups(content)[1:]}
    def all_delivered():
        found = [event for event in history(world.made) if event["event"] == "delivered"]
        return found if {ids[domain] for domain in DELIVERED} <= {event["id"] for event in found} else None
    world.events = wait_until(all_delivered, "the deliveries in the history")
    return ids


def waiting(world):
    """The recipients that have been tried and wait, by address."""
    return {recipient["address"]: recipient for message in world.made.list() for recipient in message["recipients"]
            if recipient["state"] == "waiting" and recipient["attempts"] > 0}


def all_of(found, domains):
    return found if all(f"x@{domain}.example" in found for domain in domains) else None


@pytest.mark.parametrize("domain", DELIVERED)
def test_delivered(world, sent, domain):
    host, encrypted = DELIVERED[domain]
    assert world.hosts[host].took == [(encrypted, f"x@{domain}.example")]
    told = [e for e in world.events if e["event"] == "delivered" and e["id"] == sent[domain] and e["recipient"] == f"x@{domain}.example"]
    assert len(told) == 1 and told[0]["endpoint"].startswith(f"{host}.{domain.split('.')[-1]}.example[127.0.53.")


@pytest.mark.parametrize("domain", RETURNED)
def test_returned(world, sent, domain):
    status, server = RETURNED[domain]
    group = world.returned[f"x@{domain}.example"]
    assert (group["Action"], group["Status"]) == ("failed", status)
    assert group.get("Remote-MTA") == (server and f"dns; {server}")


@pytest.mark.parametrize("domain", WAITING)
def test_waiting(world, sent, domain):
    recipient = world.waiting[f"x@{domain}.example"]
    assert WAITING[domain] in recipient["last_reply"]


def test_nobody_got_what_he_must_not(world, sent):
    took = {name: host.took for name, host in world.hosts.items() if host.took}
    assert set(took) == {host for host, _ in DELIVERED.values()}
    assert world.hosts["fine-b"].connections == 0, "a 4xx to RCPT is an answer: no other server is asked; nor is the worse of two"


def test_servers_that_do_not_answer_are_not_asked_for_each_message(world, sent):
    before = world.hosts["mx.wrong"].connections
    for number in range(5):
        send(world.made, ANN, [f"again{number}@wrong.signed.example"])
    wait_until(lambda: sum("not tried" in r["last_reply"] for a, r in waiting(world).items() if a.startswith("again")) == 5, "deferrals")
    assert world.hosts["mx.wrong"].connections == before


def test_a_slow_domain_delays_nobody_else(world, sent):
    slow = world.hosts["slow-a"]
    assert slow.took == [] and slow.connections == 1  # all the others are done
    for number in range(20):
        send(world.made, ANN, [f"more{number}@slow.plain.example"])
    wait_until(lambda: slow.connections == 5, "as many transactions as one domain gets")
    send(world.made, ANN, ["bob@example.com", "y@fine.plain.example"])
    wait_until(lambda: (False, "y@fine.plain.example") in world.hosts["fine-a"].took, "delivery elsewhere")
    wait_until(lambda: any("bob@example.com" in e["recipient"] for e in history(world.made) if e["event"] == "delivered"), "delivery at home")
    assert slow.took == []
    world.gate.set()
    wait_until(lambda: len(slow.took) == 21, "the slow ones")


def test_it_is_explained(world, sent):
    told = world.made.run("queue", "why", sent["wrong.signed"])
    assert "mx.wrong.signed.example[127.0.53.32]" in told.stdout
    transcript = world.made.run("history", "--transcript", sent["wrong.signed"]).stdout
    assert "MX of wrong.signed.example: 10 mx.wrong.signed.example (secure)" in transcript
    assert f"the MX of right.signed.example, port {world.port}" in world.made.run("route", "x@right.signed.example").stderr
    probe = world.made.run("backend", "probe", "outgoing")  # asks DNS for our own name, which this one does not know
    assert probe.returncode == 1 and "DNS: the DNS servers answer SERVFAIL" in probe.stdout
