#include "queue/detail/record_command.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace postern::queue::detail {

namespace {

/// Who was to be returned, and finds no room for the report, is tried again after so long.
constexpr std::chrono::minutes no_room_pause{5};

void put_off(RecipientUpdate& update) {
    const Telling telling = *std::exchange(update.telling, std::nullopt);
    if (telling.notice == Notice::failed && telling.by_hand) {
        // An operator wants it returned, and never delivered.
        update.state = RecipientState::held;
        update.last_reply = "(held: the disk has no room for the report; return it again) " + update.last_reply;
    } else if (telling.notice == Notice::failed) {
        update.state = RecipientState::waiting;
        update.failed = false;
        update.next_attempt_at = telling.at + no_room_pause;
        update.last_reply = "(the disk has no room for the report) " + update.last_reply;
    }
}

Recipient as_told(Recipient row, const RecipientUpdate& update) {
    if (update.telling->changes_all) {
        row.state = update.state;
        row.attempts = update.attempts;
        row.last_reply = update.last_reply;
        row.failed = update.failed;
        row.next_attempt_at = update.next_attempt_at;
    }
    return row;
}

}  // namespace

RecordCommand::RecordCommand(std::vector<RecipientUpdate> updates, std::vector<HistoryEvent> events,
                             StoreCompletion done, const Surroundings& around)
    : updates_(std::move(updates)),
      events_(std::move(events)),
      done_(std::move(done)),
      around_(around),
      tells_(std::any_of(updates_.begin(), updates_.end(),
                         [](const RecipientUpdate& update) { return update.telling.has_value(); })) {}

void RecordCommand::execute(Tables& tables, BatchEffects& effects) {
    told_.clear();  // of a transaction that was rolled back
    put_off_ = false;
    const std::vector<RecipientUpdate> changed = tells_ ? decided(tables, effects) : std::vector<RecipientUpdate>();
    const std::vector<RecipientUpdate>& updates = tells_ ? changed : updates_;
    const RecipientUpdate* const end = updates.data() + updates.size();
    for (const RecipientUpdate* first = updates.data(); first != end;) {
        const RecipientUpdate* last = first + 1;
        while (last != end && last->message == first->message) {
            ++last;
        }
        effects.messages -= tables.apply(first, last) ? 1 : 0;
        first = last;
    }
    effects.updates += updates.size();
}

void RecordCommand::finish(StoreStatus status) {
    if (status == StoreStatus::stored) {
        events_.insert(events_.end(), std::make_move_iterator(told_.begin()), std::make_move_iterator(told_.end()));
        around_.history.add(std::move(events_));
        if (put_off_) {
            around_.put_off();
        }
    }
    done_(status);
}

std::vector<RecipientUpdate> RecordCommand::decided(Tables& tables, BatchEffects& effects) {
    std::vector<RecipientUpdate> updates = updates_;
    if (effects.no_room) {
        // They would change nothing but that somebody was told, and nobody is.
        put_off_ = std::erase_if(updates,
                                 [](const auto& update) { return update.telling && !update.telling->changes_all; }) > 0;
    }
    std::stable_sort(updates.begin(), updates.end(),
                     [](const auto& left, const auto& right) { return left.message < right.message; });
    for (auto first = updates.begin(); first != updates.end();) {
        const auto last = std::find_if(first, updates.end(),
                                       [first](const auto& update) { return update.message != first->message; });
        decide({first, last}, tables, effects);
        first = last;
    }
    return updates;
}

void RecordCommand::decide(std::span<RecipientUpdate> of_message, Tables& tables, BatchEffects& effects) {
    std::set<Ordinal> done;  // by an earlier update, or told of
    std::array<std::vector<RecipientUpdate*>, 3> asked;
    std::array<std::vector<Reporter::Told>, 3> told;
    for (RecipientUpdate& update : of_message) {
        if (!update.telling) {
            if (is_done(update.state)) {
                done.insert(update.ordinal);
            }
            continue;
        }
        if (effects.no_room) {
            put_off_ = put_off_ || update.telling->notice == Notice::failed;
            put_off(update);
            continue;
        }
        const auto row = tables.recipient(update.message, update.ordinal);
        if (!row || is_done(row->state) || !done.insert(update.ordinal).second ||
            (update.telling->notice == Notice::delayed && row->delay_told)) {
            continue;
        }
        const auto notice = static_cast<std::size_t>(update.telling->notice);
        asked.at(notice).push_back(&update);
        told.at(notice).push_back({as_told(*row, update), *update.telling});
    }
    if (around_.reporter == nullptr) {
        return;
    }
    for (const Notice notice : {Notice::failed, Notice::delayed, Notice::relayed}) {
        const auto index = static_cast<std::size_t>(notice);
        if (asked.at(index).empty()) {
            continue;
        }
        auto envelope = tables.envelope(of_message.front().message);
        if (!envelope) {
            return;
        }
        Reporter::Case about;
        about.notice = notice;
        about.envelope = std::move(*envelope);
        about.recipients = std::move(told.at(index));
        if (notice == Notice::delayed) {
            add_late(about.envelope.id, done, about.recipients, tables);
        }
        ask(std::move(about), asked.at(index), tables, effects);
    }
}

void RecordCommand::add_late(MessageId message, const std::set<Ordinal>& seen, std::vector<Reporter::Told>& told,
                             Tables& tables) {
    Telling telling = told.front().telling;
    telling.changes_all = false;
    telling.remote_mta.clear();
    for (Recipient& row : tables.untold(message)) {
        if (!seen.contains(row.ordinal)) {
            tables.mark_delay_told(message, row.ordinal);
            told.push_back({std::move(row), telling});
        }
    }
}

void RecordCommand::ask(Reporter::Case about, const std::vector<RecipientUpdate*>& updates, Tables& tables,
                        BatchEffects& effects) {
    const std::string content = tables.content_from_start(about.envelope.id, around_.reporter->content_octets_max());
    about.content = content;
    about.content_is_whole = content.size() == about.envelope.size;
    about.report_id = around_.next_id();
    Reporter::Answer answer = around_.reporter->decide(about);
    for (std::size_t i = 0; i < updates.size() && i < answer.verdicts.size(); ++i) {
        if (about.notice != Notice::failed) {
            continue;
        }
        Reporter::Verdict& verdict = answer.verdicts[i];
        const bool parked = verdict.ruling == Reporter::Ruling::park;
        updates[i]->state = parked ? RecipientState::parked : RecipientState::returned;
        if (verdict.ruling != Reporter::Ruling::report) {
            note(about, about.recipients[i], parked ? "parked" : "not_reported", std::move(verdict.why));
        }
    }
    if (answer.report) {
        queue_report(std::move(*answer.report), about, tables, effects);
    }
}

void RecordCommand::queue_report(CommittedMessage report, const Reporter::Case& about, Tables& tables,
                                 BatchEffects& effects) {
    tables.insert_message(report);
    ++effects.messages;
    HistoryEvent event;
    event.at = report.envelope.received_at;
    event.message = about.envelope.id;
    event.event = "reported";
    event.sender = about.envelope.sender.to_string();
    event.recipient = report.recipients.front().address.to_string();
    event.reply = "(" + std::string(to_action(about.notice)) + ": report " + report.envelope.id.to_string() + ')';
    event.actor = "gateway";
    told_.push_back(event);
    event.message = report.envelope.id;
    event.event = "accepted";
    event.sender.clear();
    event.backend = report.recipients.front().backend;
    event.reply = "(report about " + about.envelope.id.to_string() + ')';
    told_.push_back(std::move(event));
    report.content = around_.for_hand_over(report.content);
    effects.reports.push_back(std::make_shared<const CommittedMessage>(std::move(report)));
}

void RecordCommand::note(const Reporter::Case& about, const Reporter::Told& told, const char* what, std::string why) {
    HistoryEvent event;
    event.at = told.telling.at;
    event.message = about.envelope.id;
    event.ordinal = told.recipient.ordinal;
    event.event = what;
    event.sender = about.envelope.sender.to_string();
    event.recipient = told.recipient.address.to_string();
    event.backend = told.recipient.backend;
    event.attempt = told.recipient.attempts;
    event.reply = std::move(why);
    event.actor = "gateway";
    told_.push_back(std::move(event));
}

}  // namespace postern::queue::detail
