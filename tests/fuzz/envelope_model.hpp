// What the envelope of each message must be, said the simple way: from the client's lines and the first reply to each,
// by the verb alone. It knows nothing of how the session keeps its state.
#pragma once

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "tests/fuzz/expect.hpp"

namespace postern::fuzz {

struct Taken {
    std::string sender;
    std::vector<std::string> recipients;
    std::string content;
    friend bool operator==(const Taken&, const Taken&) = default;
};

class EnvelopeModel {
public:
    /// What is said next of `rest`: one line, or the octets that the last BDAT announced. So each reply has its cause.
    [[nodiscard]] std::string_view next(std::string_view rest) const {
        if (doing_ == Doing::chunk) {
            return rest.substr(0, octets_);
        }
        const std::size_t end = rest.find("\r\n");
        return end == std::string_view::npos ? rest : rest.substr(0, end + 2);
    }

    /// `replies`: all that was heard since `piece` was said. `taken`: all messages so far.
    void heard(std::string_view piece, std::string_view replies, const std::vector<Taken>& taken) {
        const std::string_view code = replies.substr(0, 3);
        bool ended = false;
        if (doing_ == Doing::data) {
            ended = !code.empty();
        } else if (doing_ == Doing::chunk) {
            octets_ -= piece.size();
            POSTERN_EXPECT(octets_ == 0 || code.empty());
            ended = octets_ == 0 && ends_transaction(code);
            doing_ = octets_ == 0 ? Doing::commands : Doing::chunk;
        } else {
            ended = command(piece, code);
        }
        POSTERN_EXPECT(taken.size() <= count_ + (ended ? 1 : 0));
        if (taken.size() > count_) {
            check(taken.back());
            ++count_;
        }
        if (ended) {
            reset();
        }
    }

private:
    enum class Doing : std::uint8_t { commands, data, chunk };

    /// Whether it ended a transaction.
    bool command(std::string_view line, std::string_view code) {
        const std::string verb = lower(line.substr(0, line.find_first_of(" \r\n")));
        if (verb == "bdat") {
            last_ = lower(line).find("last") != std::string::npos;
            const std::size_t digit = line.find_first_of("0123456789");
            octets_ = digit == std::string_view::npos
                          ? 0
                          : std::strtoull(std::string(line.substr(digit)).c_str(), nullptr, 10);
            doing_ = code.empty() && octets_ > 0 ? Doing::chunk : Doing::commands;
            return doing_ == Doing::commands && ends_transaction(code);
        }
        if (verb == "data" && code == "354") {
            doing_ = Doing::data;
        } else if (verb == "mail" && code == "250") {
            reset();
            sender_ = line;
        } else if (verb == "rcpt" && code == "250") {
            recipients_.emplace_back(line);
        } else if (code == "250" && (verb == "rset" || verb == "ehlo" || verb == "helo" || verb == "lhlo")) {
            reset();
        }
        return false;
    }
    /// A chunk between others ends no transaction, nor does one that belongs to none, or a line that is no command.
    [[nodiscard]] bool ends_transaction(std::string_view code) const {
        return !code.empty() && code != "503" && code != "500" && code != "501" && (last_ || code != "250");
    }
    void check(const Taken& message) const {
        POSTERN_EXPECT(!recipients_.empty() && message.recipients.size() == recipients_.size());
        for (std::size_t i = 0; i < recipients_.size(); ++i) {
            POSTERN_EXPECT(names(recipients_[i], message.recipients[i]));
        }
        POSTERN_EXPECT(names(sender_, message.sender));
    }
    /// Whether that line gave that address; of quoted ones and of UTF-8, whose spelling may change, nothing is said.
    static bool names(const std::string& line, const std::string& address) {
        const bool plain =
            std::none_of(line.begin(), line.end(), [](char c) { return c == '"' || static_cast<signed char>(c) < 0; });
        return !plain || lower(line).find(lower(address)) != std::string::npos;
    }
    static std::string lower(std::string_view text) {
        std::string result(text);
        std::transform(result.begin(), result.end(), result.begin(),
                       [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        return result;
    }
    void reset() {
        sender_.clear();
        recipients_.clear();
        doing_ = doing_ == Doing::data ? Doing::commands : doing_;
    }

    Doing doing_ = Doing::commands;
    std::uint64_t octets_ = 0;  // of the chunk, still to come
    bool last_ = false;
    std::string sender_;
    std::vector<std::string> recipients_;
    std::size_t count_ = 0;
};

}  // namespace postern::fuzz
