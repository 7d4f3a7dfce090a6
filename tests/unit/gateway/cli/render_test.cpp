#include "gateway/cli/render.hpp"

#include <gtest/gtest.h>

#include "tests/unit/gateway/control/fakes.hpp"

namespace postern::cli {
namespace {

using namespace std::chrono_literals;
using control::test::message;
using control::test::noon_ish;
using control::test::recipient;
using queue::RecipientState;

std::string id(std::int64_t value) { return queue::MessageId(value).to_string(); }

std::string table(std::size_t columns, const std::vector<control::MessageView>& messages) {
    ListTable made(columns, noon_ish);
    std::string text;
    for (const auto& each : messages) {
        text += made.add(each);
    }
    return text + made.finish();
}

std::vector<control::MessageView> two_messages() {
    auto first =
        control::view_of(message(1, {recipient("bob@example.org", RecipientState::waiting, "452 4.2.2 Mailbox full"),
                                     recipient("carol@example.org", RecipientState::delivered, "250 2.0.0 OK")}));
    auto second = control::view_of(message(2, {recipient("dave@example.org", RecipientState::held)}));
    second.sender.clear();
    second.size = 812;
    second.received_at = noon_ish - 45s;
    return {first, second};
}

TEST(ListTable, AlignsItsColumns) {
    EXPECT_EQ(table(0, two_messages()),
              "ID             AGE     SIZE  SENDER             RECIPIENTS              NEXT      REASON\n" + id(1) +
                  "   2h  4.0 KiB  alice@example.com  1 waiting, 1 delivered  in 4m10s  452 4.2.2 Mailbox full\n" +
                  id(2) + "  45s    812 B  <>                 1 held                  -         -\n");
}

TEST(ListTable, CutsTheReasonToTheTerminal) {
    const std::string text = table(110, two_messages());
    EXPECT_NE(text.find("452 4.2.2 Mailbox full\n"), std::string::npos) << text;
    EXPECT_NE(table(100, two_messages()).find("452 4.2.2 Mailb...\n"), std::string::npos) << table(100, two_messages());
    EXPECT_NE(table(20, two_messages()).find("452 4.2.2...\n"), std::string::npos);
}

TEST(ListTable, IsEmptyForAnEmptyQueue) { EXPECT_EQ(table(80, {}), ""); }

TEST(ListTable, LaterRowsKeepTheColumns) {
    std::vector<control::MessageView> messages(500, two_messages()[1]);
    const std::string text = table(0, messages);
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 501);
}

TEST(ListTable, EscapesWhatStrangersWrote) {
    auto rows = two_messages();
    rows[0].recipients[0].last_reply = "452 \x07 bell";
    const std::string text = table(0, rows);
    EXPECT_EQ(text.find('\x07'), std::string::npos);
    EXPECT_NE(text.find("452 \\x07 bell"), std::string::npos);
}

TEST(RenderMessage, TellsTheEnvelopeAndEachRecipient) {
    auto view = two_messages()[0];
    view.rdns = "mx.example.net";
    view.smtputf8 = true;
    view.recipients[0].unknowns = 2;
    control::RecipientView parked = view.recipients[0];
    parked.address = "eve@example.org";
    parked.state = RecipientState::parked;
    parked.next_attempt_at.reset();
    parked.unknowns = 0;
    parked.failed = true;
    parked.last_reply = "550 5.1.1 No such user";
    view.recipients.push_back(parked);
    EXPECT_EQ(render_message(view, noon_ish), "Id          " + id(1) + R"(
Received    2026-08-21T08:00:00.000Z (2h ago)
Sender      <alice@example.com>
Client      mx.example.net [192.0.2.1], HELO mx.example.net, ESMTP
Size        4.0 KiB (4096 octets), SMTPUTF8
Recipients  3: 1 waiting, 1 parked, 1 delivered

bob@example.org
  state         waiting
  attempts      1, and 2 without an answer
  next attempt  in 4m10s, 10:04:10Z
  backend       stores
  last reply    452 4.2.2 Mailbox full

carol@example.org
  state         delivered
  attempts      1
  backend       stores
  last reply    250 2.0.0 OK

eve@example.org
  state         parked (a store refused it for good)
  attempts      1
  backend       stores
  last reply    550 5.1.1 No such user
)");
}

control::Status example_status() {
    control::Status status;
    status.gateway.version = "0.1.0";
    status.gateway.uptime_seconds = 7380;
    status.gateway.sessions = 12;
    status.gateway.last_minute.accepted = 60;
    status.gateway.since_start.accepted = 123456;
    status.gateway.since_start.delivered = 123400;
    status.gateway.disk.queue_path = "/var/lib/postern/queue.db";
    status.gateway.disk.free_octets = 12ULL << 30;
    status.gateway.disk.minimum_free_octets = 512ULL << 20;
    status.gateway.certificates.resize(2);
    status.gateway.certificates[0].listener = "0.0.0.0:25";
    status.gateway.certificates[0].file = "/etc/postern/rsa.pem";
    status.gateway.certificates[0].key = "RSA 2048";
    status.gateway.certificates[0].days_left = 61;
    status.gateway.certificates[1] = status.gateway.certificates[0];
    status.gateway.certificates[1].key = "ECDSA P-256";
    status.gateway.certificates[1].days_left = -1;
    control::BackendStatus backend;
    backend.name = "stores";
    backend.endpoints.resize(2);
    backend.endpoints[0].address = "127.0.0.1:24";
    backend.endpoints[0].in_flight = 3;
    backend.endpoints[0].allowed = 12;
    backend.endpoints[0].connections = 20;
    backend.endpoints[0].latency = 4ms;
    backend.backlog = 5;
    backend.endpoints[1].address = "unix:/run/lmtp";
    backend.endpoints[1].state = "open";
    backend.endpoints[1].since = noon_ish - 5min;
    backend.endpoints[1].next_probe_at = noon_ish + 3s;
    backend.endpoints[1].last_error = "connect: Connection refused";
    backend.endpoints[1].last_error_at = noon_ish - 1s;
    status.gateway.backends.push_back(backend);
    status.queue.messages = 5;
    status.queue.recipients[RecipientState::waiting] = 4;
    status.queue.recipients[RecipientState::held] = 1;
    status.queue.recipients[RecipientState::delivered] = 9;
    status.oldest_seconds = 250;
    return status;
}

TEST(RenderStatus, IsOneScreen) {
    EXPECT_EQ(render_status(example_status(), noon_ish),
              R"(Gateway     postern 0.1.0, up 2h3m, 12 sessions
Queue       5 messages, the oldest 4m10s
Recipients  4 waiting, 1 held
Disk        12.0 GiB free, at least 512.0 MiB kept; /var/lib/postern/queue.db
Certificate RSA 2048 on 0.0.0.0:25, 61 days left; /etc/postern/rsa.pem
Certificate ECDSA P-256 on 0.0.0.0:25, EXPIRED; /etc/postern/rsa.pem

                accepted   delivered    deferred      failed
last minute           60           0           0           0
since start       123456      123400           0           0

Backend     stores: 5 recipients to deliver
  127.0.0.1:24    well, 3 of 12 at once (at most 20), 4 ms each
  unix:/run/lmtp  DOWN for 5m, next probe in 3s; connect: Connection refused (1s ago)
)");
}

TEST(RenderStatus, SaysWhenNoGatewayRuns) {
    control::Status status;
    status.gateway.running = false;
    status.gateway.disk.queue_path = "/q.db";
    EXPECT_EQ(render_status(status, noon_ish),
              "Gateway     not running\nQueue       0 messages\nRecipients  none\n"
              "Disk        0 B free, at least 0 B kept; /q.db\n");
}

TEST(RenderShape, SumsAndSorts) {
    control::ShapeRequest request;
    request.bounds = {5min, 10min};
    std::vector<queue::ShapeCell> cells(2);
    cells[0].key = "a";
    cells[0].counts = {1, 0, 2};
    cells[1].key = "stores";
    cells[1].counts = {1000, 20, 0};
    EXPECT_EQ(render_shape(cells, request),
              "           T    5m  10m  10m+\n"
              "TOTAL   1023  1001   20     2\n"
              "stores  1020  1000   20     0\n"
              "a          3     1    0     2\n");
}

TEST(RenderEvent, IsOneLine) {
    queue::HistoryEvent event;
    event.at = noon_ish;
    event.message = queue::MessageId(1);
    event.ordinal = 0;
    event.event = "deferred";
    event.recipient = "bob@example.org";
    event.backend = "stores";
    event.endpoint = "127.0.0.1:24";
    event.attempt = 3;
    event.duration = 120ms;
    event.reply = "452 4.2.2 Mailbox\nfull";
    event.actor = "gateway";
    EXPECT_EQ(render_event(event), "2026-08-21T10:00:00.000Z  " + id(1) +
                                       "  deferred  bob@example.org  stores 127.0.0.1:24, attempt 3, 120 ms"
                                       "  452 4.2.2 Mailbox\\x0afull\n");
    queue::HistoryEvent held;
    held.at = noon_ish;
    held.message = queue::MessageId(1);
    held.ordinal = 0;
    held.event = "held";
    held.recipient = "bob@example.org";
    held.actor = "alice: queue hold --all";
    EXPECT_EQ(render_event(held),
              "2026-08-21T10:00:00.000Z  " + id(1) + "  held      bob@example.org  by alice: queue hold --all\n");
}

TEST(RenderEvent, AnAcceptanceNamesClientAndSession) {
    queue::HistoryEvent event;
    event.at = noon_ish;
    event.message = queue::MessageId(1);
    event.event = "accepted";
    event.sender = "a@example.org";
    event.recipient = "bob@example.com";
    event.client = "192.0.2.1";
    event.session = "46-1";
    event.tls = "TLS1.3";
    event.actor = "gateway";
    EXPECT_EQ(render_event(event),
              "2026-08-21T10:00:00.000Z  " + id(1) +
                  "  accepted  from <a@example.org> to bob@example.com  client 192.0.2.1, session 46-1, TLS1.3\n");
    event.sender.clear();
    event.recipient.clear();
    event.client.clear();
    event.tls.clear();
    EXPECT_EQ(render_event(event), "2026-08-21T10:00:00.000Z  " + id(1) + "  accepted  from <>, session 46-1\n");
}

TEST(RenderEvent, WhatIsAboutABackendHasNoMessage) {
    queue::HistoryEvent event;
    event.at = noon_ish;
    event.event = "paused";
    event.backend = "stores";
    event.reply = "new disk";
    event.actor = "root";
    EXPECT_EQ(render_event(event),
              "2026-08-21T10:00:00.000Z  -------------  paused    backend stores  new disk  by root\n");
}

TEST(RenderBackend, SaysWhatWasDecidedAndByWhom) {
    control::BackendStatus backend;
    backend.name = "stores";
    backend.paused = control::BackendDecision{noon_ish - 2h, "root", "new disk"};
    backend.refusing = "down for 4h";
    backend.endpoints.resize(1);
    backend.endpoints[0].address = "127.0.0.1:24";
    backend.endpoints[0].state = "unknown";
    EXPECT_EQ(render_backend(backend, noon_ish),
              "Backend     stores: 0 recipients to deliver\n"
              "  PAUSED 2h ago by root: new disk\n"
              "  REFUSING: RCPT for its domains is answered 451: down for 4h\n"
              "  127.0.0.1:24  not known: the gateway is not running\n");
}

TEST(RenderWhy, IsReadAtThreeInTheMorning) {
    control::WhyView why;
    why.recipient = "bob@example.org";
    why.state = RecipientState::ready;
    why.text = "deliveries to the backend are paused by an operator";
    why.backend = "stores";
    why.since = noon_ish - 2h;
    why.actor = "root";
    why.remedy = "postern backend resume stores";
    why.reply = "452 4.2.2 \x1b[31mFull";
    EXPECT_EQ(render_why(why, noon_ish),
              "bob@example.org\n"
              "  state         ready\n"
              "  why           deliveries to the backend are paused by an operator\n"
              "  backend       stores\n"
              "  since         2026-08-21T08:00:00.000Z (2h ago), by root\n"
              "  to change it  postern backend resume stores\n"
              "  last reply    452 4.2.2 \\x1b[31mFull\n");
}

}  // namespace
}  // namespace postern::cli
