// Rows of the queue file with anything in them: read without a fault into values that can exist, and read the same when
// they are written and read again.
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>

#include "queue/detail/codec.hpp"
#include "queue/detail/sqlite.hpp"
#include "tests/fuzz/expect.hpp"

using namespace postern;
using namespace postern::queue;
using namespace postern::queue::detail;

namespace {

/// Takes values off the input: an octet says what follows.
class Values {
public:
    Values(const std::uint8_t* data, std::size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}
    void bind(Statement& statement, int index) {
        const unsigned kind = next();
        if (kind % 4 == 0) {
            statement.bind_null(index);
        } else if (kind % 4 == 1) {
            std::int64_t value = 0;
            const std::string_view octets = take(kind / 4 % 9);
            std::memcpy(&value, octets.data(), octets.size());
            statement.bind(index, value);
        } else if (kind % 4 == 2) {
            statement.bind(index, take(kind / 4));
        } else {
            statement.bind_blob(index, take(kind / 4));
        }
    }

private:
    unsigned next() {
        const std::string_view one = take(1);
        return one.empty() ? 0U : static_cast<unsigned char>(one[0]);
    }
    std::string_view take(std::size_t count) {
        const std::string_view taken = rest_.substr(0, count);
        rest_.remove_prefix(taken.size());
        return taken;
    }
    std::string_view rest_;
};

std::string question_marks(int count) {
    std::string sql = "SELECT ?1";
    for (int i = 2; i <= count; ++i) {
        sql += ",?" + std::to_string(i);
    }
    return sql;
}

/// Nothing is written to it: the statements only select what was bound to them.
std::unique_ptr<Connection> empty_database() {
    const auto path = std::filesystem::temp_directory_path() / ("postern-fuzz-rows-" + std::to_string(::getpid()));
    std::filesystem::remove(path);
    auto made = std::make_unique<Connection>(path, OpenMode::create);
    std::filesystem::remove(path);
    return made;
}

void check(const Envelope& envelope) {
    POSTERN_EXPECT(envelope.body_type <= BodyType::eight_bit_mime);
    POSTERN_EXPECT(envelope.dsn.ret <= mail::DsnReturn::headers);
    if (const auto& sender = envelope.sender.mailbox()) {
        POSTERN_EXPECT(mail::Mailbox::parse(sender->to_string(), mail::Utf8::allowed).has_value());
    }
}

void check(const Recipient& recipient) {
    POSTERN_EXPECT(recipient.state <= last_recipient_state);
    POSTERN_EXPECT(static_cast<unsigned>(recipient.dsn.notify) < 16);
    POSTERN_EXPECT(mail::Mailbox::parse(recipient.address.to_string(), mail::Utf8::allowed).has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const std::unique_ptr<Connection> file = empty_database();
    static Statement envelope_row(*file, question_marks(envelope_column_count));
    static Statement recipient_row(*file, question_marks(recipient_column_count));
    static Statement history_row(*file, question_marks(history_column_count));
    Values values(data, size);
    for (int i = 1; i <= envelope_column_count; ++i) {
        values.bind(envelope_row, i);
    }
    for (int i = 1; i <= recipient_column_count; ++i) {
        values.bind(recipient_row, i);
    }
    for (int i = 1; i <= history_column_count; ++i) {
        values.bind(history_row, i);
    }
    auto envelopes = envelope_row.rows();
    auto recipients = recipient_row.rows();
    auto history = history_row.rows();
    POSTERN_EXPECT(envelopes.step() && recipients.step() && history.step());
    const Envelope envelope = read_envelope(envelope_row);
    const Recipient recipient = read_recipient(recipient_row);
    check(envelope);
    check(recipient);
    static_cast<void>(read_history_event(history_row));
    MessageChecksum whole;
    MessageChecksum parts;
    const std::string_view content(reinterpret_cast<const char*>(data), size);
    whole.add_content(content);
    parts.add_content(content.substr(0, size / 3));
    parts.add_content(content.substr(size / 3));
    POSTERN_EXPECT(whole.finish(envelope, {&recipient, 1}) == parts.finish(envelope, {&recipient, 1}));
    return 0;
}
