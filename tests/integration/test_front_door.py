"""Who may come in, and how fast: the PROXY header, the limits of one client, and who talks before its turn."""
import re
import signal
import smtplib
import socket

import pytest

from conftest import PATIENCE, POSTERN, Gateway, Process, ask, wait_until


def behind_balancer(folder, store, limits=""):
    gateway = Gateway(folder, [f"127.0.0.1:{store.port}"])
    address = f'  - address: "127.0.0.1:{gateway.port}"\n'
    text = gateway.config.read_text().replace(address, address + '    proxy_protocol: ["127.0.0.1/32"]\n')
    gateway.config.write_text(text.replace("limits: {", "limits: { " + limits))
    gateway.start()
    return gateway


def come_from(gateway, header):
    client = socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE)
    client.sendall(header)
    return client, client.makefile("rwb")


def line_for(address):
    return f"PROXY TCP{'6' if ':' in address else '4'} {address} {'::1' if ':' in address else '127.0.0.1'} 4000 25\r\n".encode()


def octets_for(address):
    return (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0f" + socket.inet_pton(socket.AF_INET, address) + b"\x7f\0\0\1\x0f\xa0\0\x19" + b"\x04\0\0")


def send(stream, subject):
    assert stream.readline().startswith(b"220 ")
    for text, code in ((b"EHLO client.example.org\r\n", b"250"), (b"MAIL FROM:<a@example.org>\r\n", b"250"), (b"RCPT TO:<ok@example.com>\r\n", b"250"),
                       (b"DATA\r\n", b"354"), (f"Subject: {subject}\r\n\r\nx\r\n.\r\n".encode(), b"250"), (b"QUIT\r\n", b"221")):
        assert ask(stream, text).startswith(code), text


def test_the_client_behind_a_balancer_is_named_everywhere(tmp_path, store):
    gateway = behind_balancer(tmp_path, store)
    for header, shown in ((line_for("192.0.2.7"), "[192.0.2.7]"), (octets_for("192.0.2.8"), "[192.0.2.8]"), (line_for("2001:db8::9"), "[IPv6:2001:db8::9]")):
        _, stream = come_from(gateway, header)
        send(stream, shown)
        wait_until(lambda: store.received.get((shown, "ok@example.com")), "delivery")
        assert shown in store.contents[-1].split(b"\r\n")[0].decode(), store.contents[-1]
    gateway.process.await_line(r" accepted .*client=192\.0\.2\.7 ")
    assert gateway.stop() == 0


def test_from_anybody_else_the_header_is_not_taken(gateway):
    _, stream = come_from(gateway, b"")
    assert stream.readline().startswith(b"220 ")
    assert ask(stream, line_for("192.0.2.7")).startswith(b"521 5.5.1 ")
    assert stream.read() == b""


def test_without_the_header_a_balancer_is_hung_up_on(tmp_path, store):
    gateway = behind_balancer(tmp_path, store)
    for instead in (b"EHLO client.example.org\r\n", b"GET / HTTP/1.1\r\n\r\n", b"PROXY TCP4 nonsense\r\n", b"\r\n\r\n\0\r\nQUIT\n\xff\0\0\0"):
        _, stream = come_from(gateway, instead)
        assert stream.read() == b"", instead
    gateway.process.await_line(r'disconnected .*reason="no PROXY header from 127\.0\.0\.1"')
    assert gateway.stop() == 0


def test_one_client_is_limited_and_its_neighbours_are_not(tmp_path, store):
    gateway = behind_balancer(tmp_path, store, "connections_per_minute: 5, messages_per_minute: 3, ")
    for number in range(3):
        _, stream = come_from(gateway, line_for("192.0.2.7"))
        send(stream, "taken-%d" % number)
    _, stream = come_from(gateway, line_for("192.0.2.7"))
    assert stream.readline().startswith(b"220 ")
    ask(stream, b"EHLO client.example.org\r\n")
    assert ask(stream, b"MAIL FROM:<a@example.org>\r\n").startswith(b"450 4.7.1 ")
    gateway.process.await_line(r' refused .*client=192\.0\.2\.7 .*reply="450 4\.7\.1')
    come_from(gateway, line_for("192.0.2.7"))[1].readline()
    _, stream = come_from(gateway, line_for("192.0.2.7"))
    assert stream.read().startswith(b"421 4.7.0 ")
    _, stream = come_from(gateway, line_for("192.0.2.8"))
    send(stream, "neighbour")
    # Of IPv6 the first 64 bits are the client.
    for host in range(1, 6):
        _, stream = come_from(gateway, line_for("2001:db8:0:1::%x" % host))
        assert stream.readline().startswith(b"220 ")
    _, stream = come_from(gateway, line_for("2001:db8:0:1::ffff"))
    assert stream.read().startswith(b"421 4.7.0 ")
    _, stream = come_from(gateway, line_for("2001:db8:0:2::1"))
    send(stream, "other-network")
    assert gateway.stop() == 0


def test_whom_a_balancer_does_not_name_is_limited_and_trusted_with_nothing(tmp_path, store):
    gateway = Gateway(tmp_path, [f"127.0.0.1:{store.port}"], listener='proxy_protocol: ["127.0.0.1/32"]\n    trusted: ["127.0.0.0/8"]')
    gateway.config.write_text(gateway.config.read_text().replace("connections_per_client: 500", "connections_per_client: 2"))
    gateway.start()
    streams = [come_from(gateway, b"PROXY UNKNOWN\r\n")[1] for _ in range(2)]
    for stream in streams:
        assert stream.readline().startswith(b"220 ")
        assert ask(stream, b"EHLO client.example.org\r\n").startswith(b"250 ")
        assert ask(stream, b"MAIL FROM:<a@example.org>\r\n").startswith(b"250 ")
        assert ask(stream, b"RCPT TO:<a@elsewhere.example>\r\n").startswith(b"550 5.7.1 ")
    assert come_from(gateway, b"PROXY UNKNOWN\r\n")[1].readline().startswith(b"421 4.7.0 ")
    _, stream = come_from(gateway, line_for("192.0.2.7"))
    send(stream, "named")
    assert gateway.stop() == 0


def test_a_directory_harvest_is_turned_away(tmp_path, store):
    gateway = behind_balancer(tmp_path, store, "errors_per_minute: 12, ")
    heard = b""
    for _ in range(2):
        client, stream = come_from(gateway, line_for("192.0.2.7"))
        assert stream.readline().startswith(b"220 ")
        ask(stream, b"EHLO client.example.org\r\n")
        ask(stream, b"MAIL FROM:<a@example.org>\r\n")
        client.sendall(b"".join(b"RCPT TO:<guess%d@example.net>\r\n" % number for number in range(20)))
        heard = stream.read()
        assert heard.splitlines()[-1].startswith(b"421 4.7.0 "), heard
    assert heard.count(b"550 ") <= 3
    _, stream = come_from(gateway, line_for("192.0.2.7"))
    assert stream.read().startswith(b"421 4.7.0 Too many errors")
    assert gateway.stop() == 0


@pytest.mark.parametrize("verb", [b"NOOP", b"RSET", b"VRFY u", b"HELP", b"EHLO x"])
def test_commands_that_bring_no_mail_come_to_an_end(gateway, verb):
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE) as client:
        stream = client.makefile("rwb")
        assert stream.readline().startswith(b"220 ")
        for _ in range(100):
            assert ask(stream, verb + b"\r\n")[:1] == b"2"
        assert ask(stream, verb + b"\r\n").startswith(b"421 4.7.0 Too many commands without a message")
        assert stream.read() == b""


@pytest.mark.parametrize("early", [b"EHLO robot.example.org\r\n", b"GET / HTTP/1.1\r\nHost: mx\r\n\r\n", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03", b"\x03\0\0\x13\x0e\xe0\0\0"],
                         ids=["smtp", "http", "tls", "rdp"])
def test_who_talks_before_the_greeting_is_hung_up_on(tmp_path, store, early):
    gateway = Gateway(tmp_path, [f"127.0.0.1:{store.port}"])
    gateway.config.write_text(gateway.config.read_text().replace("limits: {", "limits: { greeting_delay: 1s, "))
    gateway.start()
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE) as client:
        client.sendall(early)
        assert client.makefile("rb").read().startswith(b"554 5.5.1 ")
    gateway.process.await_line(r'disconnected .*reason="talked before the greeting"')
    with smtplib.SMTP("127.0.0.1", gateway.port, timeout=PATIENCE) as client:
        client.sendmail("a@example.org", ["ok@example.com"], "Subject: patient\r\n\r\nx\r\n")
    wait_until(lambda: store.received.get(("patient", "ok@example.com")), "delivery")
    assert gateway.stop() == 0


def test_other_protocols_behind_the_greeting_are_hung_up_on(gateway):
    for spoken, why in ((b"GET / HTTP/1.1\r\nHost: mx\r\n\r\n", "speaks another protocol"), (b"\x16\x03\x01\x00\xa5\x01", "TLS without STARTTLS"),
                        (b"EHLO browser\r\nMAIL FROM:<a@example.org>\r\n", "talked before its turn")):
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE) as client:
            stream = client.makefile("rwb")
            assert stream.readline().startswith(b"220 ")
            stream.write(spoken)
            stream.flush()
            assert re.match(rb"5[02][13] 5\.5\.1 ", stream.read()), spoken
        gateway.process.await_line(rf'disconnected .*reason="{why}"')


def start_with_socket(gateway, passed):
    """As systemd does it: the socket is descriptor 3."""
    command = ["sh", "-c", 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@" 3<&0 < /dev/null', POSTERN, "serve", "-c", str(gateway.config)]
    gateway.process = Process(command, gateway.folder / "gateway.log", stdin=passed)


def test_a_socket_that_the_service_manager_passes_is_used_and_kept(tmp_path, store):
    gateway = Gateway(tmp_path, [f"127.0.0.1:{store.port}"])
    with socket.socket() as passed:
        passed.bind(("127.0.0.1", gateway.port))
        passed.listen(100)
        for number in range(2):
            start_with_socket(gateway, passed)
            gateway.process.await_line(" ready ")
            with smtplib.SMTP("127.0.0.1", gateway.port, timeout=PATIENCE) as client:
                client.sendmail("a@example.org", ["ok@example.com"], f"Subject: passed-{number}\r\n\r\nx\r\n")
            wait_until(lambda: store.received.get((f"passed-{number}", "ok@example.com")), "delivery")
            assert gateway.stop() == 0
        # Nobody serves it now, and still clients are not refused: they wait for the next start.
        waiting = socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE)
        start_with_socket(gateway, passed)
        assert waiting.makefile("rb").readline().startswith(b"220 ")
        assert gateway.stop(signal.SIGTERM) == 0


def test_a_passed_socket_that_no_listener_names_is_an_error(tmp_path, store):
    gateway = Gateway(tmp_path, [f"127.0.0.1:{store.port}"])
    with socket.socket() as passed:
        passed.bind(("127.0.0.1", 0))
        passed.listen(100)
        start_with_socket(gateway, passed)
        assert gateway.process.process.wait(PATIENCE) == 78
        assert f"at 127.0.0.1:{passed.getsockname()[1]}, which no listener names" in gateway.process.text()
