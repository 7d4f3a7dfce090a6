#include "lmtp-client/detail/capabilities.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <string_view>

#include "lmtp-client/detail/sasl.hpp"

namespace postern::lmtp_client::detail {

namespace {

constexpr char to_upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

bool same_word(std::string_view word, std::string_view upper) {
    if (word.size() != upper.size()) {
        return false;
    }
    for (std::size_t i = 0; i < word.size(); ++i) {
        if (to_upper(word[i]) != upper[i]) {
            return false;
        }
    }
    return true;
}

/// Cuts the first word off `line`; empty at its end.
std::string_view take_word(std::string_view& line) {
    const std::size_t begin = line.find_first_not_of(' ');
    if (begin == std::string_view::npos) {
        line = {};
        return {};
    }
    line.remove_prefix(begin);
    const std::string_view word = line.substr(0, line.find(' '));
    line.remove_prefix(word.size());
    return word;
}

template <class Number>
std::optional<Number> read_number(std::string_view text) {
    Number value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) {
        return std::nullopt;
    }
    return value;
}

void offer_login(std::string_view mechanism, Capabilities& out) {
    const auto* const known = std::find_if(std::begin(login_mechanisms), std::end(login_mechanisms),
                                           [mechanism](std::string_view name) { return same_word(mechanism, name); });
    const auto* const best = std::find(std::begin(login_mechanisms), std::end(login_mechanisms), out.login);
    if (known < best) {
        out.login = *known;
    }
}

void read_limits(std::string_view line, Capabilities& out) {
    for (std::string_view word = take_word(line); !word.empty(); word = take_word(line)) {
        const std::size_t equals = word.find('=');
        if (equals == std::string_view::npos || !same_word(word.substr(0, equals), "RCPTMAX")) {
            continue;
        }
        const auto value = read_number<std::uint32_t>(word.substr(equals + 1));
        if (value && *value > 0) {
            out.recipients_max = value;
        }
    }
}

void read_line(std::string_view line, Capabilities& out) {
    const std::string_view keyword = take_word(line);
    if (same_word(keyword, "PIPELINING")) {
        out.pipelining = true;
    } else if (same_word(keyword, "CHUNKING")) {
        out.chunking = true;
    } else if (same_word(keyword, "8BITMIME")) {
        out.eight_bit_mime = true;
    } else if (same_word(keyword, "SMTPUTF8")) {
        out.smtputf8 = true;
    } else if (same_word(keyword, "DSN")) {
        out.dsn = true;
    } else if (same_word(keyword, "STARTTLS")) {
        out.starttls = true;
    } else if (same_word(keyword, "REQUIRETLS")) {
        out.require_tls = true;
    } else if (same_word(keyword, "AUTH")) {
        for (std::string_view word = take_word(line); !word.empty(); word = take_word(line)) {
            offer_login(word, out);
        }
    } else if (same_word(keyword, "SIZE")) {
        out.size = true;
        out.size_max = read_number<std::uint64_t>(take_word(line)).value_or(0);
    } else if (same_word(keyword, "LIMITS")) {
        read_limits(line, out);
    }
}

}  // namespace

Capabilities Capabilities::read(const mail::Reply& reply) {
    Capabilities out;
    std::string_view rest = reply.text();
    while (true) {
        const std::size_t end = rest.find('\n');
        if (end == std::string_view::npos) {
            return out;
        }
        rest.remove_prefix(end + 1);
        read_line(rest.substr(0, rest.find('\n')), out);
    }
}

}  // namespace postern::lmtp_client::detail
