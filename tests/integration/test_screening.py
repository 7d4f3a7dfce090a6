"""What clients are measured by, over a real name server (nsd): reverse names, lists, the sender's domain, greylisting; and what happens when nobody
answers. Clients come through the PROXY header, from the addresses that documents are written with."""
import re
import shutil
import socket
import struct
import subprocess

import pytest

from conftest import PATIENCE, Gateway, ask, free_port, wait_until
from test_front_door import come_from, line_for

ZONE = """$ORIGIN .
$TTL 60
.                       IN SOA ns.invalid. admin.invalid. 1 3600 600 86400 60
.                       IN NS ns.invalid.
ns.invalid.             IN A 127.0.0.1
example.org.            IN MX 10 mail.example.org.
mail.example.org.       IN A 192.0.2.7
null.example.           IN MX 0 .
empty.example.          IN TXT "no mail here"
7.2.0.192.in-addr.arpa. IN PTR mail.example.org.
8.2.0.192.in-addr.arpa. IN PTR mail.example.org.
9.2.0.192.in-addr.arpa. IN PTR host-192-0-2-9.isp.example.
host-192-0-2-9.isp.example. IN A 192.0.2.9
20.2.0.192.in-addr.arpa. IN PTR evil\\013\\010X-Forged\\058\\032yes.example.org.
21.2.0.192.in-addr.arpa. IN PTR a.many.example.
21.2.0.192.in-addr.arpa. IN PTR b.many.example.
21.2.0.192.in-addr.arpa. IN PTR c.many.example.
21.2.0.192.in-addr.arpa. IN PTR d.many.example.
66.2.0.192.bad.example. IN A 127.0.0.2
66.2.0.192.bad.example. IN TXT "sent spam, see http://bad.example/66"
68.2.0.192.bad.example. IN A 127.0.0.2
68.2.0.192.bad.example. IN TXT "no\\013\\010250 2.1.5 yes \\027[2J"
67.2.0.192.bad.example. IN A 127.0.0.2
67.2.0.192.good.example. IN A 127.0.0.3
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.6.0.0.8.b.d.0.1.0.0.2.bad.example. IN A 127.0.0.2
"""

pytestmark = pytest.mark.skipif(shutil.which("nsd", path="/usr/sbin:/usr/bin") is None, reason="needs nsd")


def answers(port, name):
    """Whether a name server on the port knows the name."""
    question = struct.pack(">6H", 1, 0, 1, 0, 0, 0) + b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0" + struct.pack(">2H", 15, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.2)
        client.sendto(question, ("127.0.0.1", port))
        try:
            return client.recv(512)[3] & 15 == 0
        except OSError:
            return False


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nsd")
    port = free_port()
    (folder / "root.zone").write_text(ZONE)
    (folder / "nsd.conf").write_text(f"""
server:
  ip-address: 127.0.0.1@{port}
  username: ""
  zonesdir: "{folder}"
  pidfile: "{folder}/nsd.pid"
  xfrdfile: "{folder}/xfrd.state"
  zonelistfile: "{folder}/zone.list"
  database: ""
remote-control:
  control-enable: no
zone:
  name: "."
  zonefile: root.zone
""")
    with open(folder / "log", "wb") as log:
        server = subprocess.Popen([shutil.which("nsd", path="/usr/sbin:/usr/bin"), "-d", "-c", str(folder / "nsd.conf")], stdout=log, stderr=log)
        wait_until(lambda: server.poll() is not None or answers(port, "example.org"), "nsd answers")
        assert server.poll() is None, (folder / "log").read_text()
        yield port
        server.terminate()
        server.wait(PATIENCE)


def screening_gateway(folder, store, port, screening, dns="timeout: 5s"):
    gateway = Gateway(folder, [f"127.0.0.1:{store.port}"])
    address = f'  - address: "127.0.0.1:{gateway.port}"\n'
    text = gateway.config.read_text().replace(address, address + '    proxy_protocol: ["127.0.0.1/32"]\n    trusted: ["192.0.2.250/32"]\n')
    text = re.sub(r"screening: \{.*\}", f"screening: {{ {screening} }}", text)
    gateway.config.write_text(text + f'dns: {{ servers: ["127.0.0.1:{port}"], trust_anchor: none, {dns} }}\n')
    gateway.start()
    return gateway


def replies(gateway, address, sender="a@example.org", recipient="ok@example.com", helo="mail.example.org", data=None):
    """The last answer of a transaction: to MAIL, to RCPT, or to the data."""
    _, stream = come_from(gateway, line_for(address))
    assert stream.readline().startswith(b"220 ")
    ask(stream, f"EHLO {helo}\r\n".encode())
    answer = ask(stream, f"MAIL FROM:<{sender}>\r\n".encode())
    if answer.startswith(b"250"):
        answer = ask(stream, f"RCPT TO:<{recipient}>\r\n".encode())
    if answer.startswith(b"250") and data:
        assert ask(stream, b"DATA\r\n").startswith(b"354")
        answer = ask(stream, f"Subject: {data}\r\n\r\nx\r\n.\r\n".encode())
    ask(stream, b"QUIT\r\n")
    return answer.decode().strip()


def test_received_has_the_name_that_leads_back(tmp_path, store, names):
    gateway = screening_gateway(tmp_path, store, names, "reverse_names: on")
    for address, shown in (("192.0.2.7", "(mail.example.org [192.0.2.7])"), ("192.0.2.8", "([192.0.2.8])"), ("192.0.2.10", "([192.0.2.10])"),
                           ("192.0.2.20", "([192.0.2.20])"), ("192.0.2.21", "([192.0.2.21])")):
        assert replies(gateway, address, data=address).startswith("250 2.0.0 ")
        wait_until(lambda: store.received.get((address, "ok@example.com")), "delivery")
        assert shown in store.contents[-1].split(b"\r\n")[0].decode(), store.contents[-1]
        assert b"Forged" not in store.contents[-1]
    assert gateway.stop() == 0


def test_senders_whose_domain_takes_no_mail_are_refused(tmp_path, store, names):
    gateway = screening_gateway(tmp_path, store, names, "sender_domains: on")
    assert replies(gateway, "192.0.2.7").startswith("250 2.1.5 ")
    for sender, code in (("a@nowhere.example", "550 5.1.8 "), ("a@empty.example", "550 5.1.8 "), ("a@null.example", "550 5.7.27 ")):
        answer = replies(gateway, "192.0.2.7", sender)
        assert answer.startswith(code) and sender.split("@")[1] in answer, answer
    gateway.process.await_line(r" refused .*client=192\.0\.2\.7 .*reply=\"550 5\.7\.27")
    assert replies(gateway, "192.0.2.7", "").startswith("250 2.1.5 ")
    assert replies(gateway, "192.0.2.250", "a@nowhere.example").startswith("250 2.1.5 "), "a trusted client"
    assert gateway.stop() == 0


def test_clients_on_lists_are_refused_with_the_lists_reason(tmp_path, store, names):
    gateway = screening_gateway(tmp_path, store, names, "block: [{ zone: bad.example }], allow: [{ zone: good.example, weight: 5 }]")
    assert replies(gateway, "192.0.2.66") == "554 5.7.1 [192.0.2.66] is listed at bad.example: sent spam, see http://bad.example/66"
    assert replies(gateway, "2001:db8:66::1") == "554 5.7.1 [2001:db8:66::1] is listed at bad.example"
    assert replies(gateway, "192.0.2.68") == "554 5.7.1 [192.0.2.68] is listed at bad.example: no??250 2.1.5 yes ?[2J"
    assert replies(gateway, "192.0.2.66", recipient="postmaster@example.com").startswith("250 2.1.5 ")
    assert replies(gateway, "192.0.2.66", recipient="u@elsewhere.example").startswith("550 5.7.1 ")
    assert replies(gateway, "192.0.2.67").startswith("250 2.1.5 "), "5 of 10: somebody speaks for it"
    assert replies(gateway, "192.0.2.7").startswith("250 2.1.5 ")
    gateway.config.write_text(gateway.config.read_text().replace("block: [", "refuse_at: 20, block: ["))
    assert gateway.run("reload").returncode == 0
    assert replies(gateway, "192.0.2.66").startswith("250 2.1.5 ")
    assert gateway.stop() == 0


def test_who_looks_suspicious_has_to_come_again(tmp_path, store, names):
    gateway = screening_gateway(tmp_path, store, names, "greylist: { clients: suspicious, delay: 1s }")
    for address in ("192.0.2.7",):
        assert replies(gateway, address).startswith("250 2.1.5 ")
    for address, helo, why in (("192.0.2.8", "mail.example.org", "does not lead back"), ("192.0.2.9", "mail.example.org", "one of many"),
                               ("198.51.100.1", "mail.example.org", "has no name"), ("192.0.2.7", "localhost", "full name of a host")):
        answer = replies(gateway, address, f"{why.split()[0]}@example.org", helo=helo)
        assert answer.startswith("450 4.7.1 Greylisted, for ") and why in answer, answer
    assert replies(gateway, "192.0.2.250", helo="localhost").startswith("250 2.1.5 "), "a trusted client"
    assert replies(gateway, "198.51.100.1", "has@example.org", "gone@example.net").startswith("550 5.7.1 "), "never in place of a refusal"
    # It passes once it comes again, from a neighbour too; and a restart forgets nothing.
    wait_until(lambda: replies(gateway, "198.51.100.2", "has@example.org").startswith("250 2.1.5 "), "the second visit")
    assert gateway.stop() == 0
    assert (tmp_path / "queue.db-greylist").stat().st_mode & 0o7777 == 0o600
    gateway.config.write_text(gateway.config.read_text().replace("delay: 1s", "delay: 1h"))
    gateway.start()
    assert replies(gateway, "198.51.100.1", "has@example.org").startswith("250 2.1.5 ")
    assert replies(gateway, "198.51.100.1", "new@example.org").startswith("450 4.7.1 ")
    gateway.config.write_text(gateway.config.read_text().replace("clients: suspicious", "clients: none"))
    assert gateway.run("reload").returncode == 0
    assert replies(gateway, "198.51.100.1", "new@example.org").startswith("250 2.1.5 ")
    assert gateway.stop() == 0


def test_a_dns_that_does_not_answer_costs_no_mail(tmp_path, store):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        everything = "reverse_names: on, sender_domains: on, block: [{ zone: bad.example }, { zone: worse.example }], greylist: { clients: suspicious }"
        gateway = screening_gateway(tmp_path, store, silent.getsockname()[1], everything, "timeout: 200ms")
        assert replies(gateway, "192.0.2.66", "a@nowhere.example", data="unanswered").startswith("250 2.0.0 ")
        wait_until(lambda: store.received.get(("unanswered", "ok@example.com")), "delivery")
        assert gateway.stop() == 0


def test_clients_that_vanish_while_the_dns_is_silent_harm_nobody(tmp_path, store):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        gateway = screening_gateway(tmp_path, store, silent.getsockname()[1], "reverse_names: on, sender_domains: on, block: [{ zone: bad.example }]", "timeout: 2s")
        clients = [come_from(gateway, line_for(f"198.51.100.{number}")) for number in range(1, 101)]
        for number, (client, stream) in enumerate(clients):
            assert stream.readline().startswith(b"220 ")
            client.sendall(b"EHLO mail.example.org\r\n")
            ask(stream, b"")
            client.sendall(f"MAIL FROM:<a@n{number}.example>\r\n".encode())
            if number % 2:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # gone with a reset
            stream.close()
            client.close()
        # Nobody else waits with them.
        assert replies(gateway, "192.0.2.250", data="meanwhile").startswith("250 2.0.0 ")
        assert gateway.stop() == 0
        assert " problem " not in gateway.process.text()
