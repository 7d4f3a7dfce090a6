// One transaction as a conversation with a store that is not there: what is sent, and what it says.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lmtp-client/detail/dialogue.hpp"
#include "tests/unit/lmtp-client/transactions.hpp"

namespace postern::lmtp_client::test {

using Words = std::vector<std::string>;

class Conversation : public ::testing::Test {
protected:
    void begin(Transaction sent, detail::DialogueOptions options = {}) {
        transaction_ = std::move(sent);
        recorder_.emplace(transaction_.recipients.size());
        dialogue_.emplace(store, transaction_, options, *recorder_);
        dialogue_->start();
    }
    /// What is sent now; the content is "<content>".
    std::string sent() {
        std::string out(dialogue_->output());
        if (dialogue_->next() == detail::Dialogue::Action::send_content) {
            out += "<content>";
            dialogue_->sent();
            dialogue_->content_sent();
        } else if (dialogue_->next() == detail::Dialogue::Action::send) {
            dialogue_->sent();
        }
        return out;
    }
    void hears(std::string_view bytes) { dialogue_->received(bytes); }
    Words words() const { return recorder_->words(); }

    detail::Capabilities store;
    Transaction transaction_;
    std::optional<Recorder> recorder_;
    std::optional<detail::Dialogue> dialogue_;
};

}  // namespace postern::lmtp_client::test
