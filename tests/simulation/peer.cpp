#include "peer.hpp"

#include <cstdlib>
#include <functional>
#include <utility>

namespace postern::simulation {

const char* to_string(Mood mood) {
    constexpr const char* names[moods] = {
        "well",      "slow",          "dead",         "black_hole",      "silent",    "bad_greeting",
        "bad_hello", "shutting_down", "half_closing", "mute_after_data", "once",      "one_more",
        "one_fewer", "garbage",       "lying",        "flapping",        "deferring", "denying"};
    return names[static_cast<std::size_t>(mood)];
}

bool Peer::is_up() const {
    if (mood == Mood::flapping) {
        return timeline_.now() / 7000 % 2 == 0;
    }
    return mood != Mood::dead && mood != Mood::black_hole;
}

void Session::reply(const std::string& text) {
    if (over_ || mute_) {
        return;
    }
    Random& random = peer_.random_;
    const std::int64_t delay = peer_.mood == Mood::slow ? random.between(500, 20'000) : random.between(0, 20);
    std::string line = text + "\r\n";
    if (random.chance(10)) {  // in two pieces
        const std::size_t cut = random.below(line.size());
        say_(delay, line.substr(0, cut));
        line.erase(0, cut);
    }
    say_(delay, std::move(line));
}

void Session::close() {
    if (!over_) {
        over_ = true;
        hang_up_(peer_.random_.between(0, 20));
    }
}

bool Session::strikes() {
    Random& random = peer_.random_;
    switch (peer_.mood) {
        case Mood::silent:
            mute_ = true;
            return true;
        case Mood::shutting_down:
            if (random.chance(30)) {
                reply("421 4.3.2 going down");
                close();
                return true;
            }
            return false;
        case Mood::half_closing:
            if (random.chance(25)) {
                close();
                return true;
            }
            return false;
        case Mood::garbage:
            if (random.chance(25)) {
                constexpr const char* rubbish[] = {"hello there", "25", "250_no", "999 9.9.9 what", "", "\x01\xff"};
                reply(rubbish[random.below(6)]);
                return true;
            }
            return false;
        case Mood::flapping:
            if (!peer_.is_up()) {
                close();
                return true;
            }
            return false;
        default:
            return false;
    }
}

void Session::begin() {
    if (peer_.mood == Mood::bad_greeting) {
        reply(peer_.random_.chance(50) ? "554 5.3.2 no service" : "421 4.3.2 busy");
        return close();
    }
    if (!strikes()) {
        reply(peer_.speaks_smtp ? "220 exchanger ESMTP" : "220 store LMTP");
    }
}

void Session::reset() {
    in_mail_ = false;
    token_ = 0;
    accepted_.clear();
    content_.clear();
}

void Session::refuse(const std::string& address) {
    if (token_ == report_token) {
        return peer_.truth_.report_refused(address);  // which of those to this address is not known yet
    }
    if (Fact* const fact = peer_.truth_.by_token(token_).find(address)) {
        fact->refused_for_good = true;
    }
}

/// Some mailboxes do not exist, some are full for a while; the rest is chance.
std::string Session::verdict(const std::string& address) {
    Random& random = peer_.random_;
    if (peer_.mood == Mood::deferring) {
        return "451 4.3.0 try again later";
    }
    if (peer_.dictated.count(address) != 0) {
        return "250 2.1.5 ok";
    }
    if (peer_.mood == Mood::denying || address.rfind("nobody", 0) == 0) {
        return "550 5.1.1 no such user";
    }
    if (address.rfind("full", 0) == 0 && peer_.timeline_.now() / 600'000 % 2 == 0) {
        return "452 4.2.2 mailbox full";
    }
    if (random.chance(2)) {
        return "452 4.5.3 too many recipients";
    }
    return random.chance(3) ? "451 4.3.0 busy" : "250 2.1.5 ok";
}

void Session::feed(std::string_view bytes) {
    if (over_) {
        return;
    }
    input_.append(bytes);
    while (!over_) {
        if (phase_ == Phase::counted) {
            const std::size_t part = std::min<std::size_t>(counted_left_, input_.size());
            content_.append(input_, 0, part);
            input_.erase(0, part);
            counted_left_ -= part;
            if (counted_left_ > 0) {
                return;
            }
            phase_ = Phase::commands;
            content_ends();
            continue;
        }
        const std::size_t end = input_.find("\r\n");
        if (end == std::string::npos) {
            return;
        }
        std::string line = input_.substr(0, end);
        input_.erase(0, end + 2);
        if (phase_ == Phase::commands) {
            command(line);
        } else if (line == ".") {
            phase_ = Phase::commands;
            content_ends();
        } else {
            content_ += line.rfind('.', 0) == 0 ? line.substr(1) : line;
            content_ += "\r\n";
        }
    }
}

void Session::command(const std::string& line) {
    const bool is_bdat = line.rfind("BDAT ", 0) == 0;
    if (is_bdat) {
        counted_left_ = std::strtoull(line.c_str() + 5, nullptr, 10);
        phase_ = Phase::counted;
        return;
    }
    if (strikes() || mute_) {
        return;
    }
    Random& random = peer_.random_;
    if (line.rfind(peer_.speaks_smtp ? "EHLO" : "LHLO", 0) == 0) {
        if (peer_.mood == Mood::bad_hello) {
            return reply(random.chance(50) ? "550 5.7.1 go away" : "451 4.3.0 not now");
        }
        std::string answer = "250-store\r\n";
        answer += peer_.pipelining ? "250-PIPELINING\r\n" : "";
        answer += peer_.chunking ? "250-CHUNKING\r\n" : "";
        return reply(answer + "250-8BITMIME\r\n250 ENHANCEDSTATUSCODES");
    }
    if (line.rfind("MAIL FROM:<", 0) == 0) {
        reset();
        token_ = line[11] == '>' ? report_token : std::strtoll(line.c_str() + 12, nullptr, 10);  // MAIL FROM:<t123@...
        if (peer_.mood == Mood::deferring && random.chance(30)) {
            return reply("451 4.3.0 not now");
        }
        if (peer_.mood == Mood::lying && random.chance(10)) {
            return reply("503 5.5.1 bad sequence");
        }
        in_mail_ = true;
        return reply("250 2.1.0 ok");
    }
    if (line.rfind("RCPT TO:<", 0) == 0) {
        if (!in_mail_) {
            return reply("503 5.5.1 MAIL first");
        }
        const std::string address = line.substr(9, line.find('>') - 9);
        const std::string answer = verdict(address);
        if (answer[0] == '2') {
            accepted_.push_back(address);
        } else if (answer[0] == '5') {
            refuse(address);
        }
        return reply(answer);
    }
    if (line == "DATA") {
        if (accepted_.empty()) {
            return reply("503 5.5.1 no recipients");
        }
        if (peer_.mood == Mood::lying && random.chance(20)) {
            return reply("451 4.3.0 changed my mind");
        }
        phase_ = Phase::dotted;
        return reply("354 go on");
    }
    if (line == "RSET") {
        reset();
        return reply("250 2.0.0 ok");
    }
    if (line == "QUIT") {
        reply("221 2.0.0 bye");
        return close();
    }
    reply("500 5.5.2 what?");
}

void Session::content_ends() {
    if (accepted_.empty()) {  // BDAT for nobody
        reset();
        return reply("503 5.5.1 no recipients");
    }
    const std::vector<std::string> accepted = std::exchange(accepted_, {});
    const std::string content = std::exchange(content_, {});
    const Token token = token_ == report_token ? peer_.truth_.by_content(content).token : token_;
    if (peer_.speaks_smtp) {
        return content_ends_for_all(accepted, content, token);
    }
    Random& random = peer_.random_;
    const std::size_t silent_from =
        peer_.mood == Mood::mute_after_data && random.chance(50) ? random.below(accepted.size()) : accepted.size();
    for (std::size_t slot = 0; slot < accepted.size(); ++slot) {
        const std::string& address = accepted[slot];
        if (strikes()) {
            return;
        }
        const auto dictated = peer_.dictated.find(address);
        const Slot said = dictated == peer_.dictated.end() ? Slot::by_mood : dictated->second;
        if (said == Slot::close || said == Slot::silence) {
            // It may have taken it, or not: both are possible.
            if (random.chance(50)) {
                peer_.truth_.copy_made(token, address, content);
            }
            if (said == Slot::close) {
                return close();
            }
            mute_ = true;
            return;
        }
        if (peer_.mood == Mood::once && slot > 0) {
            peer_.truth_.copy_made(token, address, content);  // the one answer was for all
            continue;
        }
        if (said == Slot::defer || (said == Slot::by_mood && random.chance(2))) {
            reply("450 4.2.0 mailbox busy");
            continue;
        }
        if (said == Slot::refuse || (said == Slot::by_mood && random.chance(2))) {
            token_ = token;
            refuse(address);
            reply("550 5.7.1 content refused");
            continue;
        }
        if (peer_.mood == Mood::lying && random.chance(30)) {
            peer_.truth_.copy_made(token, address, content);
            reply("450 4.2.0 perhaps not");
            continue;
        }
        peer_.truth_.copy_made(token, address, content);
        if (slot >= silent_from) {
            mute_ = true;
            continue;
        }
        if (peer_.mood == Mood::one_fewer && slot + 1 == accepted.size() && accepted.size() > 1) {
            continue;
        }
        reply("250 2.0.0 taken");
    }
    if (peer_.mood == Mood::one_more && random.chance(60)) {
        // Right behind the last. Later, it could stand where the next transaction awaits its own, and no client could
        // know.
        say_(0, random.chance(50) ? "250 2.0.0 taken\r\n" : "550 5.0.0 one too many\r\n");
    }
    peer_.taken.push_back(peer_.timeline_.now());
    reset();
}

/// SMTP: it takes it for all of them, or for none.
void Session::content_ends_for_all(const std::vector<std::string>& accepted, const std::string& content, Token token) {
    if (strikes()) {
        return;
    }
    Random& random = peer_.random_;
    if (random.chance(2)) {
        reset();
        return reply("450 4.2.0 busy");
    }
    if (random.chance(2)) {
        token_ = token;
        for (const std::string& address : accepted) {
            refuse(address);
        }
        reset();
        return reply("550 5.7.1 content refused");
    }
    for (const std::string& address : accepted) {
        peer_.truth_.copy_made(token, address, content);
    }
    peer_.taken.push_back(peer_.timeline_.now());
    reset();
    if ((peer_.mood == Mood::mute_after_data && random.chance(50)) || peer_.mood == Mood::one_fewer) {
        mute_ = true;
        return;
    }
    reply(peer_.mood == Mood::lying && random.chance(30) ? "450 4.2.0 perhaps not" : "250 2.0.0 taken");
    if (peer_.mood == Mood::one_more && random.chance(60)) {
        say_(0, "250 2.0.0 taken\r\n");
    }
}

}  // namespace postern::simulation
