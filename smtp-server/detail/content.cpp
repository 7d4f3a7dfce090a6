#include "smtp-server/detail/content.hpp"

#include <algorithm>

namespace postern::smtp_server::detail {
namespace {

// Content is judged in blocks: small enough that a rare odd line costs little, large enough for wide instructions.
constexpr std::size_t scanned_octets = 512;
constexpr std::size_t part_octets = 64;

std::uint8_t octet(char c) { return static_cast<std::uint8_t>(c); }

struct BlockFacts {
    std::uint8_t odd = 0;   // a CR or LF without the other, or a dot behind an LF
    std::uint8_t bits = 0;  // all octets, or-ed
    std::uint8_t nul = 0;
};

// A loop without branches whose length is known: what compilers make vector instructions of.
void examine_part(const char* part, BlockFacts& facts) {
    BlockFacts here;
    const char* const left = part - 1;
    for (std::size_t i = 0; i < part_octets; ++i) {
        const std::uint8_t before = octet(left[i]);
        const std::uint8_t each = octet(part[i]);
        here.odd = static_cast<std::uint8_t>(here.odd | ((each == '\n') ^ (before == '\r')) |
                                             ((each == '.') & (before == '\n')));
        here.bits = static_cast<std::uint8_t>(here.bits | each);
        here.nul = static_cast<std::uint8_t>(here.nul | (each == 0));
    }
    facts.odd |= here.odd;
    facts.bits |= here.bits;
    facts.nul |= here.nul;
}

// What stands before the block counts as an ordinary octet. More than part_octets octets. Octets may be looked at
// twice.
BlockFacts examine(const char* block, std::size_t size) {
    BlockFacts facts;
    facts.odd = block[0] == '\n' ? 1 : 0;
    facts.bits = octet(block[0]);
    facts.nul = block[0] == '\0' ? 1 : 0;
    std::size_t at = 1;
    for (; at + part_octets < size; at += part_octets) {
        examine_part(block + at, facts);
    }
    examine_part(block + size - part_octets, facts);
    return facts;
}

}  // namespace

std::optional<mail::Reply> content_refusal(const ContentFacts& facts, const Limits& limits, BareNewline bare_newline) {
    if (facts.size > limits.message_size) {
        return mail::Reply(552, {5, 3, 4}, "Message is larger than " + std::to_string(limits.message_size) + " octets");
    }
    if (facts.received_headers > limits.received_headers) {
        return mail::Reply(554, {5, 4, 6}, "Too many hops: the message goes in a loop");
    }
    if (facts.has_nul) {
        return mail::Reply(554, {5, 6, 0}, "Message holds a NUL");
    }
    if (facts.has_bare_newline && bare_newline == BareNewline::reject) {
        return mail::Reply(554, {5, 6, 0}, "Message holds a CR or LF that is not part of a CRLF");
    }
    return std::nullopt;
}

void HeaderScan::text(std::string_view part) {
    static constexpr std::string_view name = "received";
    if (!in_header_) {
        return;
    }
    for (const char c : part) {
        if (line_ == Line::other) {
            return;
        }
        const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
        if (line_ != Line::gap && matched_ < name.size() && lower == name[matched_]) {
            ++matched_;
            line_ = Line::name;
        } else if (matched_ == name.size() && (c == ' ' || c == '\t')) {
            line_ = Line::gap;  // RFC 5322 section 4.5.8 has white space there
        } else {
            if (matched_ == name.size() && c == ':' && received_ != UINT32_MAX) {
                ++received_;
            }
            line_ = Line::other;
        }
    }
}

void HeaderScan::newline() {
    in_header_ = in_header_ && line_ != Line::empty;
    line_ = Line::empty;
    matched_ = 0;
}

std::size_t ContentFilter::feed(std::string_view in, std::string& out) {
    const std::size_t size_before = out.size();
    const bool begins = facts_.size == 0;
    std::size_t consumed = 0;
    while (consumed < in.size() && state_ != State::end) {
        consumed += step(in.substr(consumed), out);
    }
    if (begins && out.size() > size_before) {
        facts_.begins_with_fold = out[size_before] == ' ' || out[size_before] == '\t';
    }
    facts_.size += out.size() - size_before;
    facts_.received_headers = header_.received();
    return consumed;
}

void ContentFilter::finish(std::string& out) {
    if (state_ == State::cr) {
        const std::size_t size_before = out.size();
        put_bare_newline(out);
        facts_.size += out.size() - size_before;
    }
    state_ = State::end;
}

// Consumes one octet, or many where nothing happens; 0 where only the state changes.
std::size_t ContentFilter::step(std::string_view in, std::string& out) {
    switch (state_) {
        case State::line_start:
            if (framing_ == Framing::dots && in[0] == '.') {
                state_ = State::dot;
                return 1;
            }
            return text(in, out);
        case State::dot:
            // Other octets on the line: the dot was stuffed and goes.
            state_ = in[0] == '\r' ? State::dot_cr : State::text;
            return in[0] == '\r' ? 1 : 0;
        case State::dot_cr:
            if (in[0] == '\n') {
                state_ = State::end;
                return 1;
            }
            put_bare_newline(out);
            return 0;
        case State::cr:
            if (in[0] == '\n') {
                put_newline(out);
                state_ = State::line_start;
                return 1;
            }
            put_bare_newline(out);
            return 0;
        case State::text:
            return text(in, out);
        case State::end:
            break;
    }
    return 0;
}

// In line_start or text. A whole block where it is ordinary and beyond the header, else one part of a line.
std::size_t ContentFilter::text(std::string_view in, std::string& out) {
    if (header_.in_header() || odd_left_ > 0) {
        const std::size_t size = line_part(in, out);
        odd_left_ -= std::min(odd_left_, size);
        return size;
    }
    std::size_t size = std::min(in.size(), scanned_octets);
    if (in[size - 1] == '\r') {
        --size;  // what it is depends on the next octet
    }
    if (size <= part_octets || in[size - 1] == '\r') {
        return line_part(in, out);
    }
    const BlockFacts block = examine(in.data(), size);
    if (block.odd != 0) {
        odd_left_ = size;  // not to be examined again for each of its lines
        return line_part(in, out);
    }
    out.append(in.data(), size);
    facts_.has_8bit |= block.bits > 127;
    facts_.has_nul |= block.nul != 0;
    state_ = in[size - 1] == '\n' ? State::line_start : State::text;
    return size;
}

// In line_start or text: octets up to the next CR or LF, or that one octet.
std::size_t ContentFilter::line_part(std::string_view in, std::string& out) {
    if (in[0] == '\r') {
        state_ = State::cr;
        return 1;
    }
    if (in[0] == '\n') {
        put_bare_newline(out);
        return 1;
    }
    const char* const end = in.data() + std::min(in.size(), scanned_octets);
    const char* const stop = std::find_if(in.data(), end, [](char c) { return c == '\r' || c == '\n'; });
    const auto size = static_cast<std::size_t>(stop - in.data());
    put_text(in.substr(0, size), out);
    state_ = State::text;
    return size;
}

void ContentFilter::put_text(std::string_view part, std::string& out) {
    for (const char c : part) {
        facts_.has_8bit |= octet(c) > 127;
        facts_.has_nul |= c == '\0';
    }
    header_.text(part);
    out.append(part);
}

void ContentFilter::put_newline(std::string& out) {
    header_.newline();
    out.append("\r\n", 2);
}

// The state is text behind it, not line_start: a sender who meant a line end would have sent one, and stuffs no dot
// here.
void ContentFilter::put_bare_newline(std::string& out) {
    facts_.has_bare_newline = true;
    put_newline(out);
    state_ = State::text;
}

}  // namespace postern::smtp_server::detail
