"""Certificates that seem to be for the peer that mail goes to, and are not: where TLS is required nothing goes to it, relay or store."""
import ssl
import subprocess

import pytest

from conftest import Gateway, MemoryStore, wait_until
from test_bounces import SmtpSink, empty, send, trusting

# The name in the certificate's subject and its alternative names, the days that it is good for, and what is found wrong with it. "~" becomes NUL.
NAMES = {
    "right": ("x", "DNS:localhost", 2, None),
    "wildcard": ("x", "DNS:*.example.com", 2, "hostname mismatch"),
    "expired": ("x", "DNS:localhost", -1, "expired"),
    "partial-wildcard": ("x", "DNS:l*t", 2, "hostname mismatch"),
    "wildcard-for-all": ("x", "DNS:*", 2, "hostname mismatch"),
    "nul-in-alternative-name": ("x", "DNS:localhost~.evil.example", 2, "hostname mismatch"),
    "nul-in-common-name": ("localhost~.evil.example", None, 2, "hostname mismatch"),
    "common-name-beside-another": ("localhost", "DNS:evil.example", 2, "hostname mismatch"),
}


def split(der):
    """The contents of the first element, and all of it."""
    length, start = der[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[2:start], "big")
    return der[start:start + length], der[:start + length]


def element(tag, contents):
    size = len(contents)
    length = bytes([size]) if size < 128 else bytes([0x82]) + size.to_bytes(2, "big")
    return bytes([tag]) + length + contents


class Authority:
    def __init__(self, folder):
        self.folder = folder
        self.file = folder / "ca.pem"
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
                     "-subj", "/CN=authority")

    def openssl(self, *arguments, **options):
        return subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True, **options).stdout

    def context(self, name):
        subject, alternative, days, _ = NAMES[name]
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={subject}")
        (self.folder / "extensions").write_text(f"subjectAltName={alternative}\n" if alternative else "basicConstraints=CA:FALSE\n")
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", str(days), "-extfile", "extensions",
                     "-out", f"{name}.pem")
        self.put_nul(self.folder / f"{name}.pem")
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        return made

    def put_nul(self, file):
        """No tool makes such names: put in behind its back, and signed again."""
        certificate = split(ssl.PEM_cert_to_DER_cert(file.read_text()))[0].replace(b"localhost~", b"localhost\0")
        assert (b"localhost\0" in certificate) == file.name.startswith("nul")
        signed = split(certificate)[1]
        algorithm = split(certificate[len(signed):])[1]
        signature = element(3, b"\0" + self.openssl("dgst", "-sha256", "-sign", "ca.key", input=signed))
        file.write_text(ssl.DER_cert_to_PEM_cert(element(0x30, signed + algorithm + signature)))


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


class StoreInTls(MemoryStore):
    """Offers STARTTLS and keeps what is said within it."""

    def __init__(self, context):
        self.context = context
        self.said = []
        super().__init__()

    def serve(self, client):
        try:
            client.sendall(b"220 store\r\n")
            client.recv(100)
            client.sendall(b"250-store\r\n250 STARTTLS\r\n")
            if client.recv(100) == b"STARTTLS\r\n":
                client.sendall(b"220 go\r\n")
                stream = self.context.wrap_socket(client, server_side=True).makefile("rwb")
                for line in stream:
                    self.said.append(line)
                    stream.write(b"250 ok\r\n")
                    stream.flush()
        except OSError:
            pass
        finally:
            client.close()


@pytest.mark.parametrize("name", NAMES)
def test_a_certificate_of_another_gets_no_mail(tmp_path, authority, name):
    context = authority.context(name)
    problem = NAMES[name][3]
    relay, store = SmtpSink(tls=context), StoreInTls(context)
    gateway = trusting(tmp_path, [f"localhost:{store.port}"], f'relay: "smtp://localhost:{relay.port}", relay_tls: required, relay_authorities: {authority.file}')
    gateway.config.write_text(gateway.config.read_text().replace(
        f'["localhost:{store.port}"]', f'["localhost:{store.port}"], tls: required, tls_authorities: {authority.file}'))
    gateway.start()
    send(gateway, "ann@example.com", ["bob@elsewhere.example", "ok@example.com"])
    if problem is None:
        wait_until(lambda: relay.mails, "the relay to have it")
        wait_until(lambda: any(line.startswith(b"MAIL") for line in store.said), "the store to hear of it")
    else:
        for backend in ("outgoing", "stores"):
            gateway.process.await_line(rf" endpoint_down backend={backend} .*{problem}")
        assert not relay.mails and not any(encrypted for encrypted, _ in relay.commands) and not store.said
        assert set(gateway.states().values()) == {"ready"}
    assert gateway.stop() == 0
    relay.close()
    store.close()
