// How much of the disk may still be filled with what comes in: what is free, less the minimum that the configuration
// keeps, less what was promised to messages that are still on their way. Without the last, any number of clients could
// begin on the same free octets.
//
// A message's promise is what has come of it so far, or the part of its declared size that the store promises before.
// It ends with the message: then its octets are written, or free again. The parts that are on the disk before that
// count twice; so the minimum is kept rather too well. What it does not know of is SQLite's own: a content lies in the
// write-ahead log and then in the file, and takes its room twice until the log is written over. The disk can fall below
// the minimum by the size of the log, therefore, and by no more that comes from clients.
//
// Threads: any.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>

#include "queue/time.hpp"

namespace postern::queue::detail {

class DiskRoom {
public:
    /// Octets that are free on the disk; nullopt: cannot be told, and the last that was holds.
    using Measure = std::function<std::optional<std::uint64_t>()>;

    /// `clock` outlives it. `minimum` 0: promises are not looked at, and the disk itself says when it is full.
    DiskRoom(Measure measure, const Clock& clock, std::uint64_t minimum);

    void set_minimum(std::uint64_t octets);

    /// `reusable`: octets in the queue's file that nothing is in.
    [[nodiscard]] bool fits(std::uint64_t octets, std::uint64_t reusable);

    /// What one message may still fill.
    class Promise {
    public:
        explicit Promise(DiskRoom& room) : room_(&room) {}
        Promise(Promise&& other) noexcept;
        Promise& operator=(Promise&&) = delete;
        ~Promise() { give_back(); }
        /// Of a message that declares `octets`. False: there is not so much room. Else up to `most` of it is promised.
        [[nodiscard]] bool begin(std::uint64_t octets, std::uint64_t most, std::uint64_t reusable);
        /// False: there is not so much room, and the promise stays as it was.
        [[nodiscard]] bool grow_to(std::uint64_t octets, std::uint64_t reusable);
        void give_back() noexcept;
        /// They are on the disk, of which the last measurement does not know yet.
        void written() noexcept;

    private:
        DiskRoom* room_;
        std::uint64_t octets_ = 0;
    };

private:
    void measure_when_old();
    [[nodiscard]] bool fits_now(std::uint64_t octets, std::uint64_t reusable) const;

    const Measure measure_;
    const Clock& clock_;
    std::mutex mutex_;
    std::uint64_t minimum_;
    std::uint64_t free_ = 0;
    std::optional<SteadyInstant> measured_at_;
    std::uint64_t promised_ = 0;
    std::uint64_t written_ = 0;  // ever
    std::uint64_t known_ = 0;    // of written_, when it was measured
};

}  // namespace postern::queue::detail
