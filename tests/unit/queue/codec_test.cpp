// What stands in a row comes back as it was, and the checksum is over everything that never changes.
#include "queue/detail/codec.hpp"

#include <functional>

#include "tests/unit/queue/store_fixture.hpp"

namespace postern::queue::detail {
namespace {

using namespace std::string_literals;

Envelope full_envelope() {
    Envelope envelope;
    envelope.id = MessageId(0x123456789);
    envelope.received_at = Instant(Duration(1787307072345));
    envelope.sender = mail::ReversePath(*mail::Mailbox::parse("\"a b\"@xn--4ca.example", mail::Utf8::allowed));
    envelope.body_type = BodyType::eight_bit_mime;
    envelope.has_8bit = true;
    envelope.smtputf8 = true;
    envelope.dsn.ret = mail::DsnReturn::headers;
    envelope.dsn.envid = "QQ+2B314159";
    envelope.client = {"2001:db8::1", "helo.example.org", "rdns.example.org", "UTF8SMTPS"};
    envelope.size = 4711;
    return envelope;
}

Recipient full_recipient(Ordinal ordinal) {
    Recipient made = recipient("b\xc3\xa4r@example.com", ordinal);
    made.dsn.notify = mail::DsnNotify::success | mail::DsnNotify::delay;
    made.dsn.orcpt = "rfc822;bear@example.com";
    return made;
}

Checksum checksum_of(std::string_view content, const Envelope& envelope, const std::vector<Recipient>& recipients) {
    MessageChecksum checksum;
    checksum.add_content(content);
    return checksum.finish(envelope, recipients);
}

TEST(Codec, ChecksumDoesNotCareWhereTheContentIsCut) {
    std::string content;
    for (int i = 0; i < 700; ++i) {
        content += static_cast<char>(i * 7);
    }
    const std::vector<Recipient> recipients{full_recipient(0)};
    const Checksum whole = checksum_of(content, full_envelope(), recipients);
    for (std::size_t cut = 0; cut <= content.size(); ++cut) {
        MessageChecksum parts;
        parts.add_content(std::string_view(content).substr(0, cut));
        parts.add_content(std::string_view(content).substr(cut));
        ASSERT_EQ(parts.finish(full_envelope(), recipients), whole) << cut;
    }
}

TEST(Codec, ChecksumChangesWithEveryFieldThatNeverChanges) {
    const std::vector<Recipient> recipients{full_recipient(0), full_recipient(1)};
    std::vector<Checksum> all{checksum_of("content", full_envelope(), recipients)};
    const std::function<void(Envelope&)> changes[] = {
        [](Envelope& e) { e.id = MessageId(1); },
        [](Envelope& e) { e.received_at += Duration(1); },
        [](Envelope& e) { e.sender = mail::ReversePath(); },
        [](Envelope& e) { e.body_type = BodyType::seven_bit; },
        [](Envelope& e) { e.has_8bit = false; },
        [](Envelope& e) { e.smtputf8 = false; },
        [](Envelope& e) { e.require_tls = true; },
        [](Envelope& e) { e.dsn.ret = mail::DsnReturn::full; },
        [](Envelope& e) { e.dsn.envid += 'x'; },
        [](Envelope& e) { e.client.address += '0'; },
        [](Envelope& e) { e.client.helo += 'x'; },
        [](Envelope& e) { e.client.rdns = e.client.rdns.substr(1); },
        [](Envelope& e) { std::swap(e.client.helo, e.client.rdns); },
        [](Envelope& e) { e.client.protocol = "SMTP"; },
        [](Envelope& e) { ++e.size; },
    };
    for (const auto& change : changes) {
        Envelope changed = full_envelope();
        change(changed);
        all.push_back(checksum_of("content", changed, recipients));
    }
    all.push_back(checksum_of("Content", full_envelope(), recipients));
    all.push_back(checksum_of("content", full_envelope(), {full_recipient(0)}));
    all.push_back(checksum_of("content", full_envelope(), {full_recipient(1), full_recipient(0)}));
    std::vector<Recipient> changed = recipients;
    changed[1].dsn.notify = mail::DsnNotify::never;
    all.push_back(checksum_of("content", full_envelope(), changed));
    changed = recipients;
    changed[0].dsn.orcpt.clear();
    all.push_back(checksum_of("content", full_envelope(), changed));
    changed = {recipients[0], recipient("beer@example.com", 1)};
    all.push_back(checksum_of("content", full_envelope(), changed));
    for (std::size_t i = 0; i < all.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
            EXPECT_NE(all[i], all[j]) << i << " and " << j;
        }
    }
}

TEST(Codec, ChecksumDoesNotChangeWithWhatHappens) {
    Recipient happened = full_recipient(0);
    happened.state = RecipientState::waiting;
    happened.attempts = 9;
    happened.unknowns = 2;
    happened.backend = "other";
    happened.last_reply = "452 4.2.2 full";
    happened.next_attempt_at += Duration(1);
    EXPECT_EQ(checksum_of("c", full_envelope(), {full_recipient(0)}), checksum_of("c", full_envelope(), {happened}));
}

using CodecRows = StoreFixture;

TEST_F(CodecRows, WhatIsStoredComesBackAsItWas) {
    open();
    auto message = store_->begin();
    Envelope envelope = full_envelope();
    std::vector<Recipient> recipients{full_recipient(0), full_recipient(1)};
    recipients[1].next_attempt_at = Instant(Duration(1787307072999));
    std::promise<StoreStatus> committed;
    message->commit(envelope, recipients, "content", [&](StoreStatus status) { committed.set_value(status); });
    ASSERT_EQ(committed.get_future().get(), StoreStatus::stored);
    RecipientUpdate happened = update(message->id(), 1, RecipientState::unknown, Instant(Duration(1787307073000)));
    happened.attempts = UINT32_MAX;
    happened.unknowns = 3;
    happened.backend = "other";
    happened.last_reply = "452 \xff\xfe and a NUL: \0 end"s;
    happened.failed = true;
    ASSERT_EQ(try_record({happened}), StoreStatus::stored);

    const auto found = reader()->find(message->id());
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(found->envelope.id, message->id());
    EXPECT_EQ(found->envelope.received_at, envelope.received_at);
    EXPECT_EQ(found->envelope.sender, envelope.sender);
    EXPECT_EQ(found->envelope.body_type, envelope.body_type);
    EXPECT_TRUE(found->envelope.has_8bit && found->envelope.smtputf8);
    EXPECT_EQ(found->envelope.dsn, envelope.dsn);
    EXPECT_EQ(found->envelope.client.address, envelope.client.address);
    EXPECT_EQ(found->envelope.client.helo, envelope.client.helo);
    EXPECT_EQ(found->envelope.client.rdns, envelope.client.rdns);
    EXPECT_EQ(found->envelope.client.protocol, envelope.client.protocol);
    EXPECT_EQ(found->envelope.size, 7U);
    ASSERT_EQ(found->recipients.size(), 2U);
    EXPECT_EQ(found->recipients[0].address, recipients[0].address);
    EXPECT_EQ(found->recipients[0].dsn, recipients[0].dsn);
    const Recipient& second = found->recipients[1];
    EXPECT_EQ(second.state, RecipientState::unknown);
    EXPECT_EQ(second.attempts, UINT32_MAX);
    EXPECT_EQ(second.unknowns, 3U);
    EXPECT_EQ(second.backend, "other");
    EXPECT_EQ(second.last_reply, happened.last_reply);
    EXPECT_EQ(second.next_attempt_at, happened.next_attempt_at);
    EXPECT_TRUE(second.failed);
    EXPECT_TRUE(reader()->verify(message->id()).has_value());
}

TEST_F(CodecRows, OriginAndRequireTlsComeBackTogetherAndAlone) {
    open();
    for (const Origin origin : {Origin::client, Origin::trusted, Origin::gateway}) {
        for (const bool require_tls : {false, true}) {
            auto message = store_->begin();
            Envelope envelope = full_envelope();
            envelope.id = message->id();
            envelope.origin = origin;
            envelope.require_tls = require_tls;
            std::promise<StoreStatus> committed;
            message->commit(envelope, {full_recipient(0)}, "content",
                            [&](StoreStatus status) { committed.set_value(status); });
            ASSERT_EQ(committed.get_future().get(), StoreStatus::stored);
            const auto found = reader()->find(message->id());
            EXPECT_EQ(found->envelope.origin, origin);
            EXPECT_EQ(found->envelope.require_tls, require_tls);
            EXPECT_TRUE(reader()->verify(message->id()).has_value());
        }
    }
    // A bit that was lost is a message that is damaged, not one that may go in clear.
    store_.reset();
    Connection(options_.path, OpenMode::create).execute("UPDATE origin SET kind = kind - 4 WHERE kind > 4");
    open();
    EXPECT_FALSE(reader()->verify(MessageId(query("SELECT max(id) FROM message"))).has_value());
}

}  // namespace
}  // namespace postern::queue::detail
