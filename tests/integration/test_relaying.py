"""Whatever form the question has, and whichever way it comes: mail for domains that are not ours is not taken."""
import pytest

from conftest import ask, wait_until
from test_front_door import behind_balancer, come_from, line_for
from test_hostile import connect
from test_tls import any_context, make_certificate, ready_to_shake, tls_gateway

# By what is wrong with them: the domain is another's (550 5.7.1), or it is no address at all (501).
FOREIGN = [
    b"<user@example.net>", b"<user%example.net@example.com>", b"<user%example.net@[127.0.0.1]>", b"<example.net!user@example.com>",
    b"<example.com!user@example.net>", b'<"user@example.net"@example.com>', b'<"user%example.net"@example.com>', b'<"user"@example.net>',
    b"<@example.com:user@example.net>", b"<@example.com,@example.org:user@example.net>", b"<user@[127.0.0.1]>", b"<user@[IPv6:::1]>",
    b"<user@[IPv6:::ffff:127.0.0.1]>", b"<user@127.0.0.1>", b"<user@2130706433>", b"<user@1.0.0.127.in-addr.arpa>", b"<USER@EXAMPLE.NET>",
    b"<user@example.com.example.net>", b"<user@sub.example.com>", b"<user@xn--exmple-4nf.com>",
]
MALFORMED = [
    b"<user@example.com.>", b"<user@example.net.>", b"<user@.example.com>", b"<user@example..com>", b"<user@example.com@example.net>",
    b"<user@example.net@example.com>", b"user@example.net", b"<user@example.com\\@example.net>", b"<user@example.com> <user@example.net>",
    b"<user@example.com>,<user@example.net>", b"< user@example.net>", b"<user@example.net >", b"<user@@example.com>", b"<>", b"<@>", b"<user>", b"<user@>",
    b"<@example.com>", b'<user@"example.com">', b"<user@[example.com]>", b"<user;example.net@example.com>",
]
# What looks like ours: a Cyrillic a; full stops of other scripts, which IDNA2003 made dots; spaces of no width; an accent; wide letters.
ALIKE = [each.encode() for each in (
    "<user@ex\u0430mple.com>", "<user@example\u3002com>", "<user@example\uff0ecom>", "<user@example\uff61com>", "<user@example.com\u3002>",
    "<user@example.com\u200b>", "<user@example\u200b.com>", "<user@\u200bexample.com>", "<user@example.com\u2060>", "<user@exa\u00admple.com>",
    "<user@\u00e9xample.com>", "<user@\uff45xample.com>", "<user@example\u3002net>", "<us\u200ber@example.net>", "<user@example.com\ufeff>",
)]


def expected(probe, smtputf8):
    if b"\0" in probe:
        return b"500 5.5.2 "  # no command at all (RFC 5321 section 4.1.1)
    if probe in ALIKE and not smtputf8:
        return b"553 5.6.7 "  # RFC 6531 section 3.5: to RCPT with such an address, when MAIL was given without SMTPUTF8
    return b"501 5." if probe in MALFORMED else b"550 5.7.1 "


class InClear:
    def __init__(self, folder, store):
        self.gateway = tls_gateway(folder, store, "{ certificate: %s, key: %s }" % make_certificate(folder, "mx.example.com"))
        self.gateway.start()

    def connect(self, number):
        return connect(self.gateway)[1]


class InTls(InClear):
    context = any_context()

    def connect(self, number):
        return self.context.wrap_socket(ready_to_shake(self.gateway.port)).makefile("rwb")


class BehindBalancer:
    """Each probe comes from an address of its own; the first from one that would be ours."""

    def __init__(self, folder, store):
        self.gateway = behind_balancer(folder, store)

    def connect(self, number):
        stream = come_from(self.gateway, line_for("192.0.2.%d" % number if number else "127.0.0.1"))[1]
        assert stream.readline().startswith(b"220 ")
        return stream


@pytest.mark.parametrize("smtputf8", [False, True], ids=["ascii", "utf8"])
@pytest.mark.parametrize("way", [InClear, InTls, BehindBalancer])
def test_no_probe_for_an_open_relay_gets_through(tmp_path, store, way, smtputf8):
    came = way(tmp_path, store)
    for number, probe in enumerate([*FOREIGN, *MALFORMED, *ALIKE, b"<user@example.com\0@example.net>"]):
        stream = came.connect(number)
        assert ask(stream, b"EHLO probe.example.org\r\n").startswith(b"250 ")
        assert ask(stream, b"MAIL FROM:<a@example.org>" + (b" SMTPUTF8" if smtputf8 else b"") + b"\r\n").startswith(b"250 ")
        reply = ask(stream, b"RCPT TO:" + probe + b"\r\n")
        assert reply.startswith(expected(probe, smtputf8)), (probe, reply)
        assert ask(stream, b"DATA\r\n").startswith(b"503 "), probe
        assert ask(stream, b"BDAT 3 LAST\r\nx\r\n").startswith(b"503 "), probe
        stream.close()
    # It does take mail: of a source route (RFC 5321 section 4.1.1.3) what counts is its end.
    stream = came.connect(200)
    for text in (b"EHLO probe.example.org\r\n", b"MAIL FROM:<a@example.org>\r\n", b"RCPT TO:<@example.net:ok@example.com>\r\n",
                 b"BDAT 19 LAST\r\nSubject: ours\r\n\r\nx\r\n"):
        assert ask(stream, text).startswith(b"250 "), text
    wait_until(lambda: came.gateway.list() == [], "delivery")
    assert list(store.received) == [("ours", "ok@example.com")]
    assert came.gateway.stop() == 0
