"""IPv6 from end to end: a client at [::1], a store at [::1], and both families on one port."""
import re
import smtplib
import socket

import pytest

from conftest import PATIENCE, Gateway, MemoryStore, wait_until


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
            return True
    except OSError:
        return False


pytestmark = pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")


class StoreAtIpv6(MemoryStore):
    host = "::1"


def two_listeners(folder, store, more=""):
    """127.0.0.1 and [::1] with the same port, the store at [::1]."""
    gateway = Gateway(folder, [f"[::1]:{store.port}"])
    ours = f'  - address: "127.0.0.1:{gateway.port}"\n'
    gateway.config.write_text(gateway.config.read_text().replace(ours, ours + f'  - address: "[::1]:{gateway.port}"\n{more}'))
    return gateway


def send(host, port, subject):
    with smtplib.SMTP(host, port, timeout=PATIENCE, local_hostname="client.example.org") as client:
        client.sendmail("a@example.org", ["ok@example.com"], f"Subject: {subject}\r\n\r\nx\r\n")


def test_mail_by_both_families_reaches_a_store_at_ipv6(tmp_path):
    store = StoreAtIpv6()
    gateway = two_listeners(tmp_path, store)
    gateway.start()
    send("::1", gateway.port, "six")
    send("127.0.0.1", gateway.port, "four")
    wait_until(lambda: len(store.received) == 2, "delivery")
    shown = {"six" if b"Subject: six\r" in content else "four": content.split(b"\r\n")[0].decode() for content in store.contents}
    assert shown == {"six": "Received: from client.example.org ([IPv6:::1])", "four": "Received: from client.example.org ([127.0.0.1])"}
    gateway.process.await_line(r" accepted .*client=\S*::1\S* ")
    gateway.process.await_line(r" accepted .*client=127\.0\.0\.1 ")
    gateway.process.await_line(rf" delivered .*\[::1\]:{store.port}")
    assert gateway.stop() == 0
    # Each family is a listener of its own: without the other's it serves no client of the other.
    gateway.config.write_text(re.sub(r'  - address: "127.*\n', "", gateway.config.read_text()))
    gateway.start()
    send("::1", gateway.port, "alone")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE)
    assert gateway.stop() == 0
    store.close()


def test_trust_and_limits_know_an_ipv6_client(tmp_path):
    store = StoreAtIpv6()
    gateway = two_listeners(tmp_path, store, '    trusted: ["::1/128"]\n')
    gateway.config.write_text(gateway.config.read_text().replace("connections_per_client: 500", "connections_per_client: 1"))
    gateway.start()
    # One at once from each address; of those that are trusted, as many as want.
    for host, second in (("127.0.0.1", b"421 "), ("::1", b"220 ")):
        with socket.create_connection((host, gateway.port), timeout=PATIENCE) as first:
            assert first.recv(4) == b"220 "
            with socket.create_connection((host, gateway.port), timeout=PATIENCE) as other:
                assert other.recv(4) == second
    assert gateway.stop() == 0
    store.close()
