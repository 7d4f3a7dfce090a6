// What the process does with its store: opening it, accepting into it, asking it, and hearing from its thread.
#include <algorithm>
#include <utility>

#include "process.hpp"
#include "queue/reader.hpp"

namespace postern::simulation {

using delivery::Recording;
using queue::StoreStatus;

bool Process::begin() {
    queue::SqliteStoreOptions options;
    options.path = around_.queue_path;
    options.minimum_free_disk = 0;
    options.by_hand = true;
    options.hand_over_budget = 4096;
    options.checkpoint_pages = 32;
    options.stretch = 3;  // so that everything happens between two of them
    options.reporter = this;
    auto opened = queue::SqliteStore::open(options, around_.timeline, *this);
    if (opened.has_error()) {
        if (!around_.disk.is_down() && opened.error().kind != queue::OpenError::Kind::io) {
            throw Violation("1: the queue cannot be opened: " + opened.error().text);
        }
        around_.trace("cannot open: " + opened.error().text);
        return false;
    }
    store_ = std::move(*opened);
    recording_since_ = around_.timeline.now();
    take_marks();
    return true;
}

std::optional<std::vector<queue::QueuedMessage>> Process::read_all() {
    auto opened = queue::open_reader(around_.queue_path);
    if (opened.has_error()) {
        if (!around_.disk.is_down() && opened.error().kind != queue::OpenError::Kind::io) {
            throw Violation("1: the queue cannot be read: " + opened.error().text);
        }
        return std::nullopt;
    }
    reader_ = std::move(*opened);
    std::vector<queue::QueuedMessage> all;
    const auto listed =
        reader_->list(queue::Filter(), around_.timeline.wall(), [&all](const queue::QueuedMessage& message) {
            all.push_back(message);
            return true;
        });
    if (listed.has_error()) {
        if (listed.error() == queue::ReadError::damaged) {
            throw Violation("1: the queue is damaged: " + reader_->last_error());
        }
        return std::nullopt;
    }
    for (const queue::QueuedMessage& message : all) {
        const auto verdict = reader_->verify(message.envelope.id);
        if (verdict.has_error() && verdict.error() != queue::ReadError::failed) {
            throw Violation("1: message " + message.envelope.id.to_string() + " is damaged: " + reader_->last_error());
        }
    }
    return all;
}

// ---- The store's thread ----

void Process::after_store(std::function<void()> what) {
    last_from_store_ = std::max(last_from_store_, around_.timeline.now() + around_.random.between(0, 3));
    life_.later(last_from_store_ - around_.timeline.now(), std::move(what));
}

void Process::work_soon() {
    if (!std::exchange(work_pending_, true)) {
        life_.later(around_.random.between(0, 5), [this] {
            work_pending_ = false;
            if (around_.random.chance(20)) {
                store_->work(false);
                work_soon();
                return;
            }
            if (store_->work(true)) {
                work_soon();
            }
            life_.later(around_.random.between(1, 100), [this] { store_->work_on_history(); });
            if (!healthy_) {
                life_.later(300, [this] { work_soon(); });
            }
        });
    }
}

void Process::committed(std::vector<std::shared_ptr<const queue::CommittedMessage>> messages) {
    if (around_.disk.is_down()) {
        return;
    }
    for (const auto& message : messages) {
        around_.truth.report_committed(message->envelope.id);
    }
    after_store([this, messages = std::move(messages)] {
        for (const auto& message : messages) {
            scheduler_.committed(message, now());
        }
        pump_soon();
    });
}

void Process::health_changed(const std::string& error) {
    healthy_ = error.empty();
    around_.trace(error.empty() ? "store: well again" : "store: closed: " + error);
    if (!error.empty()) {
        return;
    }
    recording_since_ = around_.timeline.now();
    after_store([this] {
        for (const auto& [name, backend] : options_.backends) {
            scheduler_.look(name);
        }
        pump_soon();
    });
}

void Process::put_off() {
    after_store([this] {
        scheduler_.has_no_room(now());
        pump_soon();
    });
}

queue::Reporter::Answer Process::decide(const Case& about) {
    Answer answer = reporter_.decide(about);
    if (answer.report) {
        around_.truth.report_made(about, answer);
    }
    return answer;
}

std::optional<std::vector<queue::RecipientUpdate>> Process::as_recorded(
    const std::vector<queue::RecipientUpdate>& updates) {
    std::vector<queue::RecipientUpdate> recorded;
    for (queue::RecipientUpdate update : updates) {
        const auto telling = std::exchange(update.telling, std::nullopt);
        if (telling && !telling->changes_all) {
            continue;
        }
        if (telling && telling->notice == queue::Notice::failed) {
            auto opened = queue::open_reader(around_.queue_path);
            if (opened.has_error()) {
                return std::nullopt;
            }
            const auto message = (*opened)->find(update.message);
            if (message.has_error() && message.error() != queue::ReadError::not_found) {
                return std::nullopt;
            }
            update.state = queue::RecipientState::returned;
            if (message.has_value()) {
                const queue::Recipient& row = message->recipients.at(update.ordinal);
                update.state = row.state;
                update.next_attempt_at = row.next_attempt_at;
                update.last_reply = row.last_reply;
            }
        }
        recorded.push_back(std::move(update));
    }
    return recorded;
}

void Process::take_marks() {
    store_->load_marks([this](Result<std::vector<queue::BackendMark>, StoreStatus> marks) {
        if (around_.disk.is_down()) {
            return;
        }
        auto answer = std::make_shared<Result<std::vector<queue::BackendMark>, StoreStatus>>(std::move(marks));
        after_store([this, answer] {
            if (answer->has_error()) {
                life_.later(1000, [this] { take_marks(); });
                return;
            }
            for (const queue::BackendMark& mark : **answer) {
                if (mark.kind == queue::BackendMark::Kind::brake) {
                    braked_.insert(mark.backend);
                }
            }
            scheduler_.begin(**answer, now());
            pump_soon();
        });
    });
    work_soon();
}

void Process::load_old(const std::string& backend, queue::MessageId before, std::size_t limit) {
    store_->load_old(backend, before, limit, [this, backend](Result<queue::DuePage, StoreStatus> page) {
        if (around_.disk.is_down()) {
            return;
        }
        auto answer = std::make_shared<queue::DuePage>();
        if (page.has_value()) {
            *answer = std::move(*page);
        }
        after_store([this, backend, answer] {
            scheduler_.loaded_old(backend, std::move(*answer), now());
            pump_soon();
        });
    });
    work_soon();
}

void Process::load_late(const std::string& backend, queue::MessageId after, queue::MessageId before,
                        std::size_t limit) {
    store_->load_late(backend, after, before, limit, [this, backend](Result<queue::DuePage, StoreStatus> page) {
        if (around_.disk.is_down()) {
            return;
        }
        auto answer = std::make_shared<queue::DuePage>();
        if (page.has_value()) {
            *answer = std::move(*page);
        }
        after_store([this, backend, answer] {
            scheduler_.loaded_late(backend, std::move(*answer), now());
            pump_soon();
        });
    });
    work_soon();
}

void Process::call_waiting(const std::string& backend, const std::string& mailbox, queue::Instant at,
                           std::size_t limit) {
    // Behind the results that are being gathered.
    life_.later(0, [this, backend, mailbox, at, limit] {
        ledger_.send();
        store_->call_waiting(backend, mailbox, at, limit,
                             [this, backend, mailbox, limit](Result<std::size_t, StoreStatus> count) {
                                 if (around_.disk.is_down()) {
                                     return;
                                 }
                                 const std::size_t called = count.has_value() ? *count : 0;
                                 if (called > 0) {
                                     around_.truth.called(mailbox);
                                 }
                                 after_store([this, backend, mailbox, called, limit] {
                                     scheduler_.called(backend, mailbox, called, limit);
                                     pump_soon();
                                 });
                             });
        work_soon();
    });
}

void Process::survey() {
    life_.later(around_.random.between(0, 5), [this] {
        auto opened = queue::open_reader(around_.queue_path);
        if (opened.has_value()) {
            const auto survey = (*opened)->backlog();
            if (survey.has_value()) {
                if (!survey->miscount.is_none()) {
                    throw Violation("the store has counted wrong: " + survey->miscount.describe());
                }
                scheduler_.surveyed(survey->cells, now());
                pump_soon();
                return;
            }
        }
        scheduler_.survey_failed(now());
        pump_soon();
    });
}

void Process::reassign(const std::string& from, const queue::DomainMoves& moves) {
    store_->reassign(from, moves, [this, moves](Result<std::size_t, StoreStatus> count) {
        if (around_.disk.is_down()) {
            return;
        }
        const std::optional<std::size_t> moved = count.has_value() ? std::optional(*count) : std::nullopt;
        after_store([this, moves, moved] {
            scheduler_.reassigned(moves, moved, now());
            pump_soon();
        });
    });
    work_soon();
}

void Process::load(const std::string& backend, queue::Instant until, std::optional<queue::DueKey> after,
                   std::size_t limit) {
    store_->load_due(backend, until, after, limit, [this, backend](Result<queue::DuePage, StoreStatus> page) {
        if (around_.disk.is_down()) {
            return;
        }
        auto answer = std::make_shared<Result<queue::DuePage, StoreStatus>>(std::move(page));
        after_store([this, backend, answer] {
            if (answer->has_value()) {
                scheduler_.loaded(backend, std::move(**answer), now());
            } else {
                scheduler_.load_failed(backend, now());
            }
            pump_soon();
        });
    });
    work_soon();
}

void Process::record(queue::RecipientUpdate update, std::optional<queue::HistoryEvent> event) {
    ledger_.record(std::move(update), std::move(event));
}

void Process::record_at_end(std::uint64_t plan, queue::RecipientUpdate update, queue::HistoryEvent event) {
    ledger_.record_at_end(plan, std::move(update), std::move(event));
}

void Process::submit(const std::shared_ptr<Recording>& recording) {
    if (!recording->refused) {
        around_.truth.submitted(recording->updates);
    }
    delivery::submit_to(*store_, *recording, [this, recording](StoreStatus status) {
        if (around_.disk.is_down()) {
            return;
        }
        if (status == StoreStatus::stored) {
            if (const auto recorded = as_recorded(recording->updates)) {
                around_.truth.recorded(*recorded);
            }
        }
        after_store([this, recording, status] {
            ledger_.recorded(recording, status);
            scheduler_.set_recording(ledger_.is_recording());
            if (ledger_.is_recording()) {
                recording_since_ = std::max(recording_since_, recording->refused ? around_.timeline.now() : 0);
            }
            if (ledger_.is_refused()) {
                life_.later(1000, [this] { ledger_.again(); });
            }
            pump_soon();
        });
    });
    work_soon();
}

// ---- Accepting ----

void Process::accept(const std::vector<queue::Recipient>& recipients, std::size_t parts, const std::string& body,
                     const std::string& from, queue::Origin origin) {
    if (store_->admit(0) != StoreStatus::stored) {
        return;
    }
    std::unique_ptr<queue::IncomingMessage> message = store_->begin();
    const queue::MessageId id = message->id();
    incoming_[id.value()] = std::move(message);
    std::vector<std::string> addresses;
    for (const queue::Recipient& recipient : recipients) {
        addresses.push_back(recipient.address.to_string());
    }
    MessageFact& fact = around_.truth.begin(id, body, addresses);
    fact.is_trusted = origin == queue::Origin::trusted;
    queue::Envelope envelope;
    envelope.origin = origin;
    envelope.received_at = around_.timeline.wall();
    envelope.sender =
        mail::ReversePath(*mail::Mailbox::parse("t" + std::to_string(fact.token) + '@' + from, mail::Utf8::refused));
    envelope.client.protocol = "ESMTP";
    append(id, parts, Sending{std::move(envelope), recipients, body});
}

void Process::append(queue::MessageId id, std::size_t parts, const Sending& rest) {
    queue::IncomingMessage& message = *incoming_.at(id.value());
    const auto answer = [this, id](StoreStatus status) {
        if (!around_.disk.is_down()) {
            around_.truth.answered(around_.truth.by_id(id), status);
            life_.later(0, [this, id] { incoming_.erase(id.value()); });
        }
    };
    if (parts == 0) {
        message.commit(rest.envelope, rest.recipients, rest.content, answer);
        return work_soon();
    }
    const std::size_t size = rest.content.size() / 2;
    Sending left = rest;
    left.content.erase(0, size);
    message.append(rest.content.substr(0, size), [this, id, parts, answer, left](StoreStatus status) {
        if (around_.disk.is_down()) {
            return;
        }
        if (status != StoreStatus::stored || around_.random.chance(5)) {
            return answer(StoreStatus::failed);  // or the client is gone: then it must not become a message either
        }
        life_.later(around_.random.between(0, 2000), [this, id, parts, left] { append(id, parts - 1, left); });
    });
    work_soon();
}

}  // namespace postern::simulation
