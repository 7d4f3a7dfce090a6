// What a store may do instead of, or beside, answering each recipient once, and what must become of the recipients
// then. expect() is written from RFC 2033 section 4.2 alone, without a look at the dialogue.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "lmtp-client/transaction.hpp"

namespace postern::lmtp_client::test {

/// One character for each accepted recipient.
inline constexpr std::string_view pattern_letters = "kfuoxsgdmw";
//  k: 250, ok            f: 452, full           u: 550, unknown user    o: 552 once for all, then silence
//  x: closes             s: silence for ever    g: garbage              d: 421 and closes, shutting down
//  m: 250 twice, one reply too many             w: no reply, goes on with the next: one reply too few (wanting)

/// All patterns of `length` letters, in order.
inline std::vector<std::string> all_patterns(std::size_t length) {
    std::vector<std::string> out{""};
    for (std::size_t i = 0; i < length; ++i) {
        std::vector<std::string> longer;
        for (const auto& pattern : out) {
            for (const char letter : pattern_letters) {
                longer.push_back(pattern + letter);
            }
        }
        out = std::move(longer);
    }
    return out;
}

/// What goes over the wire after the data, and how it ends.
struct SlotScript {
    std::string bytes;
    bool closes = false;  ///< else silence
};

inline SlotScript script_of(const std::string& pattern) {
    SlotScript script;
    for (const char letter : pattern) {
        switch (letter) {
            case 'k':
                script.bytes += "250 2.0.0 ok\r\n";
                break;
            case 'f':
                script.bytes += "452-4.2.2 mailbox\r\n452 4.2.2 full\r\n";
                break;
            case 'u':
                script.bytes += "550 5.1.1 unknown\r\n";
                break;
            case 'o':
                script.bytes += "552 5.3.4 too large\r\n";
                return script;
            case 'x':
                script.closes = true;
                return script;
            case 's':
                return script;
            case 'g':
                script.bytes += "what is this\r\n";
                break;
            case 'd':
                script.bytes += "421 4.3.2 going down\r\n";
                script.closes = true;
                return script;
            case 'm':
                script.bytes += "250 2.0.0 ok\r\n250 2.0.0 ok\r\n";
                break;
            default:
                break;
        }
    }
    return script;
}

struct Expected {
    std::vector<std::string> words;
    Trouble trouble = Trouble::none;
};

/// The n-th reply is the n-th recipient's; from the first thing on that is no reply, nobody has one.
inline Expected expect(const std::string& pattern) {
    std::vector<std::string> said;
    std::string end = "silence";
    for (const char letter : pattern) {
        if (letter == 'k') {
            said.push_back("250");
        } else if (letter == 'f') {
            said.push_back("452");
        } else if (letter == 'u') {
            said.push_back("550");
        } else if (letter == 'm') {
            said.insert(said.end(), {"250", "250"});
        } else if (letter == 'g') {
            end = "garbage";
            break;
        } else if (letter == 'd') {
            end = "shutdown";
            break;
        } else if (letter == 'x') {
            end = "close";
            break;
        } else if (letter == 's') {
            break;
        } else if (letter == 'o') {
            said.push_back("552");
            break;
        }
    }
    Expected out;
    out.words.assign(pattern.size(), "unknown");
    const bool enough = said.size() >= pattern.size();
    for (std::size_t i = 0; i < pattern.size() && i < said.size(); ++i) {
        out.words[i] = said[i];
    }
    if (enough) {
        const bool more = said.size() > pattern.size() || end == "garbage" || end == "shutdown";
        out.trouble = more ? Trouble::protocol : Trouble::none;
    } else if (end == "garbage") {
        out.trouble = Trouble::protocol;
    } else if (end == "shutdown") {
        out.trouble = Trouble::shutting_down;
    } else if (end == "close") {
        out.trouble = Trouble::broken;
    } else {
        out.trouble = said.empty() ? Trouble::broken : Trouble::protocol;  // some and then silence: one reply too few
    }
    return out;
}

/// The four ways in which a transaction goes over the wire.
struct Mode {
    bool pipelining;
    bool chunking;
};
inline constexpr std::array<Mode, 4> modes{{{false, false}, {true, false}, {false, true}, {true, true}}};
inline std::string to_string(const Mode& mode) {
    return std::string(mode.pipelining ? "pipelined " : "serial ") + (mode.chunking ? "BDAT" : "DATA");
}

}  // namespace postern::lmtp_client::test
