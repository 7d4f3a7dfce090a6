"""Against a real Dovecot, over TCP, over a Unix socket and in TLS."""
import glob
import json
import os
import pathlib
import shutil
import smtplib
import subprocess
import tempfile
import time

import pytest

from conftest import Gateway, Process, free_port, wait_until

DOVECOT = shutil.which("dovecot", path="/usr/sbin:/usr/bin")


def write_config(folder, port, certificate):
    (folder / "run").mkdir(exist_ok=True)
    users = folder / "users"
    users.write_text("ok:{PLAIN}x::::::\nsecond:{PLAIN}x::::::\nfull:{PLAIN}x::::::userdb_quota_rule=*:bytes=10\n")
    config = folder / "dovecot.conf"
    config.write_text(f"""
base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/dovecot.log
protocols = lmtp
default_internal_user = dovecot
default_login_user = dovenull
mail_uid = nobody
mail_gid = nogroup
first_valid_uid = 1
first_valid_gid = 1
mail_location = maildir:{folder}/mail/%n
auth_username_format = %n
{f"ssl = required{chr(10)}ssl_cert = <{certificate}{chr(10)}ssl_key = <{certificate}" if certificate else "ssl = no"}
mail_plugins = quota
plugin {{
  quota = maildir:User quota
  quota_full_tempfail = yes
}}
quota_full_tempfail = yes
passdb {{
  driver = passwd-file
  args = {users}
}}
userdb {{
  driver = passwd-file
  args = {users}
  default_fields = home={folder}/mail/%n
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
  unix_listener lmtp {{
    mode = 0666
  }}
}}
protocol lmtp {{
  mail_plugins = quota
}}
""")
    return config


class Dovecot:
    def __init__(self, folder, certificate=None):
        self.folder = folder
        self.port = free_port()
        self.config = write_config(folder, self.port, certificate)
        (folder / "mail").mkdir(exist_ok=True)
        os.chmod(folder / "mail", 0o777)

    def start(self):
        self.process = Process([DOVECOT, "-F", "-c", str(self.config)], self.folder / "dovecot.out")

        def listens():
            assert self.process.process.poll() is None, "Dovecot has ended: " + self.process.text()
            return os.path.exists(self.folder / "run/lmtp") and os.path.exists(self.folder / "run/master.pid")
        wait_until(listens, "Dovecot's socket")

    def stop(self):
        self.process.stop()

    def messages(self, user):
        return [open(name, "rb").read() for name in glob.glob(str(self.folder / "mail" / user / "**/new/*"), recursive=True)]


@pytest.fixture
def folder():
    if DOVECOT is None or os.geteuid() != 0:
        pytest.skip("needs dovecot-lmtpd and root")
    with tempfile.TemporaryDirectory(prefix="postern-dovecot-") as name:
        os.chmod(name, 0o755)
        yield pathlib.Path(name)


@pytest.fixture(params=["tcp", "unix"])
def pair(request, folder):
    dovecot = Dovecot(folder)
    dovecot.start()
    endpoint = f"127.0.0.1:{dovecot.port}" if request.param == "tcp" else f"unix:{folder}/run/lmtp"
    gateway = Gateway(folder, [endpoint])
    gateway.start()
    yield gateway, dovecot
    if gateway.process.process.poll() is None:
        gateway.stop()
    dovecot.stop()


def send(gateway, recipients, message):
    with smtplib.SMTP("127.0.0.1", gateway.port) as client:
        client.sendmail("a@example.org", recipients, message)


def below_trace(stored):
    """Dovecot files with LF and puts its own trace on top; what follows our Received is what was sent."""
    text = stored.replace(b"\r\n", b"\n")
    start = text.index(b"by mx.example.com")
    end = text.index(b"\n", text.index(b";\n\t", start) + 2) + 1
    return text[end:]


def test_bytes_fates_and_return(pair):
    gateway, dovecot = pair
    message = b"Subject: dovecot\r\nFrom: a@example.org\r\n\r\n.dot\r\n..dots\r\n" + b"long " * 400 + b"\r\nend\r\n"
    send(gateway, ["ok@example.com", "second@example.com", "full@example.com", "nobody-here@example.com"], message)
    for user in ("ok", "second"):
        wait_until(lambda user=user: dovecot.messages(user), "delivery to " + user)
        assert below_trace(dovecot.messages(user)[0]) == message.replace(b"\r\n", b"\n")
    gateway.process.await_line(" deferred .*to=full@example.com.* attempt=2 ")
    gateway.process.await_line(" failed .*to=nobody-here@example.com")
    wait_until(lambda: gateway.states().get("full@example.com") == "waiting"
               and gateway.states().get("nobody-here@example.com") == "parked", "states")
    done = subprocess.run(["swaks", "--server", f"127.0.0.1:{gateway.port}", "--from", "a@example.org", "--to", "ok@example.com"],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    wait_until(lambda: len(dovecot.messages("ok")) == 2, "swaks' message")

    dovecot.stop()
    for number in range(10):
        send(gateway, ["ok@example.com"], b"Subject: while away %d\r\n\r\nx\r\n" % number)
    gateway.process.await_line(" endpoint_down ")
    dovecot.start()
    returned = time.monotonic()
    wait_until(lambda: len(dovecot.messages("ok")) == 12, "delivery after Dovecot's return")
    took = time.monotonic() - returned
    print(f"all delivered {took:.1f} s after Dovecot's return")
    if not os.environ.get("POSTERN_SANITIZED"):
        assert took < 20  # 5 s are promised; a machine under load gets more here, and the figure is printed


@pytest.mark.parametrize("tls", ["off", "opportunistic", "required"])
def test_it_conforms_and_stores_nothing_of_that(folder, tls):
    certificate = folder / "certificate.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder / "key.pem", "-out",
                    folder / "own.pem", "-days", "2", "-subj", "/CN=store", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    certificate.write_text((folder / "own.pem").read_text() + (folder / "key.pem").read_text())
    dovecot = Dovecot(folder, certificate)
    dovecot.start()
    gateway = Gateway(folder, [f"127.0.0.1:{dovecot.port}"])
    endpoints = f'["127.0.0.1:{dovecot.port}"]'

    def examine(keys):
        gateway.config.write_text(text.replace(endpoints, endpoints + keys))
        done = gateway.run("backend", "conformance", "stores", "--recipient", "ok@example.com", "--json")
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]
    text = gateway.config.read_text()
    assert endpoints in text
    status, checks = examine(f", tls: {tls}, tls_authorities: {folder}/own.pem" if tls != "off" else "")
    results = {check["check"]: check["result"] for check in checks}
    assert status == 0 and "fail" not in results.values(), checks
    assert results["the store closes after QUIT"] == results["the recipient given is accepted"] == "pass"
    assert ("LHLO is accepted within TLS" in results) == (tls != "off")
    if tls == "required":
        status, checks = examine(", tls: required")
        assert status == 1 and checks[-1]["check"] == "TLS begins" and "self-signed certificate" in checks[-1]["seen"]
        assert "nothing in clear" in checks[-1]["consequence"]
        status, checks = examine(f", tls: required, tls_authorities: {folder}/none.pem")
        assert status == 78 and not checks
        examine(f", tls: required, tls_authorities: {folder}/own.pem")
        gateway.start()
        send(gateway, ["ok@example.com"], b"Subject: secret\r\n\r\nx\r\n")
        wait_until(lambda: dovecot.messages("ok"), "the message")
        assert gateway.stop() == 0
        assert len(dovecot.messages("ok")) == 1
    else:
        assert not dovecot.messages("ok")
    dovecot.stop()
