#include "gateway/dns/unbound_resolver.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unbound.h>
#include <unistd.h>

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "gateway/dns/names.hpp"

namespace postern::dns {

namespace asio = boost::asio;

namespace {

constexpr int class_in = 1;
constexpr int no_error = 0;

struct FreeResult {
    void operator()(ub_result* result) const { ub_resolve_free(result); }
};
using UnboundResult = std::unique_ptr<ub_result, FreeResult>;

Answer failure(std::string why) {
    Answer answer;
    answer.why = std::move(why);
    return answer;
}

std::string response_code(int code) {
    switch (code) {
        case 1:
            return "FORMERR";
        case 2:
            return "SERVFAIL";
        case 4:
            return "NOTIMP";
        case 5:
            return "REFUSED";
        default:
            return "response code " + std::to_string(code);
    }
}

Answer to_answer(const ub_result& result) {
    Answer answer;
    answer.canonical_name = result.canonname != nullptr ? result.canonname : result.qname;
    if (answer.canonical_name.ends_with('.')) {
        answer.canonical_name.pop_back();
    }
    if (result.bogus != 0) {
        answer.status = Status::bogus;
        answer.why = result.why_bogus != nullptr ? result.why_bogus : "validation failed";
        return answer;
    }
    answer.secure = result.secure != 0;
    if (result.nxdomain != 0) {
        answer.status = Status::no_such_name;
        return answer;
    }
    if (result.rcode != no_error) {
        return failure("the DNS servers answer " + response_code(result.rcode));
    }
    if (result.havedata == 0) {
        answer.status = Status::no_data;
        return answer;
    }
    const auto type = static_cast<RecordType>(result.qtype);
    for (std::size_t i = 0; result.data[i] != nullptr; ++i) {
        auto record = parse_record(type, {result.data[i], static_cast<std::size_t>(result.len[i])});
        if (record) {
            answer.records.push_back(std::move(*record));
        }
    }
    if (answer.records.empty()) {
        return failure("no record of the answer is well-formed");
    }
    answer.status = Status::found;
    return answer;
}

/// Who waits for an answer. Touched on its executor alone.
struct Waiter {
    explicit Waiter(asio::any_io_executor on) : executor(std::move(on)) {}
    const asio::any_io_executor executor;
    asio::steady_timer* timer = nullptr;  ///< cancelled when the answer is here; nullptr once nobody waits
    std::optional<Answer> answer;
};

/// The library's context and what is being looked up. Lookups keep it alive, so that each can take itself back at its
/// end, whatever has ended before.
class Core {
public:
    Core(ub_ctx* context, std::size_t lookups_max)
        : context_(context), lookups_max_(lookups_max), stop_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
    Core(const Core&) = delete;
    Core& operator=(const Core&) = delete;
    ~Core() {
        ub_ctx_delete(context_);
        if (stop_fd_ >= 0) {
            ::close(stop_fd_);
        }
    }

    [[nodiscard]] bool is_usable() const noexcept { return stop_fd_ >= 0; }
    void start() {
        thread_ = std::thread([this] { bring_answers(); });
    }
    void stop() {
        static_cast<void>(::eventfd_write(stop_fd_, 1));  // fails only at a count that nobody reaches
        thread_.join();
        end("the resolver has ended");
    }

    /// The lookup's number; or why there is none.
    [[nodiscard]] Result<std::uint64_t, std::string> begin(const std::string& name, RecordType type,
                                                           std::shared_ptr<Waiter> waiter);
    /// Nobody waits for it any more.
    void forget(std::uint64_t number);

private:
    struct Lookup {
        Core* core;
        std::uint64_t number;
        std::shared_ptr<Waiter> waiter;  ///< nullptr: forgotten
        int id = 0;                      ///< libunbound's
    };

    static void answered(void* argument, int error, ub_result* result);
    void answer(std::uint64_t number, Answer answer);
    void bring_answers();
    void end(const std::string& why);
    static void tell(std::shared_ptr<Waiter> waiter, Answer answer);

    ub_ctx* const context_;
    const std::size_t lookups_max_;
    const int stop_fd_;
    std::thread thread_;
    std::mutex mutex_;  // for what follows
    /// Each until libunbound has called back, or has promised not to: it holds a pointer to it.
    std::map<std::uint64_t, Lookup> lookups_;
    std::uint64_t numbers_ = 0;
    std::string ended_;  ///< why nothing more can be asked; empty: it can
};

Result<std::uint64_t, std::string> Core::begin(const std::string& name, RecordType type,
                                               std::shared_ptr<Waiter> waiter) {
    using Begun = Result<std::uint64_t, std::string>;
    Lookup* lookup = nullptr;
    std::uint64_t number = 0;
    {
        const std::lock_guard lock(mutex_);
        if (!ended_.empty()) {
            return Begun(boost::system::in_place_error, ended_);
        }
        if (lookups_.size() >= lookups_max_) {
            return Begun(boost::system::in_place_error, "too many DNS lookups at once");
        }
        number = ++numbers_;
        lookup = &lookups_.emplace(number, Lookup{this, number, std::move(waiter)}).first->second;
    }
    int id = 0;
    const int error =
        ub_resolve_async(context_, name.c_str(), static_cast<int>(type), class_in, lookup, &Core::answered, &id);
    const std::lock_guard lock(mutex_);
    if (error != no_error) {
        lookups_.erase(number);
        return Begun(boost::system::in_place_error, std::string("libunbound: ") + ub_strerror(error));
    }
    const auto found = lookups_.find(number);
    if (found != lookups_.end()) {  // not answered meanwhile
        found->second.id = id;
    }
    return Begun(boost::system::in_place_value, number);
}

void Core::forget(std::uint64_t number) {
    int id = 0;
    {
        const std::lock_guard lock(mutex_);
        const auto found = lookups_.find(number);
        if (found == lookups_.end()) {
            return;
        }
        found->second.waiter.reset();
        id = found->second.id;
    }
    // If it cannot be cancelled its answer is on its way, and clears up itself.
    if (ub_cancel(context_, id) == no_error) {
        const std::lock_guard lock(mutex_);
        lookups_.erase(number);
    }
}

void Core::answered(void* argument, int error, ub_result* raw) {
    const UnboundResult result(raw);
    const Lookup& lookup = *static_cast<const Lookup*>(argument);
    const std::uint64_t number = lookup.number;
    lookup.core->answer(number, error != no_error || result == nullptr
                                    ? failure(std::string("libunbound: ") + ub_strerror(error))
                                    : to_answer(*result));
}

void Core::answer(std::uint64_t number, Answer answer) {
    const std::lock_guard lock(mutex_);
    const auto found = lookups_.find(number);
    if (found->second.waiter) {
        // Under the lock: who has forgotten it may be gone, and its executor too.
        tell(std::move(found->second.waiter), std::move(answer));
    }
    lookups_.erase(found);
}

void Core::tell(std::shared_ptr<Waiter> waiter, Answer answer) {
    const asio::any_io_executor executor = waiter->executor;
    asio::post(executor, [waiter = std::move(waiter), answer = std::move(answer)]() mutable {
        if (waiter->timer != nullptr) {
            waiter->answer = std::move(answer);
            waiter->timer->cancel();
        }
    });
}

void Core::bring_answers() {
    std::array<pollfd, 2> fds{pollfd{ub_fd(context_), POLLIN, 0}, pollfd{stop_fd_, POLLIN, 0}};
    while (true) {
        if (::poll(fds.data(), fds.size(), -1) < 0) {
            if (errno == EINTR) {
                continue;
            }
            break;
        }
        if (fds[1].revents != 0) {
            return;
        }
        if (fds[0].revents != POLLIN || ub_process(context_) != no_error) {
            break;
        }
    }
    end("libunbound has stopped working; restart the gateway");
}

void Core::end(const std::string& why) {
    const std::lock_guard lock(mutex_);
    ended_ = ended_.empty() ? why : ended_;
    for (auto& [number, lookup] : lookups_) {
        if (lookup.waiter) {
            tell(std::exchange(lookup.waiter, nullptr), failure(why));
        }
    }
}

/// One lookup of a coroutine: lives in its frame, and takes itself back when that ends.
class Ticket {
public:
    Ticket(std::shared_ptr<Core> core, asio::steady_timer& timer)
        : core_(std::move(core)), waiter_(std::make_shared<Waiter>(timer.get_executor())) {
        waiter_->timer = &timer;
    }
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;
    ~Ticket() {
        waiter_->timer = nullptr;
        if (number_) {
            core_->forget(*number_);
        }
    }

    /// Empty, or why it could not begin.
    [[nodiscard]] std::string begin(const std::string& name, RecordType type) {
        auto begun = core_->begin(name, type, waiter_);
        if (begun.has_error()) {
            return begun.error();
        }
        number_ = *begun;
        return {};
    }
    [[nodiscard]] std::optional<Answer>& answer() { return waiter_->answer; }

private:
    const std::shared_ptr<Core> core_;
    const std::shared_ptr<Waiter> waiter_;
    std::optional<std::uint64_t> number_;
};

class UnboundResolver final : public Resolver {
public:
    UnboundResolver(std::shared_ptr<Core> core, std::chrono::milliseconds timeout)
        : core_(std::move(core)), timeout_(timeout) {
        core_->start();
    }
    ~UnboundResolver() override { core_->stop(); }

    asio::awaitable<Answer> lookup(std::string name, RecordType type) override {
        if (!is_name(name)) {
            Answer none;
            none.status = Status::no_such_name;
            none.canonical_name = std::move(name);
            co_return none;
        }
        const std::shared_ptr<Core> core = core_;
        const auto executor = co_await asio::this_coro::executor;
        asio::steady_timer timer(executor, timeout_);
        Ticket ticket(core, timer);
        std::string problem = ticket.begin(name, type);
        if (!problem.empty()) {
            co_return failure(std::move(problem));
        }
        const auto [ended] = co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
        if (ticket.answer()) {
            co_return std::move(*ticket.answer());
        }
        co_return failure(ended ? "the DNS lookup was given up" : "no answer from the DNS servers in time");
    }

private:
    const std::shared_ptr<Core> core_;
    const std::chrono::milliseconds timeout_;
};

struct Setting {
    const char* name;
    const char* value;
};
constexpr std::array<Setting, 9> settings{{
    {"outgoing-range:", "256"},  // questions to servers at once; the library's own are few
    {"num-queries-per-thread:", "1024"},
    {"msg-cache-size:", "8m"},
    {"rrset-cache-size:", "16m"},
    {"do-not-query-localhost:", "no"},  // a resolver of one's own is the best to ask
    // Names of private networks are asked for like others: they are the operator's, and who asks for them is his
    // server.
    {"unblock-lan-zones:", "yes"},
    {"insecure-lan-zones:", "yes"},
    // Servers that did not answer are not avoided for a quarter of an hour: the network may have been down.
    {"infra-host-ttl:", "60"},
    {"infra-keep-probing:", "yes"},
}};

/// Empty, or what is wrong.
std::string configure(ub_ctx* context, const UnboundOptions& options) {
    const auto wrong = [](const std::string& what, int error) { return what + ": " + ub_strerror(error); };
    ub_ctx_debugout(context, nullptr);
    for (const Setting& setting : settings) {
        if (const int error = ub_ctx_set_option(context, setting.name, setting.value)) {
            return wrong(std::string("libunbound's ") + setting.name, error);
        }
    }
    if (const int error = ub_ctx_async(context, 1)) {
        return wrong("libunbound", error);
    }
    for (const std::string& server : options.servers) {
        if (const int error = ub_ctx_set_fwd(context, server.c_str())) {
            return wrong(server, error);
        }
    }
    if (options.servers.empty()) {
        if (const int error = ub_ctx_resolvconf(context, options.resolv_conf.c_str())) {
            return wrong(options.resolv_conf.string(), error);
        }
    }
    if (!options.trust_anchor.empty()) {
        if (::access(options.trust_anchor.c_str(), R_OK) != 0) {
            return options.trust_anchor.string() + " cannot be read";
        }
        if (const int error = ub_ctx_add_ta_file(context, options.trust_anchor.c_str())) {
            return wrong(options.trust_anchor.string(), error);
        }
    }
    // With this the library reads its files. And the names of this machine's addresses are asked for as others are.
    if (const int error = ub_ctx_zone_remove(context, "127.in-addr.arpa.")) {
        return wrong(options.trust_anchor.empty() ? "libunbound" : options.trust_anchor.string(), error);
    }
    return {};
}

}  // namespace

Result<std::unique_ptr<Resolver>, std::string> make_unbound_resolver(const UnboundOptions& options) {
    using Made = Result<std::unique_ptr<Resolver>, std::string>;
    ub_ctx* const context = ub_ctx_create();
    if (context == nullptr) {
        return Made(boost::system::in_place_error, "libunbound cannot be started");
    }
    auto core = std::make_shared<Core>(context, options.lookups_max);
    std::string problem = configure(context, options);
    if (!problem.empty()) {
        return Made(boost::system::in_place_error, "dns: " + problem);
    }
    if (!core->is_usable()) {
        return Made(boost::system::in_place_error, "dns: no file descriptor is left");
    }
    return Made(boost::system::in_place_value, std::make_unique<UnboundResolver>(std::move(core), options.timeout));
}

}  // namespace postern::dns
