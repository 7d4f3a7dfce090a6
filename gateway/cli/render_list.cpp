// The table of `queue list`.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "gateway/cli/render.hpp"
#include "gateway/cli/words.hpp"
#include "queue/mail/printable.hpp"

namespace postern::cli {
namespace {

constexpr std::size_t rows_kept = 200;  // from which the widths are taken
constexpr std::size_t sender_columns = 32;
constexpr std::size_t reason_columns_min = 12;
constexpr std::string_view gap = "  ";

enum Column : std::size_t { id, age, size_column, sender, recipients, next, reason, column_count };

const std::vector<std::string>& headings() {
    static const std::vector<std::string> texts{"ID", "AGE", "SIZE", "SENDER", "RECIPIENTS", "NEXT", "REASON"};
    return texts;
}

std::string next_attempt(const control::MessageView& message, queue::Instant now) {
    std::optional<queue::Instant> earliest;
    for (const control::RecipientView& recipient : message.recipients) {
        if (recipient.next_attempt_at && (!earliest || *recipient.next_attempt_at < *earliest)) {
            earliest = recipient.next_attempt_at;
        }
    }
    return earliest ? until(*earliest, now) : "-";
}

/// The last reply of the first recipient that is still undone.
std::string reason_of(const control::MessageView& message) {
    for (const control::RecipientView& recipient : message.recipients) {
        if (!queue::is_done(recipient.state) && !recipient.last_reply.empty()) {
            return mail::printable(recipient.last_reply);
        }
    }
    return "-";
}

}  // namespace

std::string recipients_by_state(const control::MessageView& message) {
    std::map<queue::RecipientState, std::size_t> counts;
    for (const control::RecipientView& recipient : message.recipients) {
        ++counts[recipient.state];
    }
    std::string text;
    for (const auto& [state, number] : counts) {
        text += fmt::format("{}{} {}", text.empty() ? "" : ", ", number, queue::to_string(state));
    }
    return text;
}

ListTable::Row ListTable::row_of(const control::MessageView& message) const {
    Row row(column_count);
    row[id] = message.id.to_string();
    row[age] = span(now_ - message.received_at);
    row[size_column] = size(message.size);
    row[sender] = message.sender.empty() ? "<>" : mail::printable(message.sender);
    if (columns_ != 0) {
        row[sender] = cut(row[sender], sender_columns);
    }
    row[recipients] = recipients_by_state(message);
    row[next] = next_attempt(message, now_);
    row[reason] = reason_of(message);
    return row;
}

std::string ListTable::add(const control::MessageView& message) {
    Row row = row_of(message);
    if (!widths_.empty()) {
        return line(row);
    }
    kept_.push_back(std::move(row));
    return kept_.size() < rows_kept ? std::string() : flush();
}

std::string ListTable::finish() { return kept_.empty() ? std::string() : flush(); }

std::string ListTable::flush() {
    widths_.assign(column_count, 0);
    kept_.insert(kept_.begin(), headings());
    for (const Row& row : kept_) {
        for (std::size_t column = 0; column < column_count; ++column) {
            widths_[column] = std::max(widths_[column], columns(row[column]));
        }
    }
    std::string text;
    for (const Row& row : kept_) {
        text += line(row);
    }
    kept_.clear();
    return text;
}

std::string ListTable::line(const Row& row) const {
    std::string text;
    for (std::size_t column = 0; column < reason; ++column) {
        const bool number = column == age || column == size_column;
        text += number ? pad_left(row[column], widths_[column]) : pad_right(row[column], widths_[column]);
        text += gap;
    }
    const std::size_t used = columns(text);
    const std::size_t left = columns_ > used ? columns_ - used : 0;
    text += columns_ == 0 ? row[reason] : cut(row[reason], std::max(left, reason_columns_min));
    return text + '\n';
}

}  // namespace postern::cli
