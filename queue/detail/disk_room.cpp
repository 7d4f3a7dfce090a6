#include "queue/detail/disk_room.hpp"

#include <algorithm>
#include <utility>

namespace postern::queue::detail {

namespace {

constexpr std::chrono::milliseconds fresh_for{500};

/// Whether the sum of `wanted` is at most `there`, however large they are.
template <class... Octets>
bool covers(std::uint64_t there, Octets... wanted) {
    return ((wanted <= there && ((there -= wanted), true)) && ...);
}

}  // namespace

DiskRoom::DiskRoom(Measure measure, const Clock& clock, std::uint64_t minimum)
    : measure_(std::move(measure)), clock_(clock), minimum_(minimum) {
    measure_when_old();  // whoever asks while another measures is told what was seen before: never nothing
}

void DiskRoom::set_minimum(std::uint64_t octets) {
    const std::lock_guard lock(mutex_);
    minimum_ = octets;
    measured_at_.reset();
}

void DiskRoom::measure_when_old() {
    std::uint64_t written = 0;
    {
        const std::lock_guard lock(mutex_);
        const SteadyInstant now = clock_.steady();
        if (measured_at_ && now - *measured_at_ < fresh_for) {
            return;
        }
        measured_at_ = now;
        written = written_;
    }
    const auto measured = measure_();  // not under the lock: the disk may take its time
    if (measured) {
        const std::lock_guard lock(mutex_);
        free_ = *measured;
        known_ = written;
    }
}

bool DiskRoom::fits_now(std::uint64_t octets, std::uint64_t reusable) const {
    const std::uint64_t there = free_ + reusable;
    return minimum_ == 0 ? covers(there, octets) : covers(there, minimum_, promised_, written_ - known_, octets);
}

bool DiskRoom::fits(std::uint64_t octets, std::uint64_t reusable) {
    measure_when_old();
    const std::lock_guard lock(mutex_);
    return fits_now(octets, reusable);
}

DiskRoom::Promise::Promise(Promise&& other) noexcept : room_(other.room_), octets_(std::exchange(other.octets_, 0)) {}

bool DiskRoom::Promise::begin(std::uint64_t octets, std::uint64_t most, std::uint64_t reusable) {
    room_->measure_when_old();
    const std::lock_guard lock(room_->mutex_);
    if (room_->minimum_ != 0 && !room_->fits_now(octets, reusable)) {
        return false;
    }
    octets_ = std::min(octets, most);
    room_->promised_ += octets_;
    return true;
}

bool DiskRoom::Promise::grow_to(std::uint64_t octets, std::uint64_t reusable) {
    if (octets <= octets_) {
        return true;
    }
    room_->measure_when_old();
    const std::lock_guard lock(room_->mutex_);
    const std::uint64_t more = octets - octets_;
    if (room_->minimum_ != 0 && !room_->fits_now(more, reusable)) {
        return false;
    }
    room_->promised_ += more;
    octets_ = octets;
    return true;
}

void DiskRoom::Promise::give_back() noexcept {
    if (octets_ == 0) {
        return;
    }
    const std::lock_guard lock(room_->mutex_);
    room_->promised_ -= std::exchange(octets_, 0);
}

void DiskRoom::Promise::written() noexcept {
    const std::lock_guard lock(room_->mutex_);
    room_->written_ += octets_;
    room_->promised_ -= std::exchange(octets_, 0);
}

}  // namespace postern::queue::detail
