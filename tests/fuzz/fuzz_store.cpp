// A store that says anything at any time: each recipient gets one fate, nobody is delivered to but by a reply that came
// once the content was there, nobody is left in doubt whom nothing was sent for, and how the store's octets are cut
// changes nothing.
//
// The first octet of the input chooses what is spoken and how, the second who is written to; the next four are the
// cuts. The rest is what the store says, in turns that a NUL parts: first its answer to LHLO, then one for each time
// that it is waited for.
#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lmtp-client/detail/capabilities.hpp"
#include "lmtp-client/detail/dialogue.hpp"
#include "lmtp-client/detail/reply_parser.hpp"
#include "tests/fuzz/cuts.hpp"
#include "tests/fuzz/expect.hpp"

using namespace postern;
using namespace postern::lmtp_client;
using namespace postern::lmtp_client::detail;

namespace {

mail::Mailbox mailbox(std::string_view text) {
    auto parsed = mail::Mailbox::parse(text, mail::Utf8::allowed);
    POSTERN_EXPECT(parsed.has_value());
    return *parsed;
}

Transaction transaction_for(unsigned choice) {
    constexpr std::array<std::string_view, 4> names{"a@example.com", "\"b c\"@example.com", "\xc3\xbc@example.com",
                                                    "d@[192.0.2.1]"};
    Transaction out;
    if ((choice & 4U) != 0) {
        out.sender = mail::ReversePath(mailbox("sender@example.org"));
    }
    for (unsigned i = 0; i <= (choice & 3U); ++i) {
        out.recipients.push_back({mailbox(names[(i + choice / 64) % names.size()]), {}});
    }
    out.size = (choice & 8U) != 0 ? 5000 : 50;
    out.body_8bit = (choice & 16U) != 0;
    out.smtputf8 = (choice & 32U) != 0;
    return out;
}

DialogueOptions options_for(unsigned choice) {
    DialogueOptions options;
    options.protocol = (choice & 1U) != 0 ? Protocol::smtp : Protocol::lmtp;
    options.envelope_first = (choice & 2U) != 0;
    options.ask_only = (choice & 4U) != 0;
    options.confidential = (choice & 8U) != 0;
    options.bdat_size_max = 1000;
    return options;
}

class Sink final : public OutcomeSink {
public:
    explicit Sink(std::size_t recipients) : outcomes(recipients) {}
    void outcome(std::size_t slot, Outcome outcome) override {
        POSTERN_EXPECT(slot < outcomes.size() && !outcomes[slot]);
        outcomes[slot] = std::move(outcome);
    }
    std::vector<std::optional<Outcome>> outcomes;
};

/// Hands out the store's turns.
class Turns {
public:
    explicit Turns(std::string_view said) : rest_(said) {}
    [[nodiscard]] bool ended() const { return rest_.empty(); }
    std::string_view next() {
        const std::size_t end = std::min(rest_.find('\0'), rest_.size());
        const std::string_view turn = rest_.substr(0, end);
        rest_.remove_prefix(std::min(end + 1, rest_.size()));
        return turn;
    }

private:
    std::string_view rest_;
};

Capabilities capabilities_of(std::string_view answer) {
    ReplyParser parser;
    return parser.feed(answer) ? Capabilities::read(parser.take()) : Capabilities();
}

struct Ended {
    std::vector<Outcome> outcomes;
    Trouble trouble = Trouble::none;
    bool reusable = false;
};

bool same(const Outcome& a, const Outcome& b) {
    return a.fate == b.fate && a.of_its_own == b.of_its_own && a.dsn_passed_on == b.dsn_passed_on &&
           a.reply.code() == b.reply.code() && a.reply.to_string() == b.reply.to_string();
}

class Conversation {
public:
    Conversation(std::string_view said, fuzz::Cuts cuts, const Transaction& transaction, DialogueOptions options,
                 bool speaks_early)
        : turns_(said),
          cuts_(cuts),
          store_(capabilities_of(turns_.next())),
          sink_(transaction.recipients.size()),
          options_(options),
          dialogue_(store_, transaction, options, sink_),
          speaks_early_(speaks_early) {}

    Ended run() {
        dialogue_.start();
        for (std::size_t steps = 0; dialogue_.next() != Dialogue::Action::finish; ++steps) {
            POSTERN_EXPECT(steps < 10'000);
            step();
        }
        POSTERN_EXPECT(!dialogue_.is_reusable() || dialogue_.trouble() == Trouble::none);
        Ended ended;
        ended.trouble = dialogue_.trouble();
        ended.reusable = dialogue_.is_reusable();
        for (auto& outcome : sink_.outcomes) {
            POSTERN_EXPECT(outcome.has_value());
            ended.outcomes.push_back(std::move(*outcome));
        }
        check(ended);
        return ended;
    }

private:
    void step() {
        switch (dialogue_.next()) {
            case Dialogue::Action::send:
                check_commands(dialogue_.output());
                dialogue_.sent();
                break;
            case Dialogue::Action::send_content:
                POSTERN_EXPECT(!options_.ask_only && !content_sent_);
                if (!dialogue_.output().empty()) {
                    check_commands(dialogue_.output());
                }
                dialogue_.sent();
                if (speaks_early_ && !turns_.ended()) {
                    hear();
                }
                if (dialogue_.next() == Dialogue::Action::send_content) {
                    content_sent_ = true;
                    dialogue_.content_sent();
                }
                break;
            case Dialogue::Action::receive:
                if (turns_.ended()) {
                    dialogue_.closed("end of file");
                } else {
                    hear();
                }
                break;
            case Dialogue::Action::finish:
                break;
        }
    }

    /// One turn of the store, in pieces.
    void hear() {
        std::string_view turn = turns_.next();
        if (content_sent_) {
            said_after_content_ += turn;
        }
        while (!turn.empty()) {
            const std::string_view piece = cuts_.next(turn);
            turn.remove_prefix(piece.size());
            dialogue_.received(piece);
        }
    }

    static void check_commands(std::string_view output) {
        POSTERN_EXPECT(output.size() >= 3 && output.substr(output.size() - 2) == "\r\n");
        for (std::size_t i = 0; i < output.size(); ++i) {
            const bool control = static_cast<unsigned char>(output[i]) < ' ';
            POSTERN_EXPECT(!control || output[i] == '\r' || output[i] == '\n');
            POSTERN_EXPECT(output[i] != '\r' || output[i + 1] == '\n');
            POSTERN_EXPECT(output[i] != '\n' || (i > 0 && output[i - 1] == '\r'));
        }
    }

    void check(const Ended& ended) const {
        std::size_t successes = 0;
        for (const Outcome& outcome : ended.outcomes) {
            const bool success =
                outcome.fate == Fate::replied && outcome.reply.reply_class() == mail::ReplyClass::success;
            successes += success ? 1U : 0U;
            POSTERN_EXPECT(outcome.fate != Fate::unknown || content_sent_);
            POSTERN_EXPECT(outcome.fate != Fate::replied ||
                           outcome.reply.reply_class() != mail::ReplyClass::intermediate);
            POSTERN_EXPECT(outcome.fate != Fate::unable || outcome.reply.reply_class() == mail::ReplyClass::permanent);
        }
        if (options_.ask_only || successes == 0) {
            return;
        }
        // Each needs a reply of its own, or one for all, and a reply has a line that says so.
        std::size_t lines = 0;
        for (std::size_t begin = 0; begin < said_after_content_.size();) {
            lines += said_after_content_[begin] == '2' ? 1U : 0U;
            const std::size_t end = said_after_content_.find('\n', begin);
            begin = end == std::string::npos ? said_after_content_.size() : end + 1;
        }
        POSTERN_EXPECT(content_sent_ && lines >= (options_.protocol == Protocol::smtp ? 1 : successes));
    }

    Turns turns_;
    fuzz::Cuts cuts_;
    const Capabilities store_;
    Sink sink_;
    const DialogueOptions options_;
    Dialogue dialogue_;
    const bool speaks_early_;
    bool content_sent_ = false;
    std::string said_after_content_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) {
        return 0;
    }
    const std::string_view input(reinterpret_cast<const char*>(data) + 2, size - 2);
    const std::string_view said = fuzz::Cuts::content(input);
    const Transaction transaction = transaction_for(data[1]);
    const DialogueOptions options = options_for(data[0]);
    const bool speaks_early = (data[0] & 16U) != 0;
    const Ended cut = Conversation(said, fuzz::Cuts(input), transaction, options, speaks_early).run();
    const Ended whole = Conversation(said, fuzz::Cuts({}), transaction, options, speaks_early).run();
    POSTERN_EXPECT(cut.trouble == whole.trouble && cut.reusable == whole.reusable);
    POSTERN_EXPECT(std::equal(cut.outcomes.begin(), cut.outcomes.end(), whole.outcomes.begin(), same));
    return 0;
}
