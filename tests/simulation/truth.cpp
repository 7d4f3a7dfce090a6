#include "truth.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace postern::simulation {

using queue::RecipientState;

namespace {

constexpr Timeline::Milliseconds unnoticed_jump = 2 * 60'000;

}  // namespace

void Counts::add(const Counts& other) {
    messages += other.messages;
    recipients += other.recipients;
    accepted += other.accepted;
    attempts += other.attempts;
    copies += other.copies;
    explained_duplicates += other.explained_duplicates;
    crashes += other.crashes;
    power_cuts += other.power_cuts;
    restarts += other.restarts;
    disk_errors += other.disk_errors;
    parked += other.parked;
    returned += other.returned;
    reports += other.reports;
    held += other.held;
    removed += other.removed;
    delivered += other.delivered;
    connects += other.connects;
    pauses += other.pauses;
    brakes += other.brakes;
    outgoing += other.outgoing;
    checks += other.checks;
}

MessageFact& Truth::begin(queue::MessageId id, std::string content, const std::vector<std::string>& addresses) {
    const Token token = static_cast<Token>(messages_.size()) + 1;
    MessageFact& message = messages_[token];
    message.token = token;
    message.id = id;
    message.content = std::move(content);
    message.begun = timeline_.now();
    message.begun_at = timeline_.wall();
    for (const std::string& address : addresses) {
        Fact fact;
        fact.address = address;
        fact.ordinal = static_cast<queue::Ordinal>(message.recipients.size());
        message.recipients.push_back(std::move(fact));
    }
    // Of a message that never became one, the id may come again after a crash.
    const auto earlier = tokens_.find(id.value());
    if (earlier != tokens_.end() && messages_.at(earlier->second).answer == MessageFact::Answer::accepted) {
        broken(1, "an id was given out twice", message, nullptr);
    }
    tokens_[id.value()] = token;
    ++counts.messages;
    counts.recipients += addresses.size();
    return message;
}

void Truth::report_made(const queue::Reporter::Case& about, const queue::Reporter::Answer& answer) {
    const queue::CommittedMessage& report = *answer.report;
    const Token token = by_id(about.envelope.id).token;
    if (by_token(token).about) {
        broken(16, "a report about a report", by_token(token), nullptr);
    }
    MessageFact& made = begin(report.envelope.id, *report.content, {report.recipients.front().address.to_string()});
    made.about = token;
    made.notice = about.notice;
    // Beside one that an operator returns there may be one whose sender nobody vouches for: it is parked.
    for (std::size_t i = 0; i < about.recipients.size(); ++i) {
        if (answer.verdicts.at(i).ruling == queue::Reporter::Ruling::report) {
            made.told.push_back(about.recipients[i].recipient.ordinal);
        }
    }
}

void Truth::report_committed(queue::MessageId id) {
    MessageFact& report = by_id(id);
    if (report.about && report.answer != MessageFact::Answer::accepted) {
        report.answer = MessageFact::Answer::accepted;
        ++counts.reports;
    }
}

void Truth::report_refused(const std::string& address) {
    for (auto& [token, message] : messages_) {
        Fact* const fact = message.about ? message.find(address) : nullptr;
        if (fact != nullptr) {
            fact->refused_for_good = true;
        }
    }
}

MessageFact& Truth::by_content(const std::string& content) {
    constexpr std::string_view field = "\r\nMessage-ID: <";
    const std::size_t at = content.find(field);
    const auto id =
        at == std::string::npos ? std::nullopt : queue::MessageId::parse(content.substr(at + field.size(), 13));
    if (!id) {
        throw Violation("10: a store got from nobody what is no report");
    }
    return by_id(*id);
}

MessageFact& Truth::by_token(Token token) {
    const auto found = messages_.find(token);
    if (found == messages_.end()) {
        throw Violation("10: a store got a message that nobody sent");
    }
    return found->second;
}

MessageFact& Truth::by_id(queue::MessageId id) {
    const auto found = tokens_.find(id.value());
    if (found == tokens_.end()) {
        throw Violation("2: message " + id.to_string() + " is in the queue, and nobody sent it");
    }
    return messages_.at(found->second);
}

Fact& Truth::fact(queue::MessageId id, queue::Ordinal ordinal) {
    MessageFact& message = by_id(id);
    if (ordinal >= message.recipients.size()) {
        broken(3, "a recipient that the message has not got", message, nullptr);
    }
    return message.recipients[ordinal];
}

void Truth::broken(int invariant, const std::string& what, const MessageFact& message, const Fact* fact) {
    std::string text = std::to_string(invariant) + ": " + what + " (message " + std::to_string(message.token) + ' ' +
                       message.id.to_string();
    if (fact != nullptr) {
        text += ", recipient " + std::to_string(fact->ordinal) + ' ' + fact->address;
    }
    throw Violation(text + ')');
}

void Truth::answered(MessageFact& message, queue::StoreStatus status) {
    if (status == queue::StoreStatus::doubtful) {
        return;  // the connection was closed
    }
    message.answer =
        status == queue::StoreStatus::stored ? MessageFact::Answer::accepted : MessageFact::Answer::refused;
    if (status == queue::StoreStatus::stored) {
        ++counts.accepted;
    }
}

void Truth::attempt_begins(queue::MessageId id, const queue::Recipient& recipient) {
    MessageFact& message = by_id(id);
    Fact& fact = this->fact(id, recipient.ordinal);
    ++counts.attempts;
    counts.checks += 4;
    report_committed(id);
    if (fact.in_flight) {
        broken(6, "tried twice at once", message, &fact);
    }
    fact.in_flight = true;
    if (message.answer == MessageFact::Answer::refused) {
        broken(2, "tried, and the client was told no", message, &fact);
    }
    if (!fact.submitted.empty() && !queue::is_schedulable(fact.submitted.back().state)) {
        broken(4, "tried, and it is on its way to be " + std::string(queue::to_string(fact.submitted.back().state)),
               message, &fact);
    }
    if (!fact.recorded) {
        return;
    }
    if (!queue::is_schedulable(fact.recorded->state)) {
        broken(4, "tried in state " + std::string(queue::to_string(fact.recorded->state)), message, &fact);
    }
    check_its_time(message, fact);
}

void Truth::check_its_time(const MessageFact& message, const Fact& fact) {
    if (fact.recorded && timeline_.wall() < fact.recorded->next_attempt_at && !fact.may_go_at_once) {
        broken(5, "tried before its time, " + queue::to_rfc3339(fact.recorded->next_attempt_at), message, &fact);
    }
}

void Truth::deferred_untried(queue::MessageId id, const queue::Recipient& recipient) {
    ++counts.checks;
    check_its_time(by_id(id), fact(id, recipient.ordinal));
}

void Truth::attempt_ends(queue::MessageId id, queue::Ordinal ordinal) { fact(id, ordinal).in_flight = false; }

void Truth::copy_made(Token token, const std::string& address, const std::string& content) {
    MessageFact& message = by_token(token);
    Fact* const fact = message.find(address);
    if (fact == nullptr) {
        broken(10, "a store got it for " + address, message, nullptr);
    }
    counts.checks += 3;
    if (message.answer == MessageFact::Answer::refused) {
        broken(2, "a store got what the client was told no about", message, fact);
    }
    if (content != message.content) {
        broken(10, "a store got other octets", message, fact);
    }
    if (fact->copy == Fact::Copy::recorded) {
        broken(7, "a recorded delivery was repeated", message, fact);
    }
    if (fact->copy == Fact::Copy::answered && fact->answered_in == life) {
        broken(7, "a delivery was repeated", message, fact);
    }
    if (fact->copy != Fact::Copy::none) {
        ++counts.explained_duplicates;
    }
    fact->copy = Fact::Copy::made;
    ++fact->copies;
    ++counts.copies;
}

void Truth::success_seen(queue::MessageId id, queue::Ordinal ordinal, std::uint64_t life_then) {
    Fact& fact = this->fact(id, ordinal);
    if (fact.copies == 0) {
        broken(8, "called delivered, and no store has it", by_id(id), &fact);
    }
    fact.copy = Fact::Copy::answered;
    fact.answered_in = life_then;
}

void Truth::submitted(const std::vector<queue::RecipientUpdate>& updates) {
    for (const queue::RecipientUpdate& update : updates) {
        Fact& fact = this->fact(update.message, update.ordinal);
        counts.checks += 3;
        const Timeline::Milliseconds lived = timeline_.now() - by_id(update.message).begun + jumped_before_;
        if (update.telling && update.telling->expired && lived + unnoticed_jump < expire) {
            broken(18, "expired after " + std::to_string(lived) + " ms", by_id(update.message), &fact);
        }
        if (update.failed && !fact.refused_for_good) {
            broken(9, "failed without a store's word: " + update.last_reply, by_id(update.message), &fact);
        }
        if (update.state == RecipientState::delivered && fact.copies == 0) {
            broken(8, "recorded as delivered, and no store has it", by_id(update.message), &fact);
        }
        fact.submitted.push_back(update);
    }
}

void Truth::recorded(const std::vector<queue::RecipientUpdate>& updates) {
    for (const queue::RecipientUpdate& update : updates) {
        Fact& fact = this->fact(update.message, update.ordinal);
        if (fact.recorded && queue::is_done(fact.recorded->state)) {
            continue;
        }
        fact.recorded = update;
        fact.may_go_at_once = false;
        if (!fact.submitted.empty()) {
            fact.submitted.erase(fact.submitted.begin());
        }
        if (update.state == RecipientState::delivered) {
            fact.copy = Fact::Copy::recorded;
        }
    }
}

void Truth::pause_ordered(const std::string& backend, bool pause) {
    pauses_[backend] = {pause ? Pause::Is::yes : Pause::Is::no, false, timeline_.now()};
    counts.pauses += pause ? 1U : 0U;
}

void Truth::orders_recorded() {
    for (auto& [backend, pause] : pauses_) {
        pause.recorded = true;
    }
}

void Truth::plan_begins(const std::string& backend) {
    ++counts.checks;
    const auto found = pauses_.find(backend);
    if (found != pauses_.end() && found->second.is == Pause::Is::yes) {
        throw Violation("17: a plan for " + backend + ", which is paused");
    }
}

bool Truth::is_surely_running(const std::string& backend, Timeline::Milliseconds since) const {
    const auto found = pauses_.find(backend);
    return found == pauses_.end() || (found->second.is == Pause::Is::no && found->second.ordered_at < since);
}

void Truth::clock_jumped(Timeline::Milliseconds by) {
    jumped_ += std::max<Timeline::Milliseconds>(0, by);
    for (auto& [token, message] : messages_) {
        for (Fact& fact : message.recipients) {
            fact.may_go_at_once = true;
        }
    }
}

void Truth::called(const std::string& address) {
    for (auto& [token, message] : messages_) {
        if (Fact* const found = message.find(address)) {
            found->may_go_at_once = true;
        }
    }
}

void Truth::crashed() {
    ++life;
    jumped_before_ += std::exchange(jumped_, 0);
    for (auto& [backend, pause] : pauses_) {
        if (!pause.recorded) {
            pause.is = Pause::Is::perhaps;
        }
    }
    for (auto& [token, message] : messages_) {
        for (Fact& fact : message.recipients) {
            fact.in_flight = false;
        }
    }
}

void Truth::found(const std::vector<queue::QueuedMessage>& queue) {
    jumped_before_ += std::exchange(jumped_, 0);  // nobody was there to notice
    std::set<Token> there;
    for (const queue::QueuedMessage& found : queue) {
        MessageFact& message = by_id(found.envelope.id);
        there.insert(message.token);
        counts.checks += 1 + found.recipients.size();
        if (message.answer == MessageFact::Answer::refused) {
            broken(2, "in the queue after a restart, and the client was told no", message, nullptr);
        }
        report_committed(found.envelope.id);
        message.answer = MessageFact::Answer::accepted;  // nobody heard the answer, but it is there: so it stays
        if (found.recipients.size() != message.recipients.size()) {
            broken(1, "recipients are missing", message, nullptr);
        }
        bool all_done = true;
        for (const queue::Recipient& row : found.recipients) {
            Fact& fact = message.recipients[row.ordinal];
            all_done = all_done && queue::is_done(row.state);
            const auto is_as = [&row, &message](const queue::RecipientUpdate& update) {
                const bool failed = update.telling && update.telling->notice == queue::Notice::failed;
                if (failed && row.state == RecipientState::waiting) {
                    return update.attempts == row.attempts && row.last_reply.ends_with(update.last_reply);  // put off
                }
                const bool is_state = update.state == row.state ||
                                      (row.state == RecipientState::returned && message.may_be_returned(update));
                return is_state && update.attempts == row.attempts && update.unknowns == row.unknowns &&
                       update.last_reply == row.last_reply;
            };
            const bool as_accepted = !fact.recorded && row.state == RecipientState::ready && row.attempts == 0;
            const bool as_said = (fact.recorded && is_as(*fact.recorded)) ||
                                 std::any_of(fact.submitted.begin(), fact.submitted.end(), is_as);
            if (row.address.to_string() != fact.address || (!as_accepted && !as_said)) {
                broken(3, "found as " + std::string(queue::to_string(row.state)) + " \"" + row.last_reply + '"',
                       message, &fact);
            }
            queue::RecipientUpdate now;
            now.message = found.envelope.id;
            now.ordinal = row.ordinal;
            now.state = row.state;
            now.attempts = row.attempts;
            now.unknowns = row.unknowns;
            now.next_attempt_at = row.next_attempt_at;
            now.last_reply = row.last_reply;
            fact.recorded = now;
            fact.submitted.clear();
            fact.may_go_at_once = false;
            if (row.state == RecipientState::delivered) {
                fact.copy = Fact::Copy::recorded;
            }
        }
        if (all_done) {
            broken(15, "all are done, and the message is still there", message, nullptr);
        }
    }
    for (auto& [token, message] : messages_) {
        if (message.answer != MessageFact::Answer::accepted || there.count(token) != 0) {
            continue;
        }
        for (Fact& fact : message.recipients) {
            ++counts.checks;
            const auto is_end = [&message = message](const queue::RecipientUpdate& update) {
                return queue::is_done(update.state) || message.may_be_returned(update);
            };
            if ((!fact.recorded || !is_end(*fact.recorded)) &&
                std::none_of(fact.submitted.begin(), fact.submitted.end(), is_end)) {
                broken(1, "accepted, not done, and gone", message, &fact);
            }
            if (!fact.recorded || !is_end(*fact.recorded)) {
                fact.recorded = *std::find_if(fact.submitted.begin(), fact.submitted.end(), is_end);
                if (!queue::is_done(fact.recorded->state)) {
                    fact.recorded->state = RecipientState::returned;
                }
            }
            fact.submitted.clear();
            if (fact.recorded->state == RecipientState::delivered) {
                fact.copy = Fact::Copy::recorded;
            }
        }
    }
}

void Truth::check_reports() {
    std::map<std::pair<Token, queue::Ordinal>, int> failures_told;
    for (const auto& [token, report] : messages_) {
        if (!report.about || report.answer != MessageFact::Answer::accepted || report.notice != queue::Notice::failed) {
            continue;
        }
        for (const queue::Ordinal ordinal : report.told) {
            ++failures_told[{*report.about, ordinal}];
        }
    }
    for (const auto& [token, message] : messages_) {
        for (const Fact& fact : message.recipients) {
            ++counts.checks;
            const bool returned = fact.recorded && fact.recorded->state == RecipientState::returned;
            const int told = failures_told[{token, fact.ordinal}];
            if (told != (returned && !message.about ? 1 : 0)) {
                broken(16, std::to_string(told) + " reports", message, &fact);
            }
            counts.returned += returned ? 1U : 0U;
        }
    }
}

void Truth::ended(const std::vector<queue::QueuedMessage>& queue) {
    found(queue);
    check_reports();
    for (const queue::QueuedMessage& left : queue) {
        for (const queue::Recipient& row : left.recipients) {
            if (queue::is_schedulable(row.state)) {
                MessageFact& message = by_id(left.envelope.id);
                broken(14, "everything is well, and it is still " + std::string(queue::to_string(row.state)), message,
                       &message.recipients[row.ordinal]);
            }
            counts.held += row.state == RecipientState::held ? 1U : 0U;
            counts.parked += row.state == RecipientState::parked ? 1U : 0U;
        }
    }
    for (const auto& [token, message] : messages_) {
        for (const Fact& fact : message.recipients) {
            counts.delivered += fact.recorded && fact.recorded->state == RecipientState::delivered ? 1U : 0U;
            counts.removed += fact.recorded && fact.recorded->state == RecipientState::removed ? 1U : 0U;
        }
    }
}

}  // namespace postern::simulation
