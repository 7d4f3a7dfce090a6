"""TLS with real clients (OpenSSL's own, Python's, swaks): what is offered, what a reload changes, and what a bad client cannot do."""
import json
import os
import pathlib
import re
import shutil
import smtplib
import socket
import ssl
import subprocess
import tempfile

import pytest

from conftest import PATIENCE, POSTERN, Gateway, ask, wait_until


def make_certificate(folder, name, kind="ec", days=30, alternatives=None):
    """NAME.pem and NAME.key, signed by itself, its common name NAME."""
    algorithm = ["-newkey", "rsa:2048"] if kind == "rsa" else ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    subprocess.run(["openssl", "req", "-x509", *algorithm, "-nodes", "-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.pem"),
                    "-days", str(days), "-subj", f"/CN={name}", "-addext", "subjectAltName=" + ",".join(f"DNS:{each}" for each in alternatives or [name])],
                   check=True, capture_output=True)
    return folder / f"{name}.pem", folder / f"{name}.key"


def tls_gateway(folder, store, tls, extra=""):
    gateway = Gateway(folder, [f"127.0.0.1:{store.port}"], extra)
    address = f'  - address: "127.0.0.1:{gateway.port}"\n'
    gateway.config.write_text(gateway.config.read_text().replace(address, address + f"    tls: {tls}\n"))
    return gateway


@pytest.fixture
def gateway(tmp_path, store):
    ecdsa, ecdsa_key = make_certificate(tmp_path, "mx.example.com")
    rsa, rsa_key = make_certificate(tmp_path, "rsa", "rsa", alternatives=["mx.example.com"])
    other, other_key = make_certificate(tmp_path, "mx.example.org", alternatives=["mx.example.org", "*.wild.example"])
    made = tls_gateway(tmp_path, store, f"{{ certificate: {ecdsa}, key: {ecdsa_key}, additional: [{{ certificate: {rsa}, key: {rsa_key} }}, "
                                        f"{{ certificate: {other}, key: {other_key} }}] }}")
    made.start()
    yield made
    if made.process.process.poll() is None:
        assert made.stop() == 0


def s_client(port, *arguments, starttls=True, says="quit\n"):  # to s_client itself, Q and R in capitals mean something
    return subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-crlf", "-ign_eof", *(["-starttls", "smtp"] if starttls else []), *arguments],
                          input=says, capture_output=True, text=True, timeout=PATIENCE)


def server_name(shown):
    return re.search(r"^subject=CN = (.*)$", shown.stdout, re.M).group(1)


def any_context():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def plain(port):
    client = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    stream = client.makefile("rwb")
    assert stream.readline().startswith(b"220 ")
    return client, stream


def ready_to_shake(port):
    client, stream = plain(port)
    ask(stream, b"EHLO client.example.org\r\n")
    assert ask(stream, b"STARTTLS\r\n").startswith(b"220 2.0.0 ")
    return client


def send_over_tls(port, subject, body="x\r\n", context=None):
    with smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE) as client:
        client.starttls(context=context or any_context())
        client.sendmail("a@example.org", ["ok@example.com"], f"Subject: {subject}\r\n\r\n{body}")


def delivered(store, subject):
    wait_until(lambda: store.received.get((subject, "ok@example.com")), "delivery of " + subject)


def test_mail_over_tls_says_so_in_its_trace_and_in_the_log(gateway, store):
    send_over_tls(gateway.port, "encrypted")
    delivered(store, "encrypted")
    content = store.contents[0].decode()
    assert re.match(r"Received: from \S+ \(\[127\.0\.0\.1\]\)\r\n\tby mx\.example\.com with ESMTPS id \S+ \(TLSv1\.3 with cipher TLS_\w+\)\r\n", content), content
    gateway.process.await_line(r' accepted .*protocol=ESMTPS tls="TLSv1\.3 with cipher ')


def test_within_tls_the_same_is_offered_but_for_tls(gateway):
    offered = ["mx.example.com", "PIPELINING", f"SIZE {50 << 20}", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "DSN", "CHUNKING", "LIMITS RCPTMAX=1000"]
    with smtplib.SMTP("127.0.0.1", gateway.port, timeout=PATIENCE) as client:
        assert client.ehlo("client.example.org")[1].decode().splitlines() == offered + ["STARTTLS"]
        client.starttls(context=any_context())
        assert client.ehlo("client.example.org")[1].decode().splitlines() == offered + ["REQUIRETLS"]


def test_versions_below_1_2_are_refused(gateway):
    for version, taken in (("-tls1", False), ("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)):
        shown = s_client(gateway.port, version, "-cipher", "DEFAULT:@SECLEVEL=0")
        assert (shown.returncode == 0) == taken, (version, shown.stdout, shown.stderr)
        assert ("221 2.0.0" in shown.stdout) == taken, version


def test_each_client_gets_the_certificate_that_it_can_use(gateway):
    assert server_name(s_client(gateway.port, "-noservername")) == "mx.example.com"
    assert server_name(s_client(gateway.port, "-noservername", "-sigalgs", "rsa_pss_rsae_sha256")) == "rsa"
    assert server_name(s_client(gateway.port, "-noservername", "-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256")) == "rsa"
    assert server_name(s_client(gateway.port, "-servername", "mx.example.com")) == "mx.example.com"
    assert server_name(s_client(gateway.port, "-servername", "mx.example.org")) == "mx.example.org"
    assert server_name(s_client(gateway.port, "-servername", "a.wild.example")) == "mx.example.org"
    assert server_name(s_client(gateway.port, "-servername", "unknown.example")) == "mx.example.com"


@pytest.mark.parametrize("arguments", [["-tls1_3"], ["-tls1_2"], ["-tls1_2", "-no_ticket"]], ids=["1.3", "1.2", "1.2-without-tickets"])
def test_a_session_is_taken_up_again(gateway, tmp_path, arguments):
    session = str(tmp_path / "session.pem")
    # The ticket of TLS 1.3 comes with the first octets behind the handshake: something must be read before the end.
    with subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{gateway.port}", "-crlf", "-ign_eof", "-starttls", "smtp", "-sess_out", session, *arguments],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as first:
        first.stdin.write("ehlo client.example.org\n")
        first.stdin.flush()
        while "250 " not in (line := first.stdout.readline()) and line:
            pass
        first.stdin.write("quit\n")
        first.stdin.close()
        first.stdout.read()
    shown = s_client(gateway.port, "-sess_in", session, *arguments)
    assert re.search(r"^Reused, ", shown.stdout, re.M), shown.stdout
    status = json.loads(gateway.run("status", "--json").stdout)
    assert status["tls"] == {"full": 1, "resumed": 1, "failed": 0}


def test_a_large_mail_comes_through_whole(gateway, store):
    body = "".join("line %d of a mail that is larger than every buffer on its way\r\n" % number for number in range(150000))
    send_over_tls(gateway.port, "large", body)
    delivered(store, "large")
    assert store.contents[0].endswith(b"Subject: large\r\n\r\n" + body.encode())


def test_swaks_sends_over_tls(gateway, store):
    done = subprocess.run(["swaks", "--server", "127.0.0.1", "--port", str(gateway.port), "--tls", "--from", "a@example.org", "--to", "ok@example.com",
                           "--header", "Subject: swaks"], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    delivered(store, "swaks")


ODD_NAMES = [b"a" * 23 + b"\\", b"\\" * 24, b"\0" * 24, b"mx.example.com" + b"\0" * 10, b"." * 24, b"*." * 12, b"*.wild.example".rjust(24, b"."), b"\r\n" * 12, b"%n" * 12,
             b"\xff" * 24, b"../" * 8, b"mx.example.com..........", b"$(x)`y`|;'\"<>&{}[]!#~^?*"]


# Shows: faults.md, Exim CVE-2019-15846
@pytest.mark.parametrize("name", ODD_NAMES)
def test_whatever_name_a_client_asks_for_the_next_one_is_served(gateway, store, name):
    """Its library would not send such a name: it is put into its first message, in the place of a good one of the same length."""
    good = b"x" * 16 + b".example"
    assert len(name) == len(good)
    inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
    shake = any_context().wrap_bio(inward, outward, server_hostname=good.decode())
    with pytest.raises(ssl.SSLWantReadError):
        shake.do_handshake()
    hello = outward.read()
    assert hello.count(good) == 1
    client = ready_to_shake(gateway.port)
    client.sendall(hello.replace(good, name))
    answer = client.recv(5)
    assert answer[:1] in (b"\x15", b"\x16", b""), answer  # an alert, or its hello
    client.close()
    send_over_tls(gateway.port, "after-it")
    delivered(store, "after-it")


INJECTIONS = [b"STARTTLS\r\nNOOP\r\n", b"STARTTLS\r\nEHLO x\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<ok@example.com>\r\n", b"STARTTLS\r\n\r\n", b"STARTTLS\r\nx"]


@pytest.mark.parametrize("injection", INJECTIONS)
def test_what_stands_behind_starttls_is_never_carried_out(gateway, injection):
    client, stream = plain(gateway.port)
    ask(stream, b"EHLO client.example.org\r\n")
    client.sendall(injection)
    answer = stream.read()  # to the end: it hangs up
    assert answer.startswith(b"503 5.5.1 ") and answer.count(b"\n") == 1, answer
    gateway.process.await_line(r'disconnected .*reason="input behind STARTTLS"')


def test_what_was_said_before_the_handshake_is_forgotten(gateway):
    client, stream = plain(gateway.port)
    for text in (b"EHLO client.example.org\r\n", b"MAIL FROM:<a@example.org>\r\n", b"RCPT TO:<ok@example.com>\r\n"):
        assert ask(stream, text).startswith(b"250 ")
    assert ask(stream, b"STARTTLS\r\n").startswith(b"220 ")
    secure = any_context().wrap_socket(client).makefile("rwb")
    for text in (b"RCPT TO:<ok@example.com>\r\n", b"DATA\r\n", b"MAIL FROM:<a@example.org>\r\n"):
        assert ask(secure, text).startswith(b"503 "), text
    assert ask(secure, b"EHLO client.example.org\r\n").startswith(b"250 ")
    assert ask(secure, b"STARTTLS\r\n").startswith(b"503 ")


def test_half_done_handshakes_cost_little_and_nobody_else(tmp_path, store):
    certificate, key = make_certificate(tmp_path, "mx.example.com")
    gateway = tls_gateway(tmp_path, store, f"{{ certificate: {certificate}, key: {key} }}")
    gateway.config.write_text(gateway.config.read_text().replace("limits: {", "limits: { command_timeout: 5s,"))
    gateway.start()
    send_over_tls(gateway.port, "alone")
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(32)
    stalled = []
    for number in range(300):
        client = ready_to_shake(gateway.port)
        client.sendall(hello[:number % len(hello)])
        stalled.append(client)
    send_over_tls(gateway.port, "among-the-stalled")
    delivered(store, "among-the-stalled")
    for client in stalled:  # each is hung up on
        try:
            while client.recv(4096):
                pass
        except ConnectionResetError:
            pass
        client.close()
    gateway.process.await_line(r'disconnected .*reason="timeout in the TLS handshake"')
    wait_until(lambda: json.loads(gateway.run("status", "--json").stdout)["tls"]["failed"] == 300, "the end of the stalled")
    assert gateway.stop() == 0


def test_clients_that_go_in_the_middle_of_the_handshake_leave_nothing(gateway, store):
    for number in range(100):
        client = ready_to_shake(gateway.port)
        if number % 2:
            client.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        if number % 3 == 0:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset instead of an end
        client.close()
    wait_until(lambda: json.loads(gateway.run("status", "--json").stdout)["sessions"] == 0, "the end of all sessions")
    send_over_tls(gateway.port, "afterwards")
    delivered(store, "afterwards")


@pytest.mark.parametrize("how", ["plain-end", "reset", "notice"])
def test_an_end_in_the_middle_of_a_message_delivers_nothing(gateway, store, how):
    client = ready_to_shake(gateway.port)
    secure = any_context().wrap_socket(client)
    stream = secure.makefile("rwb")
    for text in (b"EHLO client.example.org\r\n", b"MAIL FROM:<a@example.org>\r\n", b"RCPT TO:<ok@example.com>\r\n"):
        assert ask(stream, text).startswith(b"250 ")
    assert ask(stream, b"DATA\r\n").startswith(b"354 ")
    stream.write(b"Subject: half\r\n\r\nhalf of it\r\n")
    stream.flush()
    if how == "notice":
        secure.setblocking(False)
        try:
            secure.unwrap()
        except (ssl.SSLError, OSError):
            pass
    elif how == "reset":
        secure.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    stream.close()
    secure.close()
    gateway.process.await_line(r'disconnected .*reason="(closed by client|TLS failed: .*)"')
    send_over_tls(gateway.port, "whole")
    delivered(store, "whole")
    assert ("half", "ok@example.com") not in store.received


def test_a_new_certificate_is_taken_up_without_a_reload_while_sessions_run(gateway, tmp_path, store):
    client = ready_to_shake(gateway.port)
    secure = any_context().wrap_socket(client).makefile("rwb")
    assert ask(secure, b"EHLO client.example.org\r\n").startswith(b"250 ")
    make_certificate(tmp_path, "new")
    os.replace(tmp_path / "new.pem", tmp_path / "mx.example.com.pem")
    os.replace(tmp_path / "new.key", tmp_path / "mx.example.com.key")
    gateway.process.await_line(r" certificate .*names=new ")
    assert server_name(s_client(gateway.port, "-noservername")) == "new"
    for text in (b"MAIL FROM:<a@example.org>\r\n", b"RCPT TO:<ok@example.com>\r\n"):
        assert ask(secure, text).startswith(b"250 ")
    assert ask(secure, b"QUIT\r\n").startswith(b"221 ")


def test_a_bad_pair_keeps_the_old_one_and_says_so(gateway, tmp_path):
    make_certificate(tmp_path, "stray")
    shutil.copy(tmp_path / "stray.key", tmp_path / "mx.example.com.key")
    gateway.process.await_line(r' certificate_kept problem=".*mx\.example\.com\.key: is not the key of the first certificate in .*old certificates stay in use')
    done = gateway.run("reload")
    assert done.returncode == 78 and "is not the key of" in done.stdout + done.stderr, done
    assert server_name(s_client(gateway.port, "-noservername")) == "mx.example.com"
    shutil.copy(tmp_path / "stray.pem", tmp_path / "mx.example.com.pem")
    done = gateway.run("reload")
    assert done.returncode == 0, done
    assert server_name(s_client(gateway.port, "-noservername")) == "stray"


def test_a_new_certificate_is_taken_up_although_a_reload_failed(tmp_path, store):
    certificate, key = make_certificate(tmp_path, "mx.example.com")
    recipients = tmp_path / "recipients"
    recipients.write_text("ok@example.com\n")
    gateway = tls_gateway(tmp_path, store, f"{{ certificate: {certificate}, key: {key} }}")
    gateway.config.write_text(gateway.config.read_text().replace("recipients: any", f"recipients: {{ file: {recipients} }}"))
    gateway.start()
    new_certificate, new_key = make_certificate(tmp_path, "new")
    recipients.write_text("not an address\n")
    os.replace(new_certificate, certificate)
    os.replace(new_key, key)
    done = gateway.run("reload")
    assert done.returncode == 78 and "expected an address" in done.stdout + done.stderr, done
    gateway.process.await_line(" certificate .*names=new ")
    assert server_name(s_client(gateway.port, "-noservername")) == "new"
    assert gateway.stop() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes its user")
def test_a_key_that_only_root_may_read_is_used_and_warned_of(store):
    with tempfile.TemporaryDirectory(prefix="postern-tls-") as folder:  # pytest's own folders let nobody but root in
        folder = pathlib.Path(folder)
        folder.chmod(0o755)
        (folder / "gateway").mkdir()
        shutil.chown(folder / "gateway", "nobody")
        certificate, key = make_certificate(folder, "mx.example.com")
        key.chmod(0o600)
        gateway = tls_gateway(folder / "gateway", store, f"{{ certificate: {certificate}, key: {key} }}", extra="user: nobody")
        gateway.start()
        gateway.process.await_line(rf"warn certificate_unreadable file={re.escape(str(key))} ")
        send_over_tls(gateway.port, "unreadable")
        delivered(store, "unreadable")
        done = gateway.run("reload")
        assert done.returncode == 78 and "Permission denied; give the gateway's user the right to read it" in done.stdout + done.stderr, done
        send_over_tls(gateway.port, "kept")
        delivered(store, "kept")
        assert gateway.stop() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes its user")
def test_a_new_key_is_taken_up_once_the_gateway_may_read_it(store):
    with tempfile.TemporaryDirectory(prefix="postern-tls-") as folder:
        folder = pathlib.Path(folder)
        folder.chmod(0o755)
        (folder / "gateway").mkdir()
        shutil.chown(folder / "gateway", "nobody")
        certificate, key = make_certificate(folder, "mx.example.com")
        key.chmod(0o644)
        gateway = tls_gateway(folder / "gateway", store, f"{{ certificate: {certificate}, key: {key} }}", extra="user: nobody")
        gateway.start()
        new_certificate, new_key = make_certificate(folder, "new")
        new_key.chmod(0o600)
        os.replace(new_certificate, certificate)
        os.replace(new_key, key)
        gateway.process.await_line(" certificate_kept problem=.*Permission denied")
        assert server_name(s_client(gateway.port, "-noservername")) == "mx.example.com"
        key.chmod(0o644)
        gateway.process.await_line(" certificate .*names=new ")
        assert server_name(s_client(gateway.port, "-noservername")) == "new"
        assert gateway.process.text().count(" certificate_kept ") == 1
        assert gateway.stop() == 0


@pytest.mark.parametrize("damage", ["missing", "empty", "garbage"])
def test_it_does_not_start_with_a_certificate_that_cannot_be_used(tmp_path, store, damage):
    certificate, key = make_certificate(tmp_path, "mx.example.com")
    if damage == "missing":
        certificate.unlink()
    else:
        certificate.write_bytes(b"" if damage == "empty" else os.urandom(1000))
    gateway = tls_gateway(tmp_path, store, f"{{ certificate: {certificate}, key: {key} }}")
    done = subprocess.run([POSTERN, "serve", "-c", str(gateway.config)], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 78 and str(certificate) in done.stderr, done


def test_the_days_that_are_left_are_told(tmp_path, store):
    certificate, key = make_certificate(tmp_path, "mx.example.com", days=5)
    gateway = tls_gateway(tmp_path, store, f"{{ certificate: {certificate}, key: {key} }}")
    gateway.start()
    gateway.process.await_line(r"warn certificate_expires .*days=4 ")
    told = json.loads(gateway.run("status", "--json").stdout)["certificates"]
    assert [(each["file"], each["days_left"], each["key"], each["names"]) for each in told] == [(str(certificate), 4, "ECDSA P-256", ["mx.example.com"])]
    assert "4 days left" in gateway.run("status").stdout
    assert gateway.stop() == 0


def test_required_takes_nothing_in_clear(tmp_path, store):
    certificate, key = make_certificate(tmp_path, "mx.example.com")
    gateway = tls_gateway(tmp_path, store, f"{{ certificate: {certificate}, key: {key}, required: true }}")
    gateway.start()
    client, stream = plain(gateway.port)
    ask(stream, b"EHLO client.example.org\r\n")
    assert ask(stream, b"MAIL FROM:<a@example.org>\r\n").startswith(b"530 5.7.0 ")
    send_over_tls(gateway.port, "required")
    delivered(store, "required")
    assert gateway.stop() == 0


def test_a_client_certificate_is_noted(tmp_path, store):
    certificate, key = make_certificate(tmp_path, "mx.example.com")
    mine, my_key = make_certificate(tmp_path, "client.example.org")
    gateway = tls_gateway(tmp_path, store, f"{{ certificate: {certificate}, key: {key}, ask_client_certificate: true }}")
    gateway.start()
    context = any_context()
    context.load_cert_chain(mine, my_key)
    send_over_tls(gateway.port, "with", context=context)
    send_over_tls(gateway.port, "without")
    delivered(store, "with")
    delivered(store, "without")
    shown = subprocess.run(["openssl", "x509", "-in", str(mine), "-noout", "-fingerprint", "-sha256"], capture_output=True, text=True, check=True).stdout
    fingerprint = shown.split("=")[1].strip().replace(":", "").lower()
    trace = {b"with" if b"Subject: with\r" in content else b"without": content.split(b"Subject:")[0].decode() for content in store.contents}
    assert f"client certificate SHA-256 {fingerprint}, not verified" in trace[b"with"]
    assert "client certificate" not in trace[b"without"]
    assert gateway.stop() == 0


def test_tls_from_the_first_octet(tmp_path, store):
    certificate, key = make_certificate(tmp_path, "mx.example.com")
    gateway = tls_gateway(tmp_path, store, f"{{ certificate: {certificate}, key: {key}, implicit: true }}")
    gateway.start()
    with smtplib.SMTP_SSL("127.0.0.1", gateway.port, timeout=PATIENCE, context=any_context()) as client:
        client.sendmail("a@example.org", ["ok@example.com"], "Subject: implicit\r\n\r\nx\r\n")
    delivered(store, "implicit")
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE) as client:
        client.sendall(b"EHLO client.example.org\r\n")
        assert b"220" not in client.recv(4096)
    assert gateway.stop() == 0


def test_a_client_cannot_shake_hands_again_and_again(gateway):
    """CVE-2009-3555, CVE-2011-1473: renegotiation is refused."""
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{gateway.port}", "-starttls", "smtp", "-tls1_2"], input="R\n", capture_output=True, text=True, timeout=PATIENCE)
    assert "RENEGOTIATING" in done.stdout + done.stderr and "no renegotiation" in done.stderr, done
    assert done.returncode != 0


@pytest.mark.skipif(shutil.which("sslscan") is None, reason="sslscan is not installed")
def test_sslscan_finds_nothing(gateway):
    shown = subprocess.run(["sslscan", "--starttls-smtp", "--no-colour", f"127.0.0.1:{gateway.port}"], capture_output=True, text=True, timeout=PATIENCE).stdout
    for version, state in (("SSLv2", "disabled"), ("SSLv3", "disabled"), ("TLSv1.0", "disabled"), ("TLSv1.1", "disabled"), ("TLSv1.2", "enabled"), ("TLSv1.3", "enabled")):
        assert re.search(rf"^{re.escape(version)}\s+{state}$", shown, re.M), (version, shown)
    assert "renegotiation not supported" in shown.lower(), shown
    assert "not vulnerable to heartbleed" in shown and "\n vulnerable" not in shown, shown
    ciphers = re.findall(r"^(?:Preferred|Accepted)\s+TLSv1\.\d\s+(\d+) bits\s+(\S+)", shown, re.M)
    assert ciphers and all(int(bits) >= 128 and (name.startswith("TLS_") or name.startswith("ECDHE-")) for bits, name in ciphers), shown
