#include "smtp-server/detail/proxy_header.hpp"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <vector>

namespace postern::smtp_server::detail {

namespace {

using Status = ProxyHeaderReader::Status;

constexpr std::string_view line_start = "PROXY ";
constexpr std::string_view signature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::size_t line_octets_max = 107;  // section 2.1
constexpr std::size_t fixed_octets = 16;      // section 2.2: signature, version and command, family, length
constexpr std::size_t addresses4_octets = 12;
constexpr std::size_t addresses6_octets = 36;

unsigned octet_of(const std::string& text, std::size_t at) { return static_cast<unsigned char>(text[at]); }

/// Decimal without sign or spare zeros.
std::optional<std::uint16_t> read_port(std::string_view text) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    const bool spare_zero = text.size() > 1 && text.front() == '0';
    if (error != std::errc() || end != text.data() + text.size() || text.empty() || spare_zero) {
        return std::nullopt;
    }
    return port;
}

std::optional<std::string> octets_of(int family, std::string_view text) {
    std::array<char, 16> octets{};
    const std::string terminated(text);
    if (terminated.find('\0') != std::string::npos || ::inet_pton(family, terminated.c_str(), octets.data()) != 1) {
        return std::nullopt;
    }
    return std::string(octets.data(), family == AF_INET ? 4 : 16);
}

std::vector<std::string_view> words_of(std::string_view line) {
    std::vector<std::string_view> words;
    for (;;) {
        const std::size_t space = line.find(' ');
        words.push_back(line.substr(0, space));
        if (space == std::string_view::npos) {
            return words;
        }
        line.remove_prefix(space + 1);
    }
}

}  // namespace

ProxyHeaderReader::Fed ProxyHeaderReader::feed(std::string_view in) {
    std::size_t consumed = 0;
    while (consumed < in.size()) {
        if (wanted_ != 0 && kept_.size() == wanted_) {  // only what nobody reads is left
            const std::size_t count = std::min(to_skip_, in.size() - consumed);
            to_skip_ -= count;
            consumed += count;
        } else {
            kept_ += in[consumed++];
        }
        const Status status = judge();
        if (status != Status::need_more) {
            return {consumed, status};
        }
    }
    return {consumed, Status::need_more};
}

Status ProxyHeaderReader::judge() {
    const std::string_view kept = kept_;
    if (line_start.substr(0, kept.size()) == kept.substr(0, line_start.size())) {
        return kept.size() <= line_start.size() ? Status::need_more : read_line();
    }
    if (signature.substr(0, kept.size()) != kept.substr(0, signature.size())) {
        return Status::bad;
    }
    if (kept.size() < fixed_octets) {
        return Status::need_more;
    }
    if (wanted_ == 0) {
        const Status status = read_fixed_part();
        if (status == Status::bad) {
            return status;
        }
    }
    if (kept_.size() < wanted_ || to_skip_ > 0) {
        return Status::need_more;
    }
    return read_addresses();
}

Status ProxyHeaderReader::read_line() {
    if (kept_.back() != '\n') {
        return kept_.size() < line_octets_max ? Status::need_more : Status::bad;
    }
    if (kept_[kept_.size() - 2] != '\r') {
        return Status::bad;
    }
    const std::string_view line =
        std::string_view(kept_).substr(line_start.size(), kept_.size() - line_start.size() - 2);
    const auto words = words_of(line);
    if (words[0] == "UNKNOWN") {
        return Status::done;  // whatever follows on the line
    }
    if (words.size() != 5 || (words[0] != "TCP4" && words[0] != "TCP6")) {
        return Status::bad;
    }
    const int family = words[0] == "TCP4" ? AF_INET : AF_INET6;
    const auto source = octets_of(family, words[1]);
    const auto port = read_port(words[3]);
    if (!source || !port || !octets_of(family, words[2]) || !read_port(words[4]) || !take_address(family, *source)) {
        return Status::bad;
    }
    port_ = *port;
    return Status::done;
}

Status ProxyHeaderReader::read_fixed_part() {
    const unsigned version_and_command = octet_of(kept_, 12);
    const std::size_t length = octet_of(kept_, 14) * 256 + octet_of(kept_, 15);
    if (version_and_command != 0x20 && version_and_command != 0x21) {
        return Status::bad;
    }
    const unsigned family = octet_of(kept_, 13) >> 4U;
    const bool proxied = version_and_command == 0x21;
    std::size_t addresses = 0;
    if (proxied && family == 1) {
        addresses = addresses4_octets;
    } else if (proxied && family == 2) {
        addresses = addresses6_octets;
    } else if (family > 3) {
        return Status::bad;
    }
    if (length < addresses) {
        return Status::bad;
    }
    wanted_ = fixed_octets + addresses;
    to_skip_ = length - addresses;
    return Status::need_more;
}

Status ProxyHeaderReader::read_addresses() {
    const std::string_view addresses = std::string_view(kept_).substr(fixed_octets);
    if (addresses.empty()) {
        return Status::done;
    }
    const bool four = addresses.size() == addresses4_octets;
    const std::size_t port_at = fixed_octets + (four ? 8 : 32);
    port_ = static_cast<std::uint16_t>(octet_of(kept_, port_at) * 256 + octet_of(kept_, port_at + 1));
    return take_address(four ? AF_INET : AF_INET6, addresses.substr(0, four ? 4 : 16)) ? Status::done : Status::bad;
}

bool ProxyHeaderReader::take_address(int family, std::string_view octets) {
    constexpr std::string_view mapped("\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
    if (family == AF_INET6 && octets.substr(0, mapped.size()) == mapped) {
        family = AF_INET;
        octets.remove_prefix(mapped.size());
    }
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (::inet_ntop(family, octets.data(), text.data(), static_cast<socklen_t>(text.size())) == nullptr) {
        return false;
    }
    address_ = text.data();
    return true;
}

}  // namespace postern::smtp_server::detail
