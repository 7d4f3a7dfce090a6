// Answers the store's question who is told of a result, and makes the report: rules (notify.hpp), words (report.hpp),
// pace (pace.hpp) and the way to the sender put together.
//
// Threads: decide() on the store's writer thread; replace() from any.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "gateway/bounce/notify.hpp"
#include "gateway/bounce/pace.hpp"
#include "gateway/bounce/report.hpp"
#include "queue/mail/snapshot.hpp"
#include "queue/reporter.hpp"
#include "queue/time.hpp"

namespace postern::bounce {

/// What the configuration says; a reload brings a new one.
struct Rules {
    SendPolicy send = SendPolicy::verified;
    ReportOptions report;
    queue::Duration expire = std::chrono::hours(24 * 5);  ///< for Will-Retry-Until
    std::uint32_t per_domain = 10;                        ///< reports a second to one domain, at most
    /// The backend that takes mail for an address; nullopt: there is no way to it.
    std::function<std::optional<std::string>(const mail::Mailbox&)> way_to{};

    explicit Rules(ReportOptions options) : report(std::move(options)) {}
};

class Reporter final : public queue::Reporter {
public:
    /// `clock` outlives it.
    Reporter(const queue::Clock& clock, std::shared_ptr<const Rules> rules);

    void replace(std::shared_ptr<const Rules> rules) { rules_.store(std::move(rules)); }

    [[nodiscard]] Answer decide(const Case& about) override;
    [[nodiscard]] std::size_t content_octets_max() const override;

private:
    [[nodiscard]] Answer answer(const Case& about, const Rules& rules);
    [[nodiscard]] queue::CommittedMessage message(const Case& about, Report report, const Rules& rules,
                                                  std::string backend);

    const queue::Clock& clock_;
    Snapshot<Rules> rules_;
    Pace pace_;
};

}  // namespace postern::bounce
