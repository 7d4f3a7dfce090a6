"""Mail through the gateway: what comes out is what went in, and each recipient has a fate of its own."""
import signal
import smtplib
import socket
import subprocess

from conftest import Gateway, MemoryStore, wait_until


def below_trace(content):
    """Without our Received field, which is folded over lines that begin with a tab."""
    lines = content.split(b"\r\n")
    assert lines[0].startswith(b"Received: from ")
    end = 1
    while lines[end].startswith(b"\t"):
        end += 1
    return b"\r\n".join(lines[end:])


def test_content_arrives_octet_for_octet(gateway, store):
    message = b"Subject: octets\r\nFrom: a@example.org\r\n\r\n.leading dot\r\n..two\r\n.\x2e\r\n\xff\xfe 8-bit\r\n" + b"x" * 5000 + b"\r\n" * 50
    with smtplib.SMTP("127.0.0.1", gateway.port) as client:
        client.sendmail("a@example.org", ["ok@example.com"], message, mail_options=["BODY=8BITMIME"])
    wait_until(lambda: store.contents, "delivery")
    assert below_trace(store.contents[0]) == message


def test_large_content_arrives(gateway, store):
    message = b"Subject: large\r\n\r\n" + b"".join(b"%08d line\r\n" % i for i in range(100_000))
    with smtplib.SMTP("127.0.0.1", gateway.port) as client:
        client.sendmail("a@example.org", ["ok@example.com"], message)
    wait_until(lambda: store.contents, "delivery")
    assert below_trace(store.contents[0]) == message


def test_a_line_of_a_mailbox_file_is_content_like_any_other(gateway, store):
    """Postfix 20260625: such a line before the header escaped the limits."""
    sent = [first + b"\r\nSubject: mbox\r\n\r\nFrom here on\r\n" for first in (
        b"From a@example.org Thu Jan  1 00:00:00 1970", b"From ", b">From a", b"From a\r\nFrom b", b"From " + b"x" * 500, b"From " + b"x" * 5000, b"From " + b"x" * 300000)]
    with smtplib.SMTP("127.0.0.1", gateway.port) as client:
        client.ehlo("client.example.org")
        for message in sent:
            for chunked in (False, True):
                client.mail("a@example.org")
                client.rcpt("ok@example.com")
                if chunked:
                    client.send(b"BDAT %d LAST\r\n%s" % (len(message), message))
                    assert client.getreply()[0] == 250
                else:
                    assert client.data(message)[0] == 250
    wait_until(lambda: len(store.contents) == 2 * len(sent), "delivery")
    assert sorted(below_trace(content) for content in store.contents) == sorted(2 * sent)


def test_mail_without_a_header_is_mail_also_over_a_kill(gateway, store):
    """Other servers lost such mail when they read their spool again, or took its body for a header."""
    sent = [b"", b"\r\n", b"\r\n\r\n", b"no header, no colon\r\n", b"\r\nX-Body: 1\r\n", b"line: one\r\nno colon\r\n", b":\r\n", b"no end of the header: 1\r\n",
            b"__proto__: 1\r\nconstructor: 2\r\n", b"\r\n." + b"x" * 70000 + b"\r\n", b"x" * 300000 + b"\r\n"]
    store.close()
    with smtplib.SMTP("127.0.0.1", gateway.port) as client:
        client.ehlo("client.example.org")
        for message in sent:
            client.mail("a@example.org")
            client.rcpt("ok@example.com")
            client.send(b"BDAT %d LAST\r\n%s" % (len(message), message))
            assert client.getreply()[0] == 250, message[:70]
            client.mail("a@example.org")
            client.rcpt("ok@example.com")
            assert client.data(message)[0] == 250, message[:70]
    gateway.stop(signal.SIGKILL)
    again = MemoryStore(store.port)
    gateway.start()
    wait_until(lambda: len(again.contents) == 2 * len(sent), "delivery")
    # smtplib's DATA of nothing is an empty line.
    assert sorted(below_trace(content) for content in again.contents) == sorted(sent + [message or b"\r\n" for message in sent])
    wait_until(lambda: not gateway.list(), "an empty queue")
    again.close()


def test_what_is_offered_is_this_and_the_limit_is_kept(tmp_path, store):
    gateway = Gateway(tmp_path, [f"127.0.0.1:{store.port}"])
    gateway.config.write_text(gateway.config.read_text().replace("limits: {", "limits: { recipients_per_message: 123, message_size: 70000, "))
    gateway.start()
    with smtplib.SMTP("127.0.0.1", gateway.port) as client:
        assert client.ehlo("client.example.org")[1].decode().splitlines() == ["mx.example.com", "PIPELINING", "SIZE 70000", "8BITMIME", "SMTPUTF8",
                                                                              "ENHANCEDSTATUSCODES", "DSN", "CHUNKING", "LIMITS RCPTMAX=123"]
        client.mail("a@example.org")
        assert [client.rcpt("u%d@example.com" % number)[0] for number in range(123)] == [250] * 123
        code, text = client.rcpt("one-more@example.com")
        assert code == 452 and text.startswith(b"4.5.3 ")
        assert client.data(b"Subject: many\r\n\r\nx\r\n")[0] == 250
        assert client.mail("a@example.org", ["SIZE=70001"])[0] == 552
        assert client.helo("client.example.org") == (250, b"mx.example.com")
    wait_until(lambda: len(store.received) == 123, "delivery")
    assert ("many", "one-more@example.com") not in store.received
    assert gateway.stop() == 0


def test_swaks_delivers(gateway, store):
    done = subprocess.run(["swaks", "--server", f"127.0.0.1:{gateway.port}", "--from", "a@example.org", "--to", "ok@example.com",
                           "--header", "Subject: swaks"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    wait_until(lambda: store.received.get(("swaks", "ok@example.com")), "delivery")


def test_each_recipient_has_its_own_fate(gateway, store):
    with smtplib.SMTP("127.0.0.1", gateway.port) as client:
        client.sendmail("a@example.org", ["ok@example.com", "full-a@example.com", "gone-b@example.com"], "Subject: fates\r\n\r\nx\r\n")
    gateway.process.await_line(" delivered .*to=ok@")
    gateway.process.await_line(" failed .*to=gone-b@")
    gateway.process.await_line(" deferred .*to=full-a@.* attempt=2 ")
    wait_until(lambda: gateway.states() == {"ok@example.com": "delivered", "full-a@example.com": "waiting", "gone-b@example.com": "parked"},
               "states of the three recipients")
    assert store.received == {("fates", "ok@example.com"): 1}


def test_relaying_is_denied_and_postmaster_is_taken(gateway):
    with smtplib.SMTP("127.0.0.1", gateway.port) as client:
        client.ehlo("client.example.org")
        client.mail("a@example.org")
        assert client.rcpt("x@example.net")[0] == 550
        for postmaster in ("<postmaster>", "<Postmaster@example.com>"):
            assert client.docmd("RCPT", "TO:" + postmaster)[0] == 250


def test_smuggled_end_of_data_is_content(gateway, store):
    with socket.create_connection(("127.0.0.1", gateway.port)) as client:
        stream = client.makefile("rwb")

        def command(text):
            stream.write(text)
            stream.flush()
            while True:
                line = stream.readline()
                if line[3:4] != b"-":
                    return line
        stream.readline()
        command(b"EHLO x.example.org\r\n")
        command(b"MAIL FROM:<a@example.org>\r\n")
        command(b"RCPT TO:<ok@example.com>\r\n")
        command(b"DATA\r\n")
        for end in (b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r"):
            stream.write(b"Subject: smuggling\r\n\r\ntext" + end + b"MAIL FROM:<evil@example.org>\r\n")
        assert command(b"\r\n.\r\n").startswith(b"250 2.0.0 queued as ")
        assert command(b"QUIT\r\n").startswith(b"221")
    wait_until(lambda: store.contents, "delivery")
    assert len(store.contents) == 1
    assert store.contents[0].count(b"evil@example.org") == 5
    assert b"\r" not in store.contents[0].replace(b"\r\n", b"") and b"\n" not in store.contents[0].replace(b"\r\n", b"")


def test_pipelined_commands_are_answered_in_order(gateway, store):
    with socket.create_connection(("127.0.0.1", gateway.port)) as client:
        stream = client.makefile("rb")
        assert stream.readline().startswith(b"220 ")
        client.sendall(b"EHLO x.example.org\r\n")
        while stream.readline()[3:4] == b"-":
            pass
        client.sendall(b"MAIL FROM:<a@example.org>\r\nRCPT TO:<ok@example.com>\r\nRCPT TO:<x@example.net>\r\n"
                       b"BDAT 21 LAST\r\nSubject: chunk\r\n\r\nx\r\nQUIT\r\n")
        received = stream.read()
    codes = [line[:3] for line in received.split(b"\r\n") if line[3:4] == b" "]
    assert codes == [b"250", b"250", b"550", b"250", b"221"], received
    wait_until(lambda: store.received.get(("chunk", "ok@example.com")), "delivery")
