#include "lmtp-client/detail/transcript.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "queue/mail/printable.hpp"

namespace postern::lmtp_client::detail {

struct Transcript::Head {
    std::uint32_t milliseconds = 0;
    std::uint32_t octets = 0;
    Kind kind = Kind::note;
};

namespace {

/// What of one entry is kept: an endless reply line must not push out all that came before it.
constexpr std::size_t entry_octets_max = 2048;

}  // namespace

void Transcript::begin(Instant now) {
    began_ = now;
    beginning_.clear();
    end_.clear();
    dropped_ = 0;
    full_ = false;
}

void Transcript::content(std::uint64_t octets, Instant now) {
    add(Kind::content, std::string_view(reinterpret_cast<const char*>(&octets), sizeof octets), now);
}

void Transcript::add(Kind kind, std::string_view bytes, Instant now) {
    const std::string_view kept = bytes.substr(0, entry_octets_max);
    Head head;
    const auto elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(now - began_).count();
    head.milliseconds = static_cast<std::uint32_t>(std::clamp<std::int64_t>(elapsed, 0, UINT32_MAX));
    head.octets = static_cast<std::uint32_t>(kept.size());
    head.kind = kind;
    full_ = full_ || beginning_.size() + sizeof head + kept.size() > begin_octets_max;
    std::string& where = full_ ? end_ : beginning_;
    where.append(reinterpret_cast<const char*>(&head), sizeof head);
    where.append(kept);
    if (full_ && end_.size() > 2 * end_octets_max) {
        drop_from_end();
    }
    if (kept.size() < bytes.size()) {
        note("(" + std::to_string(bytes.size() - kept.size()) + " octets more)", now);
    }
}

/// Entry by entry, down to the bound: half of what may be there at most, so that each octet is moved once.
void Transcript::drop_from_end() {
    std::size_t at = 0;
    while (end_.size() - at > end_octets_max) {
        Head head;
        std::memcpy(&head, end_.data() + at, sizeof head);
        at += sizeof head + head.octets;
        dropped_ += head.octets;
    }
    end_.erase(0, at);
}

/// Entries to lines. A line that came in several reads is one line, with the time of its first octet.
class Transcript::Lines {
public:
    void entries(std::string_view stored) {
        while (stored.size() >= sizeof(Head)) {
            Head head;
            std::memcpy(&head, stored.data(), sizeof head);
            const std::string_view bytes = stored.substr(sizeof head, head.octets);
            stored.remove_prefix(sizeof head + bytes.size());
            if (head.kind == Kind::content) {
                std::uint64_t octets = 0;
                std::memcpy(&octets, bytes.data(), std::min(sizeof octets, bytes.size()));
                entry(head, "the content: " + std::to_string(octets) + " octets\n");
            } else {
                entry(head, bytes);
            }
        }
    }

    void note(std::string_view text) {
        flush();
        out_.append("         -- ").append(mail::printable(text, entry_octets_max)).append(1, '\n');
    }

    /// Lines that begin behind so many octets are left out.
    void limit(std::size_t octets) {
        flush();
        limit_ = octets;
    }

    std::string take() {
        flush();
        return std::move(out_);
    }

private:
    void entry(const Head& head, std::string_view bytes) {
        if (!line_.empty() && head.kind != kind_) {
            flush();
        }
        while (!bytes.empty()) {
            if (line_.empty()) {
                kind_ = head.kind;
                milliseconds_ = head.milliseconds;
            }
            const std::size_t end = bytes.find('\n');
            line_.append(bytes.substr(0, end));
            if (end == std::string_view::npos) {
                break;
            }
            end_line();
            bytes.remove_prefix(end + 1);
        }
        if (head.kind == Kind::note) {
            flush();
        }
    }

    void flush() {
        if (!line_.empty()) {
            end_line();
        }
    }

    void end_line() {
        if (!line_.empty() && line_.back() == '\r') {
            line_.pop_back();
        }
        if (out_.size() < limit_) {
            char time[32];
            std::snprintf(time, sizeof time, "%8.3f ", milliseconds_ / 1000.0);
            const char* who = kind_ == Kind::sent ? "C: " : kind_ == Kind::received ? "S: " : "-- ";
            out_.append(time).append(who).append(mail::printable(line_, 2 * entry_octets_max)).append(1, '\n');
        }
        line_.clear();
    }

    std::string out_;
    std::string line_;
    std::size_t limit_ = text_octets_max;
    Kind kind_ = Kind::note;
    std::uint32_t milliseconds_ = 0;
};

std::string Transcript::text(std::string_view before) const {
    Lines lines;
    if (!before.empty()) {
        lines.note(before);
    }
    lines.limit(2 * text_octets_max / 3);  // what it ended with matters more than what it began with
    lines.entries(beginning_);
    lines.limit(text_octets_max);
    if (dropped_ != 0) {
        lines.note("(" + std::to_string(dropped_) + " octets left out)");
    }
    lines.entries(end_);
    return lines.take();
}

}  // namespace postern::lmtp_client::detail
