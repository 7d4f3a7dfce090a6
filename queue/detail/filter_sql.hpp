// Turns a Filter into SQL: conditions, and the texts' tests that they call. Pure; knows the tables, no connection.
//
// No text of a filter ever enters the SQL: each becomes a test in C++ that the conditions name by its number, as
// `holds(NUMBER, column)`. So there is one meaning of a glob, a network or a found text, and nothing to inject.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "queue/filter.hpp"
#include "queue/glob.hpp"
#include "queue/network.hpp"
#include "queue/time.hpp"

namespace postern::queue::detail {

/// One of these names exactly.
class NameSet {
public:
    explicit NameSet(std::vector<std::string> names);
    [[nodiscard]] bool matches(std::string_view text) const;

private:
    std::vector<std::string> names_;  ///< sorted
};

/// What `holds(number, column)` asks of a column's text.
using TextTest =
    std::variant<GlobSet, ClientNetworkSet, NameSet, std::string>;  ///< a string: found anywhere, ASCII folded
[[nodiscard]] bool holds(const TextTest& test, std::string_view text);

/// Conditions over `recipient AS r` and `message AS m`; each begins with " AND ".
struct FilterSql {
    std::string states;           ///< r.state: undone, and among those asked for
    std::string on_recipient;     ///< what else is asked of r
    std::string on_message;       ///< what is asked of m
    std::vector<TextTest> tests;  ///< by number
    bool nothing = false;         ///< contradicts itself: no row can match
    bool all_states = true;       ///< `states` is: any undone one

    /// Of a message with an undone recipient, nothing more is asked of recipients.
    [[nodiscard]] bool any_recipient() const { return all_states && on_recipient.empty(); }
};

/// Everything but `ids` and `limit`, which the Reader's paging does.
[[nodiscard]] FilterSql filter_sql(const Filter& filter, Instant now);

/// Messages that match, in ascending order: ids in (?1, ?2], at most ?3 of them.
[[nodiscard]] std::string select_messages(const FilterSql& filter);
/// The ordinals that match in the message ?1, ascending.
[[nodiscard]] std::string select_ordinals(const FilterSql& filter);

/// Conditions over `history AS h`, each beginning with " AND "; `ids` and `limit` apart.
struct HistorySql {
    std::string conditions;
    /// Of the row `history AS a` that tells of a message's acceptance. When it is not empty, `conditions` ask
    /// `accepted_as_asked(MESSAGE)` for it, a function of whoever runs them: their rows come in the order of their
    /// messages, so that each message is looked up once.
    std::string on_acceptance;
    std::vector<TextTest> tests;
};
[[nodiscard]] HistorySql history_sql(const Filter& filter, Instant now);

}  // namespace postern::queue::detail
