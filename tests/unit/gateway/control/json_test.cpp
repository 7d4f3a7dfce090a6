#include "gateway/control/json.hpp"

#include <gtest/gtest.h>

#include "tests/unit/gateway/control/fakes.hpp"

namespace postern::control::test {
namespace {

using queue::RecipientState;

TEST(Json, ShowsAMessageAsTheContractHasIt) {
    const auto queued = message(1, {recipient("bob@example.org", RecipientState::waiting, "452 4.2.2 Mailbox full"),
                                    recipient("carol@example.org", RecipientState::delivered, "250 2.0.0 OK")});
    EXPECT_EQ(
        encode(view_of(queued)),
        R"({"id":")" + queue::MessageId(1).to_string() +
            R"(","received_at":"2026-08-21T08:00:00.000Z","size":4096,"sender":"alice@example.com",)"
            R"("client":"192.0.2.1","helo":"mx.example.net","rdns":"","protocol":"ESMTP","has_8bit":false,)"
            R"("smtputf8":false,"require_tls":false,"envid":"","recipients":[{"ordinal":0,"address":"bob@example.org",)"
            R"("state":"waiting",)"
            R"("attempts":1,"unknowns":0,"next_attempt_at":"2026-08-21T10:04:10.000Z","backend":"stores",)"
            R"("last_reply":"452 4.2.2 Mailbox full","failed":false},{"ordinal":1,"address":"carol@example.org",)"
            R"("state":"delivered","attempts":1,"unknowns":0,"next_attempt_at":null,"backend":"stores",)"
            R"("last_reply":"250 2.0.0 OK","failed":false}]})");
}

TEST(Json, ReadsBackTheMessageThatItWrote) {
    const std::string text = encode(view_of(message(77, {recipient("bob@example.org", RecipientState::held, "x")})));
    const auto read = decode_message(text);
    ASSERT_TRUE(read);
    EXPECT_EQ(encode(*read), text);
}

TEST(Json, IsAsciiWithoutControlsWhateverAStrangerWrote) {
    MessageView view = view_of(message(1, {recipient("bob@example.org", RecipientState::waiting)}));
    view.helo = "a\x1b[31m\x7f\xc2\x9b\xff\xc3\xa4\n\"\\";
    view.recipients[0].last_reply = std::string("\0\xed\xa0\x80", 4);
    const std::string text = encode(view);
    for (const char octet : text) {
        EXPECT_TRUE(octet >= 0x20 && octet < 0x7f) << static_cast<int>(octet);
    }
    const auto read = decode_message(text);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->helo, "a\x1b[31m\x7f\xc2\x9b\xef\xbf\xbd\xc3\xa4\n\"\\");
}

TEST(Json, ReadsBackTheStatusThatItWrote) {
    Status status;
    status.gateway.version = "0.1.0";
    status.gateway.uptime_seconds = 77;
    status.gateway.sessions = 3;
    status.gateway.last_minute.delivered = 5;
    status.gateway.disk.queue_path = "/q";
    CertificateStatus certificate;
    certificate.listener = "0.0.0.0:25";
    certificate.names = {"mx.example.com", "*.example.com"};
    certificate.not_after = noon_ish;
    certificate.days_left = -3;
    status.gateway.certificates.push_back(certificate);
    status.gateway.tls.resumed = 8;
    EndpointStatus endpoint;
    endpoint.address = "127.0.0.1:24";
    endpoint.state = "open";
    endpoint.last_error = "connection refused";
    BackendStatus backend;
    backend.name = "stores";
    backend.endpoints.push_back(endpoint);
    status.gateway.backends.push_back(backend);
    status.queue.messages = 2;
    status.queue.recipients[RecipientState::waiting] = 4;
    status.queue.oldest = noon_ish;
    status.oldest_seconds = 9;
    const std::string text = encode(status);
    EXPECT_NE(text.find(R"("queue":{"messages":2,"recipients":{"waiting":4},"oldest_seconds":9,)"), std::string::npos)
        << text;
    const auto read = decode_status(text);
    ASSERT_TRUE(read);
    EXPECT_EQ(encode(*read), text);
}

TEST(Json, ReadsBackTheHistoryThatItWrote) {
    queue::HistoryEvent event;
    event.at = noon_ish;
    event.message = queue::MessageId(9);
    event.ordinal = 2;
    event.event = "deferred";
    event.recipient = "bob@example.org";
    event.duration = 120ms;
    event.reply = "452 4.2.2 Mailbox full";
    event.actor = "root: queue hold --domain 'a: b'";
    event.client = "192.0.2.1";
    event.session = "d463423-17";
    event.tls = "TLS1.3";
    event.transcript = "   0.000 S: 452 full\n";
    const std::string text = encode(event);
    const auto read = decode_history_event(text);
    ASSERT_TRUE(read);
    EXPECT_EQ(encode(*read), text);
    EXPECT_EQ(read->actor, event.actor);
    EXPECT_EQ(read->session, event.session);
    EXPECT_EQ(read->transcript, event.transcript);
    EXPECT_NE(text.find(R"("actor":"root","command":"queue hold --domain 'a: b'")"), std::string::npos) << text;
}

TEST(Json, ReadsBackTheSearchOfTheHistory) {
    queue::HistoryFilter filter;
    filter.filter.domains = {"example.com"};
    filter.transcripts = true;
    const auto read = decode_history_search(encode_history_search(filter));
    ASSERT_TRUE(read);
    EXPECT_TRUE(read->transcripts);
    EXPECT_EQ(read->filter.domains, filter.filter.domains);
    EXPECT_FALSE(decode_history_search(R"({"filter": {}, "transcript": true})"));
    EXPECT_FALSE(decode_history_search(R"({"filter": {}, "transcripts": 1})"));
    EXPECT_FALSE(decode_history_search(R"({"transcripts": true})"));
}

TEST(Json, DescribesAFilterAsACommandLineHasIt) {
    queue::Filter filter;
    EXPECT_EQ(describe(filter), "--all");
    filter.domains = {"example.com", "it's.example"};
    filter.states = {RecipientState::held};
    filter.older_than = 5min;
    filter.limit = 3;
    EXPECT_EQ(describe(filter),
              "--domain 'example.com' --domain 'it'\\''s.example' --state held --older-than 300s --limit 3");
    filter.recipients.assign(1000, std::string(1000, 'x'));
    EXPECT_LT(describe(filter).size(), 1000U);
    EXPECT_TRUE(describe(filter).ends_with(" ..."));
}

TEST(Json, ReadsBackTheFilterThatItWrote) {
    queue::Filter filter;
    filter.ids = {queue::MessageId(1), queue::MessageId(2)};
    filter.backends = {"stores"};
    filter.domains = {"*.example.org"};
    filter.recipients = {"*@example.org"};
    filter.senders = {""};
    filter.clients = {"192.0.2.0/24", "2001:db8::1"};
    filter.states = {RecipientState::waiting, RecipientState::held};
    filter.older_than = 5min;
    filter.younger_than = 2h;
    filter.reply = "full";
    filter.limit = 10;
    const auto read = decode_search(encode_search(filter));
    ASSERT_TRUE(read) << read.error();
    EXPECT_EQ(encode_search(*read), encode_search(filter));
    EXPECT_EQ(read->senders, std::vector<std::string>{""});
    EXPECT_EQ(read->older_than, std::optional<queue::Duration>(5min));
}

TEST(Json, RefusesRequestsThatItDoesNotUnderstand) {
    for (const char* text : {
             "",
             "null",
             "[]",
             "{",
             "{}",
             R"({"filter":[]})",
             R"({"filter":{"sate":["held"]}})",
             R"({"filter":{},"x":1})",
             R"({"filter":{"ids":[]}})",
             R"({"filter":{"ids":null}})",
             R"({"filter":{"domains":[]}})",
             R"({"filter":{"limit":null}})",
             R"({"filter":{"ids":"x"}})",
             R"({"filter":{"ids":["not an id"]}})",
             R"({"filter":{"ids":[5]}})",
             R"({"filter":{"states":["lost"]}})",
             R"({"filter":{"clients":["example.com"]}})",
             R"({"filter":{"clients":["192.0.2.1/33"]}})",
             R"({"filter":{"older_than_ms":-1}})",
             R"({"filter":{"older_than_ms":1e3}})",
             R"({"filter":{"older_than_ms":99999999999999999}})",
             R"({"filter":{"limit":"5"}})",
             R"({"filter":{"reply":5}})",
             "{\"filter\":{\"reply\":\"\xff\"}}",
         }) {
        EXPECT_FALSE(decode_search(text)) << text;
    }
    EXPECT_FALSE(decode_apply(Verb::hold, R"({"filter":{},"dry_run":"no"})"));
    EXPECT_FALSE(decode_apply(Verb::hold, R"({"filter":{},"dry_run":false,"reason":"x"})"));
    ApplyRequest bounce;
    bounce.verb = Verb::bounce;
    bounce.reason = "moved away";
    EXPECT_EQ(decode_apply(Verb::bounce, encode_apply(bounce))->reason, "moved away");
    EXPECT_FALSE(decode_shape_request(R"({"by":"client","bounds_ms":[]})"));
    EXPECT_FALSE(decode_shape_request(R"({"by":"domain","bounds_ms":[5,5]})"));
}

TEST(Json, ANestThatIsDeepIsRefusedWithoutDeepRecursion) {
    EXPECT_FALSE(decode_search(std::string(500'000, '[')));
    EXPECT_FALSE(decode_search(R"({"filter":)" + std::string(200'000, '[') + std::string(200'000, ']') + "}"));
}

TEST(Json, KnowsAnErrorFromARow) {
    const auto failure = decode_failure(encode(Failure(FailureKind::busy, "later")));
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->kind, FailureKind::busy);
    EXPECT_EQ(failure->text, "later");
    EXPECT_FALSE(decode_failure(encode(view_of(message(1, {})))));
}

TEST(Json, KnowsClients) {
    for (const char* good : {"192.0.2.1", "192.0.2.0/24", "0.0.0.0/0", "::1", "2001:db8::/32", "::/128"}) {
        EXPECT_TRUE(is_client(good)) << good;
    }
    for (const char* bad :
         {"", "/", "192.0.2", "192.0.2.1/", "192.0.2.1/33", "192.0.2.1/-1", "192.0.2.1/ 8", "::1/129", "x"}) {
        EXPECT_FALSE(is_client(bad)) << bad;
    }
    EXPECT_FALSE(is_client(std::string_view("192.0.2.1\0x", 11)));
}

}  // namespace
}  // namespace postern::control::test
