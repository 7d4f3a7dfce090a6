// Rows to values, and the checksum; see the header.
#include "queue/detail/codec.hpp"

#define XXH_STATIC_LINKING_ONLY  // the state as a member, not behind another allocation
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "queue/detail/sqlite.hpp"
#include "queue/unreadable.hpp"

namespace postern::queue::detail {

namespace {

template <class Enum>
Enum read_enum(const Statement& row, int column, Enum greatest, Enum otherwise) {
    const std::int64_t value = row.integer(column);
    return value < 0 || value > static_cast<std::int64_t>(greatest) ? otherwise : static_cast<Enum>(value);
}

std::uint32_t read_count(const Statement& row, int column) {
    constexpr std::int64_t greatest = std::numeric_limits<std::uint32_t>::max();
    return static_cast<std::uint32_t>(std::clamp<std::int64_t>(row.integer(column), 0, greatest));
}

mail::Mailbox read_mailbox(std::string_view text) {
    auto mailbox = mail::Mailbox::parse(text, mail::Utf8::allowed);
    if (!mailbox) {
        mailbox = mail::Mailbox::parse(unreadable_address, mail::Utf8::allowed);
    }
    return std::move(*mailbox);
}

/// 0 stands for no row as well: anybody's mail, without wishes.
void read_origin(std::int64_t kind, Envelope& envelope) {
    envelope.require_tls = (kind & origin_require_tls) != 0;
    const std::int64_t origin = kind & ~origin_require_tls;
    if (origin == static_cast<std::int64_t>(Origin::trusted) || origin == static_cast<std::int64_t>(Origin::gateway)) {
        envelope.origin = static_cast<Origin>(origin);
    }
}

}  // namespace

Envelope read_envelope(const Statement& row, int first) {
    Envelope envelope;
    envelope.id = MessageId(row.integer(first));
    envelope.received_at = from_stored(row.integer(first + 1));
    envelope.size = static_cast<std::uint64_t>(std::max<std::int64_t>(0, row.integer(first + 2)));
    if (const auto sender = row.text(first + 3); !sender.empty()) {
        envelope.sender = mail::ReversePath(read_mailbox(sender));
    }
    envelope.body_type = read_enum(row, first + 4, BodyType::eight_bit_mime, BodyType::eight_bit_mime);
    envelope.has_8bit = row.integer(first + 5) != 0;
    envelope.smtputf8 = row.integer(first + 6) != 0;
    envelope.dsn.ret = read_enum(row, first + 7, mail::DsnReturn::headers, mail::DsnReturn());
    envelope.dsn.envid = row.text(first + 8);
    envelope.client.address = row.text(first + 9);
    envelope.client.helo = row.text(first + 10);
    envelope.client.rdns = row.text(first + 11);
    envelope.client.protocol = row.text(first + 12);
    read_origin(row.integer(first + 13), envelope);
    if (!row.is_null(first + 14)) {
        envelope.about = MessageId(row.integer(first + 14));
    }
    return envelope;
}

Recipient read_recipient(const Statement& row, int first) {
    Recipient recipient(read_mailbox(row.text(first + 1)));
    recipient.ordinal = read_count(row, first);
    recipient.backend = row.text(first + 2);
    recipient.state = read_enum(row, first + 3, last_recipient_state, RecipientState::held);
    recipient.attempts = read_count(row, first + 4);
    recipient.unknowns = read_count(row, first + 5);
    recipient.next_attempt_at = from_stored(row.integer(first + 6));
    recipient.last_reply = row.text(first + 7);
    recipient.dsn.notify = read_enum(row, first + 8, static_cast<mail::DsnNotify>(15), mail::DsnNotify());
    recipient.dsn.orcpt = row.text(first + 9);
    recipient.failed = row.integer(first + 10) != 0;
    recipient.delay_told = row.integer(first + 11) != 0;
    return recipient;
}

BackendMark read_backend_mark(const Statement& row) {
    BackendMark mark;
    mark.backend = row.text(0);
    mark.kind = row.integer(1) == 0 ? BackendMark::Kind::paused : BackendMark::Kind::brake;
    mark.at = from_stored(row.integer(2));
    mark.actor = row.text(3);
    mark.reason = row.text(4);
    return mark;
}

HistoryEvent read_history_event(const Statement& row, int first) {
    HistoryEvent event;
    event.message = MessageId(row.integer(first));
    event.at = from_stored(row.integer(first + 1));
    if (!row.is_null(first + 2)) {
        event.ordinal = read_count(row, first + 2);
    }
    event.event = row.text(first + 3);
    event.sender = row.text(first + 4);
    event.recipient = row.text(first + 5);
    event.backend = row.text(first + 6);
    event.endpoint = row.text(first + 7);
    event.attempt = read_count(row, first + 8);
    event.duration = Duration(row.integer(first + 9));
    event.reply = row.text(first + 10);
    event.actor = row.text(first + 11);
    event.client = row.text(first + 12);
    event.session = row.text(first + 13);
    event.tls = row.text(first + 14);
    return event;
}

struct MessageChecksum::State {
    XXH3_state_t hash;

    void add(std::string_view bytes) { XXH3_128bits_update(&hash, bytes.data(), bytes.size()); }
};

namespace {

/// Lays values out one way on every machine: integers of eight octets, the least first; text behind its length.
class CanonicalText {
public:
    void integer(std::uint64_t value) {
        char octets[8];
        for (char& octet : octets) {
            octet = static_cast<char>(value & 0xff);
            value >>= 8;
        }
        text_.append(octets, sizeof octets);
    }
    void text(std::string_view value) {
        integer(value.size());
        text_.append(value);
    }
    void mailbox(const mail::Mailbox& mailbox) {
        integer(mailbox.local_part().size() + 1 + mailbox.domain().size());
        text_.append(mailbox.local_part()).append(1, '@').append(mailbox.domain());
    }
    [[nodiscard]] const std::string& str() const { return text_; }

private:
    std::string text_;
};

void add_envelope(CanonicalText& out, const Envelope& envelope) {
    out.integer(static_cast<std::uint64_t>(envelope.id.value()));
    out.integer(static_cast<std::uint64_t>(to_stored(envelope.received_at)));
    out.integer(envelope.size);
    if (const auto& sender = envelope.sender.mailbox()) {
        out.mailbox(*sender);
    } else {
        out.text("");
    }
    out.integer(static_cast<std::uint64_t>(envelope.body_type));
    out.integer(envelope.has_8bit ? 1 : 0);
    out.integer(envelope.smtputf8 ? 1 : 0);
    out.integer(static_cast<std::uint64_t>(envelope.dsn.ret));
    out.text(envelope.dsn.envid);
    out.text(envelope.client.address);
    out.text(envelope.client.helo);
    out.text(envelope.client.rdns);
    out.text(envelope.client.protocol);
    if (envelope.require_tls) {
        out.text("REQUIRETLS");
    }
}

}  // namespace

MessageChecksum::MessageChecksum() : state_(new State) { XXH3_128bits_reset(&state_->hash); }
MessageChecksum::~MessageChecksum() = default;
MessageChecksum::MessageChecksum(MessageChecksum&&) noexcept = default;
MessageChecksum& MessageChecksum::operator=(MessageChecksum&&) noexcept = default;

void MessageChecksum::add_content(std::string_view part) { state_->add(part); }

Checksum MessageChecksum::finish(const Envelope& envelope, std::span<const Recipient> recipients) {
    CanonicalText words;
    add_envelope(words, envelope);
    words.integer(recipients.size());
    for (const auto& recipient : recipients) {
        words.integer(recipient.ordinal);
        words.mailbox(recipient.address);
        words.integer(static_cast<std::uint64_t>(recipient.dsn.notify));
        words.text(recipient.dsn.orcpt);
    }
    state_->add(words.str());
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&state_->hash));
    Checksum checksum;
    static_assert(sizeof canonical == sizeof checksum);
    std::memcpy(checksum.data(), &canonical, sizeof checksum);
    return checksum;
}

}  // namespace postern::queue::detail
