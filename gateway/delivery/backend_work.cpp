#include "gateway/delivery/backend_work.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "gateway/delivery/balance.hpp"

namespace postern::delivery {

namespace {

/// The line of a recipient's home: of the endpoints that are well, or else of those that hang, the one with the
/// greatest weight.
ReadyQueue& home_of(BackendWork& backend, const mail::Mailbox& recipient) {
    const std::uint64_t key = sticky_key(recipient);
    EndpointWork* home = nullptr;
    std::uint64_t greatest = 0;
    for (EndpointWork& work : backend.endpoints) {
        if (!work.circuit.is_closed() || (home != nullptr && work.hangs && !home->hangs)) {
            continue;
        }
        const std::uint64_t weight = sticky_weight(key, work.name);
        if (home == nullptr || (home->hangs && !work.hangs) || weight > greatest) {
            home = &work;
            greatest = weight;
        }
    }
    return home == nullptr ? backend.ready : home->own;
}

}  // namespace

queue::DueKey just_before(queue::DueKey key) {
    if (key.ordinal > 0) {
        --key.ordinal;
    } else {
        key.message = queue::MessageId(key.message.value() - 1);
        key.ordinal = std::numeric_limits<queue::Ordinal>::max();
    }
    return key;
}

queue::DueKey just_behind(queue::DueKey key) {
    if (key.ordinal < std::numeric_limits<queue::Ordinal>::max()) {
        ++key.ordinal;
    } else {
        key.message = queue::MessageId(key.message.value() + 1);
        key.ordinal = 0;
    }
    return key;
}

std::size_t BackendWork::queued_of(queue::MessageId message) const {
    std::size_t sum = ready.recipients_of(message) + destinations.recipients_of(message);
    for (const EndpointWork& work : endpoints) {
        sum += work.own.recipients_of(message);
    }
    return sum;
}

void BackendWork::enqueue(Batch batch) {
    if (options.is_by_domain()) {
        destinations.add(std::move(batch));
        return;
    }
    if (options.balance != Balance::sticky) {
        ready.add(std::move(batch));
        return;
    }
    std::map<ReadyQueue*, Batch> parts;
    for (queue::Recipient& recipient : batch.recipients) {
        Batch& part = parts[&home_of(*this, recipient.address)];
        part.recipients.push_back(std::move(recipient));
    }
    for (auto& [line, part] : parts) {
        part.message = batch.message;
        part.received_at = batch.received_at;
        part.size = batch.size;
        part.fresh = batch.fresh;
        line->add(std::move(part));
    }
}

std::vector<Batch> BackendWork::take_all() {
    std::vector<Batch> all;
    const auto drain = [&all](ReadyQueue& line) {
        for (Batch& batch : line.take_all()) {
            all.push_back(std::move(batch));
        }
    };
    drain(ready);
    for (Batch& batch : destinations.take_all()) {
        all.push_back(std::move(batch));
    }
    for (EndpointWork& work : endpoints) {
        drain(work.own);
    }
    for (auto& [mailbox, batches] : std::exchange(blocked, {})) {
        for (Batch& batch : batches) {
            all.push_back(std::move(batch));
        }
    }
    blocked_count = 0;
    return all;
}

void BackendWork::find_homes_anew() {
    if (options.balance != Balance::sticky) {
        return;
    }
    auto waits_for_mailbox = std::exchange(blocked, {});
    const std::size_t count = std::exchange(blocked_count, 0);
    for (Batch& batch : take_all()) {
        enqueue(std::move(batch));
    }
    blocked = std::move(waits_for_mailbox);
    blocked_count = count;
}

void BackendWork::look_who_hangs(queue::SteadyInstant now) {
    bool changed = false;
    for (EndpointWork& work : endpoints) {
        const bool hangs = work.circuit.is_closed() && work.is_silent(now, hung_after);
        changed = changed || hangs != work.hangs;
        work.hangs = hangs;
    }
    if (changed) {
        find_homes_anew();
    }
}

void BackendWork::missing(const queue::DueKey& key) { go_back_to(just_before(key)); }

void BackendWork::missing_somewhere() { go_back_to({}); }

void BackendWork::go_back_to(const queue::DueKey& key) {
    more = true;
    if (loading && (!rewind || key < *rewind)) {
        rewind = key;
    }
    if (cursor && key < *cursor) {
        cursor = key;
    }
}

void BackendWork::leave_out(const LeftOut& these) {
    const auto [known, is_new] = left_out.emplace(these.message.value(), these);
    if (!is_new) {
        known->second.first = std::min(known->second.first, these.first);
        known->second.last = std::max(known->second.last, these.last);
    }
}

void BackendWork::has_room_again(queue::MessageId message) {
    const auto found = left_out.find(message.value());
    if (found != left_out.end()) {
        refills.push_back(found->second);
        left_out.erase(found);
    }
}

}  // namespace postern::delivery
