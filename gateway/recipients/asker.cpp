#include "gateway/recipients/asker.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <future>
#include <random>
#include <set>
#include <thread>
#include <utility>

namespace postern::recipients {

namespace asio = boost::asio;
using lmtp_client::Endpoint;
using lmtp_client::Fate;
using lmtp_client::Trouble;
using queue::SteadyInstant;

namespace {

constexpr std::chrono::milliseconds reply_patience{10'000};  // behind `timeout` nobody waits, but the book may learn
constexpr std::chrono::minutes age_max{5};
constexpr int tries_max = 2;

}  // namespace

class Asker::Impl {
public:
    Impl(Book& book, AbilityBoard& abilities, const queue::Clock& clock, OnChange on_change, std::uint64_t seed)
        : book_(book),
          abilities_(abilities),
          clock_(clock),
          on_change_(std::move(on_change)),
          random_(seed),
          work_(context_.get_executor()),
          timer_(context_),
          client_(lmtp_client::make_client(context_.get_executor())),
          thread_([this] { context_.run(); }) {}
    ~Impl() { stop(); }

    void reconfigure(AskerOptions options);
    void put(const std::string& backend, const mail::Mailbox& address, std::vector<mail::Mailbox> ahead,
             Check::Done done);
    void leave_alone(const std::string& backend, bool on);
    void stop();

private:
    struct Question {
        explicit Question(mail::Mailbox what) : address(std::move(what)) {}
        mail::Mailbox address;
        std::vector<Check::Done> waiting;
        SteadyInstant give_up{};  ///< of the first that waits
        int tries = 0;
    };
    struct Rest {
        std::chrono::seconds pause{0};  ///< 0: it is well
        SteadyInstant until{};
    };
    struct Backend {
        AskedBackend options;
        std::map<std::string, Question> questions;  ///< by Book::spelling()
        std::deque<std::string> queue;              ///< of these, what is not being asked
        std::map<Endpoint, Rest> rests;
        std::map<Endpoint, std::uint32_t> at_work;
        bool left_alone = false;
        std::uint32_t running = 0;
        std::size_t turn = 0;
    };
    /// Tells each answer on as it comes. The first slots are samples, one for each of their domains.
    class Answers final : public lmtp_client::OutcomeSink {
    public:
        Answers(Impl& asker, const std::string& backend, const std::vector<mail::Mailbox>& samples,
                const std::vector<std::string>& keys)
            : asker_(asker), backend_(backend), samples_(samples), keys_(keys) {}
        void outcome(std::size_t slot, lmtp_client::Outcome outcome) override;
        /// Some were answered, or there was nothing that could be asked: the store is not to blame.
        [[nodiscard]] bool any() const { return samples_answered_ + answered_ + unaskable_ > 0; }
        [[nodiscard]] std::size_t answered() const { return answered_; }

    private:
        Impl& asker_;
        const std::string& backend_;
        const std::vector<mail::Mailbox>& samples_;
        const std::vector<std::string>& keys_;
        std::size_t samples_answered_ = 0;
        std::size_t answered_ = 0;
        std::size_t unaskable_ = 0;  ///< by what the store said that it can do
    };

    void take(const std::string& name, const mail::Mailbox& address, const std::vector<mail::Mailbox>& ahead,
              Check::Done done);
    void pump(const std::string& name, Backend& backend);
    [[nodiscard]] const Endpoint* choose(Backend& backend);
    void begin(const std::string& name, Backend& backend, Endpoint endpoint);
    asio::awaitable<void> run(std::string name, Endpoint endpoint, std::vector<std::string> keys,
                              std::vector<mail::Mailbox> samples, std::vector<mail::Mailbox> recipients);
    void ended(const std::string& name, const Endpoint& endpoint, const std::vector<std::string>& keys,
               const lmtp_client::TransactionEnd& end, const Answers& answers);
    void answered(const std::string& name, const std::string& key, const mail::Reply& reply);
    void settle(const std::string& name, Backend& backend, const std::string& key,
                const std::optional<Verdict>& verdict);
    void give_up_all(const std::string& name, Backend& backend);
    void rest(const std::string& name, Backend& backend, const Endpoint& endpoint, const std::string& why);
    void set_timer();
    void look_at_time();
    [[nodiscard]] mail::Mailbox sample_of(const std::string& domain);
    [[nodiscard]] lmtp_client::ClientOptions client_options(const AskedBackend& backend) const;

    Book& book_;
    AbilityBoard& abilities_;
    const queue::Clock& clock_;
    const OnChange on_change_;
    std::mt19937_64 random_;
    AskerOptions options_;
    bool timer_runs_ = false;
    std::atomic<bool> stopped_{false};
    asio::io_context context_{1};
    std::map<std::string, Backend> backends_;
    std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work_;
    asio::steady_timer timer_;
    std::unique_ptr<lmtp_client::Client> client_;
    std::thread thread_;  // last: it uses all of the above
};

// ---- From outside ----

void Asker::Impl::reconfigure(AskerOptions options) {
    asio::post(context_, [this, options = std::move(options)]() mutable {
        options_ = std::move(options);
        for (auto& [name, backend] : backends_) {
            give_up_all(name, backend);
            backend.options = {};
            backend.rests.clear();
        }
        for (const auto& [name, asked] : options_.backends) {
            backends_[name].options = asked;
        }
        client_->close_idle();
    });
}

void Asker::Impl::put(const std::string& backend, const mail::Mailbox& address, std::vector<mail::Mailbox> ahead,
                      Check::Done done) {
    if (stopped_) {
        if (done) {
            done(book_.without_answer(backend, address));
        }
        return;
    }
    asio::post(context_, [this, backend, address, ahead = std::move(ahead), done = std::move(done)]() mutable {
        take(backend, address, ahead, std::move(done));
    });
}

void Asker::Impl::leave_alone(const std::string& backend, bool on) {
    asio::post(context_, [this, backend, on] { backends_[backend].left_alone = on; });
}

void Asker::Impl::stop() {
    if (!thread_.joinable()) {
        return;
    }
    stopped_ = true;
    // What was posted before comes before; what comes after finds it stopped, here or on the thread.
    asio::post(context_, [this] {
        for (auto& [name, backend] : backends_) {
            give_up_all(name, backend);
        }
        client_->close_idle();
        work_.reset();
        asio::post(context_, [this] { context_.stop(); });
    });
    thread_.join();
    // A question that was being posted meanwhile.
    context_.restart();
    context_.poll();
}

// ---- Questions ----

void Asker::Impl::take(const std::string& name, const mail::Mailbox& address, const std::vector<mail::Mailbox>& ahead,
                       Check::Done done) {
    const auto found = backends_.find(name);
    if (found == backends_.end() || found->second.options.endpoints.empty() || stopped_) {
        if (done) {
            done(book_.without_answer(name, address));
        }
        return;
    }
    Backend& backend = found->second;
    const auto add = [&](const mail::Mailbox& what, Check::Done tell) {
        std::string key = Book::spelling(what);
        const auto asked = backend.questions.find(key);
        if (asked == backend.questions.end() && backend.questions.size() >= waiting_max) {
            if (tell) {
                tell(book_.without_answer(name, what));
            }
            return;
        }
        const auto place = asked != backend.questions.end() ? asked : backend.questions.try_emplace(key, what).first;
        if (asked == backend.questions.end()) {
            backend.queue.push_back(std::move(key));
        }
        if (tell) {
            if (place->second.waiting.empty()) {
                place->second.give_up = clock_.steady() + options_.timeout;
            }
            place->second.waiting.push_back(std::move(tell));
        }
    };
    const queue::Instant now = clock_.wall();
    // Of one that was asked about with those ahead, the answer may have come while this question was on its way.
    auto known = done ? book_.look(name, address, now).verdict : std::nullopt;
    if (known) {
        done(*known);
    } else {
        add(address, std::move(done));
    }
    for (const mail::Mailbox& next : ahead) {
        if (!book_.knows(name, next, now)) {
            add(next, {});
        }
    }
    pump(name, backend);
    set_timer();
}

void Asker::Impl::pump(const std::string& name, Backend& backend) {
    while (backend.running < options_.connections && !backend.queue.empty()) {
        const Endpoint* const endpoint = choose(backend);
        if (endpoint == nullptr) {
            const auto queue = std::exchange(backend.queue, {});
            for (const std::string& key : queue) {
                settle(name, backend, key, std::nullopt);
            }
            return;
        }
        begin(name, backend, *endpoint);
    }
}

/// Puts what waits longest to the endpoint.
void Asker::Impl::begin(const std::string& name, Backend& backend, Endpoint endpoint) {
    const queue::Instant now = clock_.wall();
    std::vector<std::string> keys;
    std::vector<mail::Mailbox> asked;
    std::set<std::string> domains;
    std::vector<mail::Mailbox> samples;
    while (!backend.queue.empty() && keys.size() < recipients_max) {
        std::string key = std::move(backend.queue.front());
        backend.queue.pop_front();
        const auto found = backend.questions.find(key);
        if (found == backend.questions.end()) {
            continue;
        }
        ++found->second.tries;
        const mail::Mailbox& address = found->second.address;
        const std::string domain = address.domain_key();
        if (domains.insert(domain).second && book_.wants_sample(name, domain, now)) {
            samples.push_back(sample_of(domain));
        }
        asked.push_back(address);
        keys.push_back(std::move(key));
    }
    if (keys.empty()) {
        return;
    }
    // Samples first: once they are known the book can judge the others.
    std::vector<mail::Mailbox> recipients = samples;
    recipients.insert(recipients.end(), asked.begin(), asked.end());
    ++backend.running;
    ++backend.at_work[endpoint];
    auto task = run(name, std::move(endpoint), std::move(keys), std::move(samples), std::move(recipients));
    asio::co_spawn(context_, std::move(task), [](const std::exception_ptr&) {});  // it keeps its own
}

/// The one with the least to do, in turn, or the first; not one that rests. nullptr: all do.
const Endpoint* Asker::Impl::choose(Backend& backend) {
    const auto& endpoints = backend.options.endpoints;
    const SteadyInstant now = clock_.steady();
    const Endpoint* best = nullptr;
    std::uint32_t least = 0;
    if (backend.left_alone) {
        return nullptr;
    }
    const std::size_t first = backend.options.in_order ? 0 : ++backend.turn;
    for (std::size_t i = 0; i < endpoints.size(); ++i) {
        const Endpoint& endpoint = endpoints[(first + i) % endpoints.size()];
        const auto resting = backend.rests.find(endpoint);
        if (resting != backend.rests.end() && now < resting->second.until) {
            continue;
        }
        const std::uint32_t busy = backend.at_work[endpoint];
        if (best == nullptr || (busy < least && !backend.options.in_order)) {
            best = &endpoint;
            least = busy;
        }
    }
    return best;
}

mail::Mailbox Asker::Impl::sample_of(const std::string& domain) {
    static constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz0123456789";
    std::string local = "no-such-mailbox-";
    for (int i = 0; i < 12; ++i) {
        local += letters[random_() % letters.size()];
    }
    return *mail::Mailbox::parse(local + '@' + domain, mail::Utf8::allowed);
}

lmtp_client::ClientOptions Asker::Impl::client_options(const AskedBackend& backend) const {
    lmtp_client::ClientOptions options;
    options.hostname = options_.hostname;
    options.security = backend.security;
    options.connect_timeout = std::min(backend.connect_timeout, reply_patience);
    options.reply_timeout = std::min(backend.reply_timeout, reply_patience);
    options.transaction_timeout = 2 * reply_patience;
    options.age_max = age_max;
    return options;
}

asio::awaitable<void> Asker::Impl::run(std::string name, Endpoint endpoint, std::vector<std::string> keys,
                                       std::vector<mail::Mailbox> samples, std::vector<mail::Mailbox> recipients) {
    Answers answers(*this, name, samples, keys);
    lmtp_client::ClientOptions options = client_options(backends_.at(name).options);  // a backend is never removed
    lmtp_client::TransactionEnd end;
    try {
        lmtp_client::TransactionEnd ran =
            co_await client_->ask(endpoint, std::move(recipients), answers, std::move(options));
        end = std::move(ran);
    } catch (const std::exception& error) {
        end.trouble = Trouble::broken;
        end.detail = error.what();
    }
    end.lease.reset();
    ended(name, endpoint, keys, end, answers);
}

void Asker::Impl::Answers::outcome(std::size_t slot, lmtp_client::Outcome outcome) {
    if (outcome.fate != Fate::replied || !outcome.of_its_own) {
        unaskable_ += outcome.fate == Fate::unable ? 1 : 0;
        return;
    }
    if (slot < samples_.size()) {
        ++samples_answered_;
        asker_.book_.heard_of_sample(backend_, samples_[slot].domain_key(), outcome.reply, asker_.clock_.wall());
    } else {
        ++answered_;
        asker_.answered(backend_, keys_.at(slot - samples_.size()), outcome.reply);
    }
}

void Asker::Impl::answered(const std::string& name, const std::string& key, const mail::Reply& reply) {
    Backend& backend = backends_.at(name);
    const auto found = backend.questions.find(key);
    if (found == backend.questions.end()) {
        return;
    }
    const auto verdict = book_.heard(name, found->second.address, reply, Book::Source::asked, clock_.wall());
    settle(name, backend, key, verdict);
}

/// nullopt: there is no answer.
void Asker::Impl::settle(const std::string& name, Backend& backend, const std::string& key,
                         const std::optional<Verdict>& verdict) {
    const auto found = backend.questions.find(key);
    if (found == backend.questions.end()) {
        return;
    }
    const Question question = std::move(found->second);
    backend.questions.erase(found);
    if (question.waiting.empty()) {
        return;
    }
    const Verdict told = verdict ? *verdict : book_.without_answer(name, question.address);
    for (const Check::Done& done : question.waiting) {
        done(told);
    }
}

void Asker::Impl::ended(const std::string& name, const Endpoint& endpoint, const std::vector<std::string>& keys,
                        const lmtp_client::TransactionEnd& end, const Answers& answers) {
    Backend& backend = backends_.at(name);
    --backend.running;
    --backend.at_work[endpoint];
    if (end.abilities) {
        abilities_.learned(name, endpoint, *end.abilities, clock_.steady());
    }
    // Some stores hang up on a session that has asked for too many unknown names. They answer a new one.
    const bool only_parted = end.trouble == Trouble::shutting_down && (end.reused || answers.any());
    if (end.trouble != Trouble::none && !only_parted) {
        rest(name, backend, endpoint, end.detail);
    } else if (!answers.any() && !only_parted) {
        rest(name, backend, endpoint, "it answers no question about recipients");
    } else if (answers.any() && backend.rests.erase(endpoint) > 0 && on_change_) {
        on_change_(name, endpoint.to_string(), {});
    }
    for (const std::string& key : keys) {
        const auto left = backend.questions.find(key);
        if (left == backend.questions.end()) {
            continue;
        }
        // Not answered: another endpoint is tried. Or it was too many at once: then some were, and the rest follows.
        const bool makes_progress = end.trouble == Trouble::none && answers.answered() > 0;
        if ((left->second.tries < tries_max || makes_progress) && !left->second.waiting.empty()) {
            backend.queue.push_back(key);
        } else {
            settle(name, backend, key, std::nullopt);
        }
    }
    pump(name, backend);
}

void Asker::Impl::rest(const std::string& name, Backend& backend, const Endpoint& endpoint, const std::string& why) {
    const bool is_known = std::find(backend.options.endpoints.begin(), backend.options.endpoints.end(), endpoint) !=
                          backend.options.endpoints.end();
    if (!is_known) {
        return;
    }
    Rest& rest = backend.rests[endpoint];
    const bool is_new = rest.pause.count() == 0;
    rest.pause = is_new ? rest_first : std::min(rest.pause * 2, rest_max);
    rest.until = clock_.steady() + rest.pause;
    if (is_new && on_change_) {
        on_change_(name, endpoint.to_string(), why);
    }
}

void Asker::Impl::give_up_all(const std::string& name, Backend& backend) {
    backend.queue.clear();
    while (!backend.questions.empty()) {
        const std::string key = backend.questions.begin()->first;
        settle(name, backend, key, std::nullopt);
    }
}

// ---- Time ----

void Asker::Impl::set_timer() {
    if (timer_runs_) {
        return;
    }
    std::optional<SteadyInstant> first;
    for (const auto& [name, backend] : backends_) {
        for (const auto& [key, question] : backend.questions) {
            if (!question.waiting.empty() && (!first || question.give_up < *first)) {
                first = question.give_up;
            }
        }
    }
    if (!first) {
        return;
    }
    timer_runs_ = true;
    timer_.expires_at(*first);
    timer_.async_wait([this](const boost::system::error_code& error) {
        timer_runs_ = false;
        if (!error) {
            look_at_time();
            set_timer();
        }
    });
}

void Asker::Impl::look_at_time() {
    const SteadyInstant now = clock_.steady();
    for (auto& [name, backend] : backends_) {
        bool late = false;
        for (auto& [key, question] : backend.questions) {
            if (question.waiting.empty() || now < question.give_up) {
                continue;
            }
            late = true;
            const Verdict told = book_.without_answer(name, question.address);
            for (const Check::Done& done : std::exchange(question.waiting, {})) {
                done(told);  // the question stays: its answer is still worth knowing
            }
        }
        if (!late) {
            continue;
        }
        // Whoever is at work has let somebody wait too long: no new question goes there for now.
        for (const auto& [endpoint, count] : backend.at_work) {
            const auto resting = backend.rests.find(endpoint);
            if (count > 0 && (resting == backend.rests.end() || resting->second.until <= now)) {
                rest(name, backend, endpoint, "it takes too long to answer");
            }
        }
        std::erase_if(backend.queue, [&questions = backend.questions](const std::string& key) {
            const auto found = questions.find(key);
            if (found == questions.end() || !found->second.waiting.empty()) {
                return found == questions.end();
            }
            questions.erase(found);
            return true;
        });
        pump(name, backend);
    }
}

// ---- The door ----

Asker::Asker(Book& book, AbilityBoard& abilities, const queue::Clock& clock, OnChange on_change, std::uint64_t seed)
    : impl_(std::make_unique<Impl>(book, abilities, clock, std::move(on_change), seed)) {}

Asker::~Asker() = default;

void Asker::reconfigure(AskerOptions options) { impl_->reconfigure(std::move(options)); }

void Asker::ask(const std::string& backend, const mail::Mailbox& address, std::vector<mail::Mailbox> ahead,
                Check::Done done) {
    impl_->put(backend, address, std::move(ahead), std::move(done));
}

void Asker::refresh(const std::string& backend, const mail::Mailbox& address) { impl_->put(backend, address, {}, {}); }

void Asker::leave_alone(const std::string& backend, bool on) { impl_->leave_alone(backend, on); }

void Asker::stop() { impl_->stop(); }

std::optional<Verdict> AskCheck::look(const mail::Mailbox& address) {
    Book::Found found = book_.look(backend_, address, clock_.wall());
    if (found.refresh) {
        asker_.refresh(backend_, address);
    }
    return std::move(found.verdict);
}

void AskCheck::ask(const mail::Mailbox& address, const Ahead& ahead, Done done) {
    asker_.ask(backend_, address, ahead ? ahead() : std::vector<mail::Mailbox>(), std::move(done));
}

}  // namespace postern::recipients
