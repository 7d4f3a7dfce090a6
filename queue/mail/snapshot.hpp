// A value that is replaced whole while others read it: options and rules at a reload. Whoever has loaded one keeps it.
//
// std::atomic<std::shared_ptr> is this, but gives back its lock in load() without release order in libstdc++ 12.
//
// Threads: any.
#pragma once

#include <memory>
#include <mutex>
#include <utility>

namespace postern {

template <class T>
class Snapshot {
public:
    Snapshot() = default;
    explicit Snapshot(std::shared_ptr<const T> value) : value_(std::move(value)) {}

    [[nodiscard]] std::shared_ptr<const T> load() const {
        const std::lock_guard lock(mutex_);
        return value_;
    }
    void store(std::shared_ptr<const T> value) {
        {
            const std::lock_guard lock(mutex_);
            value_.swap(value);
        }
        // The old one ends here, outside of the lock.
    }

private:
    mutable std::mutex mutex_;
    std::shared_ptr<const T> value_;
};

}  // namespace postern
