// The operations asked of a running gateway over its control socket: one HTTP request a call, each on a connection of
// its own.
#pragma once

#include <filesystem>

#include "gateway/control/detail/socket_stream.hpp"
#include "gateway/control/operations.hpp"

namespace postern::control::detail {

class RemoteOperations final : public Operations {
public:
    /// `first`: an open connection, for the first call. `clock` must outlive it.
    RemoteOperations(std::filesystem::path socket, Descriptor first, const queue::Clock& clock)
        : socket_(std::move(socket)), first_(std::move(first)), clock_(clock) {}

    [[nodiscard]] Result<void, Failure> list(const queue::Filter& filter,
                                             const std::function<bool(const MessageView&)>& each) override;
    [[nodiscard]] Result<MessageView, Failure> show(queue::MessageId id) override;
    [[nodiscard]] Result<void, Failure> cat(queue::MessageId id,
                                            const std::function<bool(std::string_view)>& part) override;
    [[nodiscard]] Result<Outcome, Failure> apply(const ApplyRequest& request) override;
    [[nodiscard]] Result<Why, Failure> why(queue::MessageId id) override;
    [[nodiscard]] Result<BackendChange, Failure> change(const BackendRequest& request) override;
    [[nodiscard]] Result<std::vector<ProbeView>, Failure> probe(const std::string& backend) override;
    [[nodiscard]] Result<Status, Failure> status() override;
    [[nodiscard]] Result<std::vector<queue::ShapeCell>, Failure> shape(const ShapeRequest& request) override;
    [[nodiscard]] Result<void, Failure> history(const queue::HistoryFilter& filter,
                                                const std::function<bool(const queue::HistoryEvent&)>& each) override;
    [[nodiscard]] Result<ReloadOutcome, Failure> reload() override;

private:
    enum class Method : std::uint8_t { get, post };
    using Part = std::function<bool(std::string_view)>;

    /// Sends the request and hands the body of a good answer to `part`, piece by piece; ends early when that returns
    /// false.
    [[nodiscard]] Result<void, Failure> exchange(Method method, const std::string& target, const std::string& body,
                                                 const Part& part);
    /// The whole body of the answer.
    [[nodiscard]] Result<std::string, Failure> ask(Method method, const std::string& target, const std::string& body);
    /// The lines of the answer. `line` may say what is wrong with one, and stop by returning false in it.
    [[nodiscard]] Result<void, Failure> lines(const std::string& target, const std::string& body, const Part& line);
    [[nodiscard]] Result<SocketStream, Failure> connect();

    std::filesystem::path socket_;
    Descriptor first_;
    const queue::Clock& clock_;
};

}  // namespace postern::control::detail
