#include "gateway/control/connect.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

#include "gateway/control/detail/connection.hpp"
#include "gateway/control/detail/remote_operations.hpp"
#include "gateway/control/local_operations.hpp"
#include "gateway/control/offline_gateway.hpp"

namespace postern::control {
namespace {

/// The operations on the queue file, with no gateway running.
class OfflineOperations final : public Operations {
public:
    OfflineOperations(const ConnectOptions& options, std::unique_ptr<queue::Reader> reader, const queue::Clock& clock)
        : socket_(options.socket.string()),
          notice_(options.notice),
          reader_(std::move(reader)),
          gateway_(options.queue, *reader_, clock, options.version, options.backends),
          local_(*reader_, gateway_, clock, detail::user_name(::getuid())) {}

    Result<void, Failure> list(const queue::Filter& filter,
                               const std::function<bool(const MessageView&)>& each) override {
        return local_.list(filter, each);
    }
    Result<MessageView, Failure> show(queue::MessageId id) override { return local_.show(id); }
    Result<void, Failure> cat(queue::MessageId id, const std::function<bool(std::string_view)>& part) override {
        return local_.cat(id, part);
    }
    Result<Why, Failure> why(queue::MessageId id) override { return local_.why(id); }
    Result<BackendChange, Failure> change(const BackendRequest& request) override {
        if (auto locked = lock(); !locked) {
            return locked.error();
        }
        return local_.change(request);
    }
    Result<std::vector<ProbeView>, Failure> probe(const std::string& /*backend*/) override {
        return Failure(
            FailureKind::unreachable,
            fmt::format("no gateway listens on the control socket {}; `postern backend conformance` examines a "
                        "store without one",
                        socket_));
    }
    Result<Status, Failure> status() override { return local_.status(); }
    Result<std::vector<queue::ShapeCell>, Failure> shape(const ShapeRequest& request) override {
        return local_.shape(request);
    }
    Result<void, Failure> history(const queue::HistoryFilter& filter,
                                  const std::function<bool(const queue::HistoryEvent&)>& each) override {
        return local_.history(filter, each);
    }

    Result<Outcome, Failure> apply(const ApplyRequest& request) override {
        if (!request.dry_run) {
            if (auto locked = lock(); !locked) {
                return locked.error();
            }
        }
        return local_.apply(request);
    }

    Result<ReloadOutcome, Failure> reload() override {
        return Failure(FailureKind::unreachable, fmt::format("no gateway listens on the control socket {}", socket_));
    }

private:
    /// Before the first change: the queue's lock, and a word to the operator.
    Result<void, Failure> lock() {
        const auto opened = gateway_.open();
        if (!opened && opened.error().kind == FailureKind::busy) {
            return Failure(FailureKind::busy,
                           fmt::format("{}; its control socket {} cannot be reached, so nothing was changed",
                                       opened.error().text, socket_));
        }
        if (!opened) {
            return opened.error();
        }
        if (!locked_ && notice_) {
            notice_("gateway not running: changing the queue file directly");
        }
        locked_ = true;
        return {};
    }

    std::string socket_;
    std::function<void(const std::string&)> notice_;
    std::unique_ptr<queue::Reader> reader_;
    OfflineGateway gateway_;
    LocalOperations local_;
    bool locked_ = false;
};

}  // namespace

Result<std::unique_ptr<Operations>, Failure> connect(const ConnectOptions& options, const queue::Clock& clock) {
    auto socket = detail::connect_unix(options.socket);
    if (socket) {
        return std::unique_ptr<Operations>(
            std::make_unique<detail::RemoteOperations>(options.socket, std::move(*socket), clock));
    }
    const int error = socket.error().value();
    if (options.only_running) {
        return Failure(FailureKind::unreachable, fmt::format("no gateway listens on the control socket {}: {}",
                                                             options.socket.string(), socket.error().message()));
    }
    if (error != ENOENT && error != ECONNREFUSED) {
        // Somebody may well listen there, but not for us: the queue file is not a way around that.
        return Failure(FailureKind::unreachable,
                       fmt::format("control socket {}: {}", options.socket.string(), socket.error().message()));
    }
    auto reader = queue::open_reader(options.queue.path);
    if (!reader) {
        Failure failure = failure_of(reader.error());
        failure.text = fmt::format("gateway not running (control socket {}: {}), and the queue cannot be read: {}",
                                   options.socket.string(), socket.error().message(), failure.text);
        return failure;
    }
    if (options.notice) {
        options.notice("gateway not running: reading the queue file directly");
    }
    return std::unique_ptr<Operations>(std::make_unique<OfflineOperations>(options, std::move(*reader), clock));
}

}  // namespace postern::control
