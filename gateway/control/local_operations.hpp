// The operations done beside the queue: read with a Reader, change through a LiveGateway (a running one, or
// OfflineGateway).
#pragma once

#include <future>
#include <string>

#include "gateway/control/operations.hpp"

namespace postern::control {

class LocalOperations final : public Operations {
public:
    /// All must outlive it. `actor`: who asks, for the history and the log.
    LocalOperations(queue::Reader& reader, LiveGateway& gateway, const queue::Clock& clock, std::string actor)
        : reader_(reader), gateway_(gateway), clock_(clock), actor_(std::move(actor)) {}

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
    [[nodiscard]] Failure failure(queue::ReadError error, queue::MessageId id = {}) const;
    [[nodiscard]] Result<std::vector<queue::MessageId>, Failure> find_missing(const std::vector<queue::MessageId>& ids,
                                                                              const std::vector<RecipientRef>& found);
    [[nodiscard]] Result<std::uint64_t, Failure> change(const ApplyRequest& request,
                                                        const std::vector<RecipientRef>& recipients);
    /// One batch, which the future tells the end of. A broken promise is a failure.
    [[nodiscard]] std::future<ApplyResult> begin_change(const ApplyRequest& request, std::vector<RecipientRef> batch,
                                                        const std::string& actor);

    queue::Reader& reader_;
    LiveGateway& gateway_;
    const queue::Clock& clock_;
    std::string actor_;
};

}  // namespace postern::control
