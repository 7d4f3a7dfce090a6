// Every pattern of answers after the data, for up to four recipients, in each way of sending; and every pattern of
// answers to RCPT.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "lmtp-client/detail/dialogue.hpp"
#include "tests/unit/lmtp-client/slot_patterns.hpp"
#include "tests/unit/lmtp-client/transactions.hpp"

namespace postern::lmtp_client::test {
namespace {

using detail::Capabilities;
using detail::Dialogue;

Capabilities capabilities(const Mode& mode) {
    Capabilities out;
    out.pipelining = mode.pipelining;
    out.chunking = mode.chunking;
    out.eight_bit_mime = true;
    return out;
}

/// A store for a Dialogue: answers commands as told, and the data with `after_data`.
struct PureStore {
    std::vector<std::string> rcpt_replies;  ///< in order; "" is silence, "x" closes
    SlotScript after_data;
    std::size_t piece_octets = 100000;

    std::string pending;
    std::size_t next_rcpt = 0;
    bool stalled = false;
    bool closes = false;

    void say(const std::string& bytes) {
        if (!stalled) {
            pending += bytes;
        }
    }
    void hear(std::string_view commands) {
        while (!commands.empty()) {
            const auto end = commands.find("\r\n");
            hear_line(commands.substr(0, end));
            commands.remove_prefix(end + 2);
        }
    }
    void hear_line(std::string_view line) {
        if (line.substr(0, 4) == "RCPT") {
            const std::string reply = next_rcpt < rcpt_replies.size() ? rcpt_replies[next_rcpt] : "250 2.1.5 ok";
            ++next_rcpt;
            if (reply.empty() || reply == "x") {
                closes = closes || (!stalled && reply == "x");
                stalled = true;
            } else {
                say(reply + "\r\n");
            }
        } else if (line == "DATA") {
            say("354 go ahead\r\n");
        } else if (line.substr(0, 4) != "BDAT") {
            say("250 2.0.0 ok\r\n");
        }
    }
    void hear_content() {
        if (!stalled) {
            say(after_data.bytes);
            closes = after_data.closes;
            stalled = true;
        }
    }
};

void carry_out(Dialogue& dialogue, PureStore& store) {
    dialogue.start();
    for (int steps = 0; dialogue.next() != Dialogue::Action::finish; ++steps) {
        ASSERT_LT(steps, 100000);
        switch (dialogue.next()) {
            case Dialogue::Action::send:
                store.hear(dialogue.output());
                dialogue.sent();
                break;
            case Dialogue::Action::send_content:
                store.hear(dialogue.output());
                dialogue.sent();
                dialogue.content_sent();
                store.hear_content();
                break;
            case Dialogue::Action::receive: {
                const std::string piece = store.pending.substr(0, store.piece_octets);
                store.pending.erase(0, piece.size());
                if (!piece.empty()) {
                    dialogue.received(piece);
                } else if (store.closes) {
                    dialogue.closed("closed");
                } else {
                    dialogue.timed_out();
                }
                break;
            }
            case Dialogue::Action::finish:
                break;
        }
    }
}

// Shows: RFC 2033 sections 4.2 and 5
TEST(DialoguePatterns, GiveEachRecipientTheFateThatItsOwnReplyTells) {
    for (const Mode& mode : modes) {
        const Capabilities store_says = capabilities(mode);
        for (std::size_t count = 1; count <= 4; ++count) {
            const Transaction sent = transaction("s@example.org", recipients(count));
            for (const std::string& pattern : all_patterns(count)) {
                Recorder recorder(count);
                Dialogue dialogue(store_says, sent, {}, recorder);
                PureStore store;
                store.after_data = script_of(pattern);
                carry_out(dialogue, store);
                const Expected expected = expect(pattern);
                ASSERT_EQ(recorder.words(), expected.words) << to_string(mode) << " " << pattern;
                ASSERT_EQ(dialogue.trouble(), expected.trouble)
                    << to_string(mode) << " " << pattern << dialogue.detail();
                ASSERT_EQ(dialogue.is_reusable(), expected.trouble == Trouble::none)
                    << to_string(mode) << " " << pattern;
            }
        }
    }
}

TEST(DialoguePatterns, GiveTheSameFatesWhenTheStoreDripsItsReplies) {
    for (const Mode& mode : modes) {
        const Capabilities store_says = capabilities(mode);
        for (std::size_t count = 1; count <= 3; ++count) {
            const Transaction sent = transaction("s@example.org", recipients(count));
            for (const std::string& pattern : all_patterns(count)) {
                Recorder recorder(count);
                Dialogue dialogue(store_says, sent, {}, recorder);
                PureStore store;
                store.after_data = script_of(pattern);
                store.piece_octets = 1;
                carry_out(dialogue, store);
                ASSERT_EQ(recorder.words(), expect(pattern).words) << to_string(mode) << " " << pattern;
            }
        }
    }
}

const std::vector<std::string> rcpt_answers{"250 2.1.5 ok",
                                            "452 4.2.2 full",
                                            "550 5.1.1 no",
                                            "552 5.2.2 full",
                                            "452 4.5.3 too many",
                                            "552 5.5.3 too many",
                                            "421 4.3.2 down",
                                            "503 5.5.1 what",
                                            "garbage",
                                            "354 go",
                                            "x",
                                            ""};

/// From RFC 5321 and RFC 2033: what the answers to RCPT alone decide. All accepted get 250 after the data.
Expected expect_rcpt(const std::vector<std::size_t>& answers, const Mode& mode) {
    // With everything in one write the store may hold the content already when it fails.
    const std::string lost = mode.pipelining && mode.chunking ? "unknown" : "not_tried";
    Expected out;
    out.words.assign(answers.size(), "250");
    for (std::size_t i = 0; i < answers.size(); ++i) {
        const std::string& answer = rcpt_answers[answers[i]];
        if (answers[i] == 0) {
            continue;
        }
        if (answers[i] <= 5) {
            // Too many of them is about this one only when nobody was accepted before it.
            const auto here = answers.begin() + static_cast<std::ptrdiff_t>(i);
            const bool too_many = answers[i] >= 4 && std::find(answers.begin(), here, 0U) != here;
            out.words[i] = too_many ? "not_tried" : answer.substr(0, 3);
            continue;
        }
        for (std::size_t j = 0; j < answers.size(); ++j) {
            if (j >= i || out.words[j] == "250") {
                out.words[j] = lost;
            }
        }
        if (answers[i] == 6) {
            out.words[i] = "not_tried";
            out.trouble = Trouble::shutting_down;
        } else {
            out.trouble = answers[i] >= 10 ? Trouble::broken : Trouble::protocol;
        }
        return out;
    }
    return out;
}

TEST(DialoguePatterns, GiveEachRecipientTheFateThatItsRcptTells) {
    for (const Mode& mode : modes) {
        const Capabilities store_says = capabilities(mode);
        const Transaction sent = transaction("s@example.org", recipients(3));
        for (std::size_t number = 0; number < 1728; ++number) {
            const std::vector<std::size_t> answers{number / 144, number / 12 % 12, number % 12};
            Recorder recorder(3);
            Dialogue dialogue(store_says, sent, {}, recorder);
            PureStore store;
            std::size_t accepted = 0;
            for (const std::size_t answer : answers) {
                store.rcpt_replies.push_back(rcpt_answers[answer]);
                accepted += answer == 0 ? 1 : 0;
            }
            if (accepted == 0) {
                // A right store refuses the data then, and the dialogue must not send any: see dialogue_test.cpp.
                continue;
            }
            for (std::size_t i = 0; i < accepted; ++i) {
                store.after_data.bytes += "250 2.0.0 ok\r\n";
            }
            carry_out(dialogue, store);
            const Expected expected = expect_rcpt(answers, mode);
            ASSERT_EQ(recorder.words(), expected.words) << to_string(mode) << " " << number << " " << dialogue.detail();
            ASSERT_EQ(dialogue.trouble(), expected.trouble)
                << to_string(mode) << " " << number << " " << dialogue.detail();
        }
    }
}

}  // namespace
}  // namespace postern::lmtp_client::test
