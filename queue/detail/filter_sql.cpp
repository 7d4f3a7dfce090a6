// Filter to SQL; see the header.
#include "queue/detail/filter_sql.hpp"

#include <algorithm>
#include <array>
#include <optional>

namespace postern::queue::detail {
namespace {

constexpr std::array all_states = {RecipientState::ready,   RecipientState::waiting, RecipientState::unknown,
                                   RecipientState::held,    RecipientState::parked,  RecipientState::delivered,
                                   RecipientState::removed, RecipientState::returned};

std::string number(std::int64_t value) { return std::to_string(value); }

/// Gives the test its number and returns the condition that calls it.
std::string condition(std::vector<TextTest>& tests, TextTest test, std::string_view column) {
    tests.push_back(std::move(test));
    return " AND holds(" + std::to_string(tests.size() - 1) + ", " + std::string(column) + ")";
}

/// A name is a name in any command: "" and "<>" both are the null sender, which is stored as ''.
std::vector<std::string> sender_globs(std::vector<std::string> senders) {
    std::replace(senders.begin(), senders.end(), std::string("<>"), std::string());
    return senders;
}

/// `instant` less `age`, held within what the clock can say: an absurd age is an old one, not a wrapped one.
std::int64_t before(Instant instant, Duration age) {
    std::int64_t result = 0;
    if (__builtin_sub_overflow(instant.time_since_epoch().count(), age.count(), &result)) {
        return age.count() > 0 ? INT64_MIN : INT64_MAX;
    }
    return result;
}

std::string ages(const Filter& filter, Instant now, const std::string& column) {
    std::string sql;
    // As text: a minus sign is part of it, and INT64_MIN would be read as a floating-point number.
    const auto literal = [](std::int64_t value) { return value == INT64_MIN ? "-9223372036854775807" : number(value); };
    if (filter.older_than) {
        sql += " AND " + column + " < " + literal(before(now, *filter.older_than));
    }
    if (filter.younger_than) {
        sql += " AND " + column + " > " + literal(before(now, *filter.younger_than));
    }
    return sql;
}

/// r.state IN (...): the undone ones, of those asked for.
void choose_states(const Filter& filter, FilterSql& sql) {
    std::string list;
    for (const RecipientState state : all_states) {
        const bool asked = filter.states.empty() ||
                           std::find(filter.states.begin(), filter.states.end(), state) != filter.states.end();
        if (is_done(state)) {
            continue;
        }
        if (asked) {
            list += (list.empty() ? "" : ", ") + number(static_cast<std::int64_t>(state));
        } else {
            sql.all_states = false;
        }
    }
    sql.nothing = list.empty();
    sql.states = "r.state IN (" + list + ")";
}

}  // namespace

NameSet::NameSet(std::vector<std::string> names) : names_(std::move(names)) { std::sort(names_.begin(), names_.end()); }

bool NameSet::matches(std::string_view text) const { return std::binary_search(names_.begin(), names_.end(), text); }

bool holds(const TextTest& test, std::string_view text) {
    if (const auto* globs = std::get_if<GlobSet>(&test)) {
        return globs->matches(text);
    }
    if (const auto* networks = std::get_if<ClientNetworkSet>(&test)) {
        return networks->contains(text);
    }
    if (const auto* names = std::get_if<NameSet>(&test)) {
        return names->matches(text);
    }
    const auto* needle = std::get_if<std::string>(&test);
    return needle != nullptr && contains_folded(text, *needle);
}

FilterSql filter_sql(const Filter& filter, Instant now) {
    FilterSql sql;
    choose_states(filter, sql);
    // The cheap ones first: SQLite asks in the order in which they stand.
    if (!filter.backends.empty()) {
        sql.on_recipient += condition(sql.tests, NameSet(filter.backends), "r.backend");
    }
    if (!filter.domains.empty()) {
        sql.on_recipient += condition(sql.tests, GlobSet(filter.domains), "r.domain");
    }
    if (!filter.recipients.empty()) {
        sql.on_recipient += condition(sql.tests, GlobSet(filter.recipients), "r.address");
    }
    if (filter.reply) {
        sql.on_recipient += condition(sql.tests, *filter.reply, "r.last_reply");
    }
    sql.on_message += ages(filter, now, "m.received_at");
    if (!filter.clients.empty()) {
        sql.on_message += condition(sql.tests, ClientNetworkSet(filter.clients), "m.client_address");
    }
    if (!filter.senders.empty()) {
        sql.on_message += condition(sql.tests, GlobSet(sender_globs(filter.senders)), "m.sender");
    }
    return sql;
}

std::string select_messages(const FilterSql& filter) {
    if (filter.any_recipient()) {
        // Walks the messages; each has an undone recipient, or it would be gone, but that is looked at all the same.
        return "SELECT m.id FROM message AS m WHERE m.id > ?1 AND m.id <= ?2" + filter.on_message +
               " AND EXISTS (SELECT 1 FROM recipient AS r WHERE r.message = m.id AND " + filter.states +
               ") ORDER BY m.id LIMIT ?3";
    }
    // Walks the recipients, whose rows are small and in the order of their messages, and looks a message up only for
    // a recipient that matches. CROSS JOIN keeps SQLite to that order.
    const std::string join = filter.on_message.empty() ? "" : " CROSS JOIN message AS m ON m.id = r.message";
    return "SELECT DISTINCT r.message FROM recipient AS r" + join + " WHERE r.message > ?1 AND r.message <= ?2 AND " +
           filter.states + filter.on_recipient + filter.on_message + " ORDER BY r.message LIMIT ?3";
}

std::string select_ordinals(const FilterSql& filter) {
    return "SELECT r.ordinal FROM recipient AS r WHERE r.message = ?1 AND " + filter.states + filter.on_recipient +
           " ORDER BY r.ordinal";
}

namespace {

/// The events that led to `state`.
std::string_view events_of(RecipientState state) {
    switch (state) {
        case RecipientState::ready:
            return "'accepted', 'retried', 'released'";
        case RecipientState::waiting:
            return "'deferred'";
        case RecipientState::unknown:
            return "'unknown'";
        case RecipientState::held:
            return "'held'";
        case RecipientState::parked:
            return "'failed', 'expired', 'parked'";
        case RecipientState::returned:
            return "'returned', 'reported', 'not_reported'";
        case RecipientState::delivered:
            return "'delivered'";
        case RecipientState::removed:
            break;
    }
    return "'removed'";
}

}  // namespace

HistorySql history_sql(const Filter& filter, Instant now) {
    HistorySql sql;
    sql.conditions = ages(filter, now, "h.at");
    const auto add = [&sql](TextTest test, std::string_view column) {
        sql.conditions += condition(sql.tests, std::move(test), column);
    };
    if (!filter.states.empty()) {
        std::string events;
        for (const RecipientState state : filter.states) {
            events += (events.empty() ? "" : ", ") + std::string(events_of(state));
        }
        sql.conditions += " AND h.event IN (" + events + ')';
    }
    if (!filter.backends.empty()) {
        add(NameSet(filter.backends), "h.backend");
    }
    if (!filter.domains.empty()) {
        add(GlobSet(filter.domains), "domain_of(h.recipient)");
    }
    if (!filter.recipients.empty()) {
        add(GlobSet(filter.recipients), "h.recipient");
    }
    if (filter.reply) {
        add(*filter.reply, "h.reply");
    }
    // Sender and client stand in the row that tells of the acceptance; every row of that message is meant.
    if (!filter.senders.empty()) {
        sql.on_acceptance += condition(sql.tests, GlobSet(sender_globs(filter.senders)), "a.sender");
    }
    if (!filter.clients.empty()) {
        sql.on_acceptance += condition(sql.tests, ClientNetworkSet(filter.clients), "a.client");
    }
    if (!sql.on_acceptance.empty()) {
        sql.conditions += " AND accepted_as_asked(h.message)";
    }
    return sql;
}

}  // namespace postern::queue::detail
