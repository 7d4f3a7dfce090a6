// Whether a backend's permanent failures can be believed. A store whose answers turn from deliveries into refusals (a
// broken directory, an empty user table) must not bounce a city's mail. Pure.
//
// It bites when, within the last `window`, at least `failures` refusals for at least `recipients` different recipients
// came, and they are at least `ratio` of all verdicts, and also so many that deliveries fell below a quarter of their
// usual share: a backend that always refuses half of its mail is not braked for refusing half. A site with a few dozen
// messages in ten minutes never meets it. Once on it stays on, until somebody decides.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <unordered_set>

#include "gateway/delivery/options.hpp"
#include "queue/mail/mailbox.hpp"

namespace postern::delivery {

class Brake {
public:
    [[nodiscard]] bool is_on() const noexcept { return on_; }
    void set_on(bool on) { on_ = on; }
    /// An operator has looked: what was counted counts no more, and the refusals of late become what is usual.
    void release();

    void delivered(const BrakeOptions& options, queue::SteadyInstant now);
    /// A permanent failure. True: the brake has come on now, by this one.
    [[nodiscard]] bool failed(const BrakeOptions& options, const mail::Mailbox& recipient, queue::SteadyInstant now);

    /// "57 of the last 60 verdicts in 600 s were permanent failures, for 41 recipients"
    [[nodiscard]] std::string describe(const BrakeOptions& options) const;

private:
    struct Bucket {
        std::int64_t number = -1;
        std::uint32_t delivered = 0;
        std::uint32_t failed = 0;
        std::unordered_set<std::uint64_t> recipients;  ///< that failed, hashed; bounded
    };
    static constexpr std::size_t buckets = 10;
    struct Sums {
        std::uint64_t delivered = 0;
        std::uint64_t failed = 0;
        std::size_t recipients = 0;
    };

    Bucket& bucket(const BrakeOptions& options, queue::SteadyInstant now);
    [[nodiscard]] Sums sums() const;

    bool on_ = false;
    std::array<Bucket, buckets> buckets_{};
    double usual_failures_ = 0;  ///< of all verdicts; learned from what left the window
};

}  // namespace postern::delivery
