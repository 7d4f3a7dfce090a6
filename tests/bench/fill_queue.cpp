// postern_fill_queue FILE: fills a queue through the store's own code, to see how the gateway fares with a large one.
//
//     postern_fill_queue --recipients 1000000 --messages 500000 --domains 200 /tmp/queue.db
//
// The recipients have been tried once, were deferred, and are due over the time that --due-from and --due-to say
// (minutes from now; both may be negative: due already). Each message is accepted and then deferred as the gateway
// would do it.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <random>

#include "queue/sqlite_store.hpp"

using namespace postern;
using namespace postern::queue;

namespace {

struct Options {
    std::string file;
    std::uint64_t messages = 1000;
    std::uint64_t recipients = 1000;
    std::uint64_t domains = 100;
    std::size_t size = 1024;
    std::string domain = "example.com";
    std::string backend = "stores";
    int due_from = 1;
    int due_to = 60;
};

class Silence final : public StoreListener {
public:
    void committed(std::vector<std::shared_ptr<const CommittedMessage>>) override {}
    void batch_done() override {}
    void health_changed(const std::string& error) override { std::fprintf(stderr, "store: %s\n", error.c_str()); }
};

/// How many calls may be under way, and whether all went well.
class Flow {
public:
    void begin() {
        std::unique_lock lock(mutex_);
        room_.wait(lock, [this] { return under_way_ < under_way_max; });
        ++under_way_;
    }
    void end(StoreStatus status) {
        const std::lock_guard lock(mutex_);
        failed_ = failed_ || status != StoreStatus::stored;
        --under_way_;
        room_.notify_all();
    }
    [[nodiscard]] bool wait_for_all() {
        std::unique_lock lock(mutex_);
        room_.wait(lock, [this] { return under_way_ == 0; });
        return !failed_;
    }

private:
    static constexpr int under_way_max = 1500;
    std::mutex mutex_;
    std::condition_variable room_;
    int under_way_ = 0;
    bool failed_ = false;
};

/// The first recipients of a message in the ordinary form; what is left over goes to the last one.
std::vector<Recipient> make_recipients(const Options& options, std::uint64_t first, std::uint64_t count, Instant now) {
    std::vector<Recipient> recipients;
    for (std::uint64_t i = 0; i < count; ++i) {
        const std::uint64_t number = first + i;
        const std::string domain = number % options.domains == 0
                                       ? options.domain
                                       : fmt::format("d{}.{}", number % options.domains, options.domain);
        Recipient recipient(*mail::Mailbox::parse(fmt::format("user{}@{}", number, domain), mail::Utf8::refused));
        recipient.ordinal = static_cast<Ordinal>(i);
        recipient.backend = options.backend;
        recipient.next_attempt_at = now;
        recipients.push_back(std::move(recipient));
    }
    return recipients;
}

int fill(const Options& options) {
    const SystemClock clock;
    Silence silence;
    SqliteStoreOptions store_options;
    store_options.path = options.file;
    store_options.minimum_free_disk = 0;
    store_options.maximum_messages = UINT64_MAX;
    store_options.history = Duration(0);
    store_options.hand_over_size = 0;
    auto opened = SqliteStore::open(store_options, clock, silence);
    if (opened.has_error()) {
        std::fprintf(stderr, "%s\n", opened.error().text.c_str());
        return 1;
    }
    auto store = std::move(*opened);
    std::mt19937_64 random(1);
    const Instant now = clock.wall();
    const Duration from = std::chrono::minutes(options.due_from);
    const Duration to = std::chrono::minutes(options.due_to);
    std::uniform_int_distribution<std::int64_t> due(from.count(), std::max(from, to).count());
    Flow flow;
    std::uint64_t given = 0;
    for (std::uint64_t i = 0; i < options.messages; ++i) {
        const std::uint64_t count = options.recipients * (i + 1) / options.messages - given;
        if (count == 0) {
            continue;
        }
        auto message = store->begin();
        const MessageId id = message->id();
        Envelope envelope;
        envelope.received_at = now;
        envelope.sender = mail::ReversePath(
            *mail::Mailbox::parse(fmt::format("sender{}@example.org", i % 5000), mail::Utf8::refused));
        envelope.client = {fmt::format("192.0.2.{}", i % 250 + 1), "client.example.org", "", "ESMTP"};
        auto recipients = make_recipients(options, given, count, now);
        given += count;
        std::vector<RecipientUpdate> updates;
        for (const Recipient& recipient : recipients) {
            RecipientUpdate update;
            update.message = id;
            update.ordinal = recipient.ordinal;
            update.state = RecipientState::waiting;
            update.attempts = 1;
            update.next_attempt_at = now + Duration(due(random));
            update.backend = recipient.backend;
            update.last_reply = "451 4.3.0 Temporary failure, please try again later";
            updates.push_back(std::move(update));
        }
        std::string content = fmt::format("Subject: message {}\r\n\r\n", i);
        content.append(options.size > content.size() ? options.size - content.size() : 0, 'x');
        flow.begin();
        message->commit(std::move(envelope), std::move(recipients), std::move(content),
                        [&flow](StoreStatus status) { flow.end(status); });
        flow.begin();
        store->record(std::move(updates), {}, [&flow](StoreStatus status) { flow.end(status); });
    }
    if (!flow.wait_for_all()) {
        std::fprintf(stderr, "the store refused a part\n");
        return 1;
    }
    return 0;
}

}  // namespace

int main(int count, char** arguments) {
    Options options;
    CLI::App app("Fills a queue with deferred mail");
    app.add_option("FILE", options.file)->required();
    app.add_option("--messages", options.messages)->check(CLI::Range(std::uint64_t{1}, std::uint64_t{100'000'000}));
    app.add_option("--recipients", options.recipients, "in all; spread over the messages");
    app.add_option("--domains", options.domains, "domain, d1.domain, d2.domain ...")
        ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000}));
    app.add_option("--domain", options.domain);
    app.add_option("--backend", options.backend);
    app.add_option("--size", options.size, "octets of each message");
    app.add_option("--due-from", options.due_from, "minutes from now");
    app.add_option("--due-to", options.due_to, "minutes from now");
    CLI11_PARSE(app, count, arguments);
    return fill(options);
}
