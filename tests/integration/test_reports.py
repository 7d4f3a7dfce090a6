"""Reads the reports that we make with parsers of others: Python's email and Perl's MIME::Parser."""
import base64
import email
import email.policy
import json
import os
import subprocess

import pytest

from conftest import POSTERN

MAKER = os.path.normpath(os.path.join(os.path.dirname(POSTERN), "../../tests/unit/gateway/bounce/report_maker"))
CONTENT = "Message-ID: <1@sender.example>\r\nSubject: Lunch\r\n\r\nAt noon?\r\n"

PERL = r"""
use MIME::Parser; use MIME::Base64; use JSON::PP;
my $parser = MIME::Parser->new; $parser->output_to_core(1); $parser->tmp_to_core(1); $parser->extract_nested_messages(0);
while (my $line = <STDIN>) {
my $top = $parser->parse_data(decode_base64($line));
my @parts = map { { type => $_->mime_type, body => join("", map { $_ } unpack("(H2)*", $_->bodyhandle->as_string)) } } $top->parts;
print encode_json({ type => $top->mime_type, report => $top->head->mime_attr("content-type.report-type"),
                    fields => [$top->head->tags], parts => \@parts }), "\n";
}
"""
seen_by_perl = {}  # raw -> what it sees


def make(**facts):
    facts.setdefault("sender", "ann@sender.example")
    facts.setdefault("content", CONTENT)
    facts.setdefault("recipients", [{"address": "bob@example.com", "reply": "550 5.1.1 No such user"}])
    done = subprocess.run([MAKER], input=json.dumps(facts).encode(), capture_output=True, check=True)
    raw = done.stdout
    assert b"\n" not in raw.replace(b"\r\n", b"") and b"\r" not in raw.replace(b"\r\n", b"")
    assert max(len(line) for line in raw.split(b"\r\n")) <= 998
    return raw


def groups_of(text):
    """The groups of fields of a status part, unfolded: a list of lists of (name, value)."""
    groups = []
    for block in text.replace("\r\n", "\n").strip("\n").split("\n\n"):
        fields = []
        for line in block.split("\n"):
            if line.startswith(" "):
                fields[-1] = (fields[-1][0], fields[-1][1] + line)
            else:
                name, value = line.split(": ", 1)
                fields.append((name, value))
        groups.append(fields)
    return groups


def by_python(raw):
    report = email.message_from_bytes(raw, policy=email.policy.SMTP)
    assert report.get_content_type() == "multipart/report"
    parts = list(report.iter_parts())
    assert len(parts) == 3
    for part in report.walk():
        if part.get_content_maintype() != "message":
            assert not part.defects, part.defects
    return report, parts


def all_by_perl(raws):
    """Shows many reports to one Perl, which takes longer to start than to read them."""
    raws = [raw for raw in raws if raw not in seen_by_perl]
    if not raws:
        return
    lines = b"".join(base64.b64encode(raw) + b"\n" for raw in raws)
    done = subprocess.run(["perl", "-e", PERL], input=lines, capture_output=True, check=True)
    for raw, line in zip(raws, done.stdout.splitlines(), strict=True):
        seen = json.loads(line)
        assert seen["type"] == "multipart/report" and len(seen["parts"]) == 3
        for part in seen["parts"]:
            part["body"] = bytes.fromhex(part["body"])
        seen_by_perl[raw] = seen


def by_perl(raw):
    all_by_perl([raw])
    return seen_by_perl[raw]


def status_groups(raw):
    """The fields as both parsers see them; they must agree."""
    _, parts = by_python(raw)
    perl = groups_of(by_perl(raw)["parts"][1]["body"].decode())
    if parts[1].get_content_type() == "message/delivery-status":
        python = [list(block.items()) for block in parts[1].get_payload() if block.items()]
        fold = lambda groups: [[(name, " ".join(value.split())) for name, value in group] for group in groups]
        assert fold(python) == fold(perl)
    return [dict(group) for group in perl]


@pytest.mark.parametrize("notice, action, reply, status", [
    ("failed", "failed", "550 5.1.1 No such user", "5.1.1"),
    ("delayed", "delayed", "452 4.2.2 Mailbox full", "4.2.2"),
    ("relayed", "relayed", "250 2.0.0 Saved", "2.0.0"),
])
@pytest.mark.parametrize("ret", [0, 1, 2])
@pytest.mark.parametrize("envid, orcpt", [("", ""), ("QQ+2B1", "rfc822;Bob+2Blist@old.example")])
@pytest.mark.parametrize("count", [1, 3])
def test_every_field_reads_back(notice, action, reply, status, ret, envid, orcpt, count):
    recipients = [{"address": "user%d@example.com" % i, "reply": reply, "orcpt": orcpt, "remote": "store.example.com"}
                  for i in range(count)]
    raw = make(notice=notice, ret=ret, envid=envid, helo="out.sender.example", recipients=recipients)
    report, parts = by_python(raw)
    assert report["Auto-Submitted"] == "auto-replied"
    assert report["To"].addresses[0].addr_spec == "ann@sender.example"
    assert report["From"].addresses[0].addr_spec == "postmaster@example.com"
    assert report["In-Reply-To"] == "<1@sender.example>"
    assert report.get_param("report-type") == "delivery-status"
    words = parts[0].get_content()
    whole = notice == "failed" and ret == 1
    assert parts[2].get_content_type() == ("message/rfc822" if whole else "text/rfc822-headers")
    assert ("At noon?" in raw.decode()) == whole
    message, *each = status_groups(raw)
    expected = {"Reporting-MTA": "dns; mx1.example.com", "Received-From-MTA": "dns; out.sender.example",
                "Arrival-Date": "Fri, 21 Aug 2026 10:11:12 +0000"}
    if envid:
        expected["Original-Envelope-Id"] = "QQ+1"
    assert message == expected
    assert len(each) == count
    for i, group in enumerate(each):
        assert "user%d@example.com" % i in words and reply in words
        expected = {"Final-Recipient": "rfc822; user%d@example.com" % i, "Action": action, "Status": status,
                    "Remote-MTA": "dns; store.example.com", "Diagnostic-Code": "smtp; " + reply,
                    "Last-Attempt-Date": "Fri, 21 Aug 2026 11:00:00 +0000", "Final-Log-ID": "06pqp3aqm0200"}
        if orcpt:
            expected["Original-Recipient"] = "rfc822; Bob+list@old.example"
        if notice == "delayed":
            expected["Will-Retry-Until"] = "Wed, 26 Aug 2026 10:11:12 +0000"
        assert group == expected


def test_utf8_addresses_make_a_global_report():
    raw = make(sender="änn@sender.example", smtputf8=True, content="Subject: Grüße\r\n\r\nhallo\r\n",
               recipients=[{"address": "bü@example.com", "reply": "550 5.1.1 unbekannt: bü", "orcpt": "utf-8;b\\x{FC}@example.com"}])
    report, parts = by_python(raw)
    assert report.get_param("report-type") == "global-delivery-status"
    assert "änn@sender.example" in str(report["To"])
    assert "unbekannt: bü" in parts[0].get_content()
    perl = by_perl(raw)
    assert [part["type"] for part in perl["parts"]] == ["text/plain", "message/global-delivery-status", "message/global-headers"]
    assert perl["parts"][2]["body"].decode().strip() == "Subject: Grüße"
    _, group = status_groups(raw)
    assert group["Final-Recipient"] == "utf-8; bü@example.com"
    assert group["Original-Recipient"] == "utf-8; bü@example.com"
    assert group["Diagnostic-Code"] == "smtp; 550 5.1.1 unbekannt: bü"


def test_a_header_that_nobody_declared_comes_back_encoded():
    raw = make(latin1=True, content="Subject: Caf\u00e9\r\nX: " + "y" * 2000 + "\r\n\r\nbody\r\n",
               recipients=[{"address": "bob@example.com", "reply": "550 5.0.0 Caf\u00e9"}])
    assert raw.isascii()
    assert by_perl(raw)["parts"][2]["body"].replace(b"\r\n", b"\n").strip() == b"Subject: Caf\xe9\nX: " + b"y" * 2000


@pytest.mark.parametrize("reply", [
    "550 5.1.1 a\r\n\r\n--=_06pqp3aqm0300.0\r\nContent-Type: text/html\r\n\r\n<script>",
    "550 5.1.1 a\nAction: delivered\nStatus: 2.0.0",
    "550 5.1.1 a\r\n\r\nFinal-Recipient: rfc822; other@example.com",
    "550 5.1.1 \x00\x01\x1b[2J\x7f\x80\x9b\xff",
    "550 5.1.1 " + "x" * 5000,
    "550 5.1.1 " + "word " * 1000,
    "550 5.1.1 a\r \n \r\n\t\r\nb",
    "\r\n", ";", "(", "550", "5",
])
def test_hostile_replies_cannot_bend_a_report(reply):
    raw = make(latin1=True, recipients=[{"address": "bob@example.com", "reply": reply},
                                        {"address": "eve@example.com", "reply": reply}])
    assert raw.isascii() and len(raw) < 10000
    _, parts = by_python(raw)
    assert [part.get_content_type() for part in parts] == ["text/plain", "message/delivery-status", "text/rfc822-headers"]
    message, *each = status_groups(raw)
    assert set(message) == {"Reporting-MTA", "Arrival-Date"}
    assert [group["Final-Recipient"] for group in each] == ["rfc822; bob@example.com", "rfc822; eve@example.com"]
    for group in each:
        assert group["Action"] == "failed" and group["Status"].startswith("5.")
        assert set(group) <= {"Final-Recipient", "Action", "Status", "Diagnostic-Code", "Last-Attempt-Date", "Final-Log-ID"}


def test_a_returned_message_with_our_boundary_stays_one_part():
    content = CONTENT + "--=_06pqp3aqm0300.0\r\nContent-Type: text/html\r\n\r\n--=_06pqp3aqm0300.0--\r\n"
    raw = make(ret=1, content=content)
    _, parts = by_python(raw)
    assert parts[2].get_content_type() == "message/rfc822"
    assert by_perl(raw)["parts"][2]["body"].replace(b"\r\n", b"\n").rstrip(b"\n") == content.encode().replace(b"\r\n", b"\n").rstrip(b"\n")
