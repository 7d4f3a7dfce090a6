"""Clients that keep a slot: those that send a little at a time, those that read nothing, those that send nothing in many commands."""
import json
import select
import socket
import threading

import pytest

from conftest import PATIENCE, Gateway, ask, wait_until
from test_hostile import SANITIZED, connect, served
from test_tls import any_context, make_certificate, ready_to_shake


def limited(folder, store, limits):
    """With STARTTLS, and limits that are reached soon."""
    certificate, key = make_certificate(folder, "mx.example.com")
    gateway = Gateway(folder, [f"127.0.0.1:{store.port}"])
    address = f'  - address: "127.0.0.1:{gateway.port}"\n'
    text = gateway.config.read_text().replace(address, address + f"    tls: {{ certificate: {certificate}, key: {key} }}\n    early_talk: allow\n")
    gateway.config.write_text(text.replace("connections_per_client: 500", limits))
    gateway.start()
    return gateway


def sessions(gateway):
    return json.loads(gateway.run("status", "--json").stdout)["sessions"]


def in_transaction(gateway, tls):
    """All in one write: the short limits are for what comes behind it."""
    if tls:
        client = any_context().wrap_socket(ready_to_shake(gateway.port))
        stream = client.makefile("rwb")
    else:
        client, stream = connect(gateway)
    stream.write(b"EHLO slow.example.org\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<ok@example.com>\r\n")
    for _ in range(3):
        assert ask(stream, b"").startswith(b"250 ")
    return client, stream


def test_what_trickles_in_is_ended_and_makes_room(tmp_path, store):
    gateway = limited(tmp_path, store, "connections_per_client: 6, command_timeout: 1s, data_timeout: 1s")
    slow = {}
    for begun in (b"NO", b"DATA\r\n", b"BDAT 1000000 LAST\r\n"):
        for tls in (False, True):
            client, stream = in_transaction(gateway, tls)
            stream.write(begun)
            stream.flush()
            if begun.startswith(b"DATA"):
                assert stream.readline().startswith(b"354 ")
            slow[client] = stream
    # An octet each time that the gateway has nothing to say: far below the floor, and never silent.
    while slow:
        for client in select.select(list(slow), [], [], 0.02)[0]:
            assert slow.pop(client).readline() == b"421 4.4.2 Too slow; closing the connection\r\n"
        for client in slow:
            client.sendall(b"x")
    wait_until(lambda: gateway.process.text().count("reason=timeout") == 6, "the end of all six in the log")
    wait_until(lambda: sessions(gateway) == 0, "the end of the sessions")
    served(gateway, store, "next")  # the places of this client are free again
    assert list(store.received) == [("next", "ok@example.com")]
    assert gateway.stop() == 0


def test_who_keeps_above_the_floor_is_not_ended(tmp_path, store):
    gateway = limited(tmp_path, store, "connections_per_client: 500, data_timeout: 500ms")
    client, stream = in_transaction(gateway, False)
    block = (b"x" * 998 + b"\r\n") * 64
    stream.write(b"DATA\r\nSubject: steady\r\n\r\n" + block)  # each pays for eight seconds
    stream.flush()
    assert stream.readline().startswith(b"354 ")
    for _ in range(20):  # four times the limit, and longer than the pause between two looks at the deadlines
        assert not select.select([client], [], [], 0.1)[0]
        client.sendall(block)
    assert ask(stream, b".\r\n").startswith(b"250 ")
    wait_until(lambda: store.received.get(("steady", "ok@example.com")), "delivery")
    assert gateway.stop() == 0


def test_who_reads_no_replies_is_ended(tmp_path, store):
    # Ten times as many may be refused: their replies are more than the kernel takes for who does not read.
    gateway = limited(tmp_path, store, "connections_per_client: 2, command_timeout: 1s, recipients_per_message: 12000")
    deaf = [in_transaction(gateway, tls)[0] for tls in (False, True)]
    for client in deaf:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    before = peak(gateway)
    flood = b"RCPT TO:<ok@example.com>\r\n" * 1000

    def speak(client):
        with pytest.raises(OSError):
            while True:
                client.sendall(flood)
    threads = [threading.Thread(target=speak, args=(client,)) for client in deaf]
    for thread in threads:
        thread.start()
    wait_until(lambda: gateway.process.text().count("reason=timeout") == 2, "the end of both in the log")
    wait_until(lambda: sessions(gateway) == 0, "the end of the sessions")
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    if not SANITIZED:
        assert peak(gateway) - before < 16 << 20
    served(gateway, store, "next")
    assert gateway.stop() == 0


def peak(gateway):
    with open(f"/proc/{gateway.process.process.pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def hear_out(client):
    try:
        while client.recv(65536):
            pass
    except OSError:
        pass


@pytest.mark.parametrize("command", [b"BDAT 0\r\n", b"BDAT 1\r\nx"], ids=["none", "one"])
def test_a_flood_of_tiny_chunks_costs_no_memory_and_ends(tmp_path, store, command):
    """Postfix 20260805: what is kept of each command grew with them."""
    gateway = limited(tmp_path, store, "connections_per_client: 500, data_timeout: 1s, message_size: 64KiB")
    served(gateway, store, "before")
    client, stream = in_transaction(gateway, False)
    before = peak(gateway)
    reader = threading.Thread(target=hear_out, args=(client,))
    reader.start()
    count = 0
    try:
        while True:
            client.sendall(command * 1000)
            count += 1000
    except OSError:
        pass
    reader.join(PATIENCE)
    assert count > 1000
    gateway.process.await_line(r' disconnected .*reason=(timeout|"too many errors")')
    if not SANITIZED:
        assert peak(gateway) - before < 8 << 20
    served(gateway, store, "after")
    assert {subject for subject, _ in store.received} == {"before", "after"}
    assert gateway.stop() == 0
