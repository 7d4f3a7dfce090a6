// What the tests of this folder send, and a sink that remembers what became of it.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lmtp-client/transaction.hpp"

namespace postern::lmtp_client::test {

inline mail::Mailbox mailbox(std::string_view text) {
    auto parsed = mail::Mailbox::parse(text, mail::Utf8::allowed);
    EXPECT_TRUE(parsed.has_value()) << text;
    return *parsed;
}

/// Content that is at hand, in parts of any size; may fail behind the last.
class PartsSource final : public ContentSource {
public:
    explicit PartsSource(std::vector<std::string> parts, std::string failure = {})
        : parts_(std::move(parts)), failure_(std::move(failure)) {}

    boost::asio::awaitable<ContentPart> next() override {
        last_ = next_ < parts_.size() ? std::exchange(parts_[next_], {})
                                      : std::string();  // the view dies with the next call
        const bool at_end = next_++ >= parts_.size();
        if (at_end && !failure_.empty()) {
            co_return content_failure(failure_);
        }
        co_return content_part(last_);
    }
    [[nodiscard]] bool was_read() const { return next_ > 0; }

private:
    std::vector<std::string> parts_;
    std::string failure_;
    std::string last_;
    std::size_t next_ = 0;
};

inline const std::string plain_content = "Subject: test\r\n\r\n.leading dot\r\nhello\r\n";

inline Transaction transaction(std::string_view sender, const std::vector<std::string>& recipients,
                               const std::string& content = plain_content) {
    Transaction out;
    if (!sender.empty()) {
        out.sender = mail::ReversePath(mailbox(sender));
    }
    for (const auto& recipient : recipients) {
        out.recipients.push_back({mailbox(recipient), {}});
    }
    out.size = content.size();
    out.content = std::make_shared<PartsSource>(content.empty() ? std::vector<std::string>{} : std::vector{content});
    return out;
}

inline std::vector<std::string> recipients(std::size_t count) {
    std::vector<std::string> out;
    for (std::size_t i = 0; i < count; ++i) {
        std::string address = "r";  // built step by step: GCC 12 warns falsely of a literal plus a string
        address += std::to_string(i);
        address += "@example.com";
        out.push_back(std::move(address));
    }
    return out;
}

/// "250", "unable 554", "not_tried", "unknown": a recipient's fate in a word or two.
inline std::string to_word(const Outcome& outcome) {
    switch (outcome.fate) {
        case Fate::replied:
            return std::to_string(outcome.reply.code());
        case Fate::unable:
            return std::string("unable ").append(std::to_string(outcome.reply.code()));
        case Fate::not_tried:
            return "not_tried";
        case Fate::unknown:
            return "unknown";
    }
    return "?";
}

class Recorder final : public OutcomeSink {
public:
    explicit Recorder(std::size_t slots) : words_(slots) {}
    void outcome(std::size_t slot, Outcome outcome) override {
        ASSERT_LT(slot, words_.size());
        EXPECT_FALSE(words_[slot].has_value()) << "slot " << slot << " told twice";
        words_[slot] = to_word(outcome);
        ++told_;
    }
    [[nodiscard]] std::vector<std::string> words() const {
        std::vector<std::string> out;
        for (const auto& word : words_) {
            out.push_back(word.value_or("nothing"));
        }
        return out;
    }
    [[nodiscard]] std::size_t told() const { return told_; }

private:
    std::vector<std::optional<std::string>> words_;
    std::size_t told_ = 0;
};

}  // namespace postern::lmtp_client::test
