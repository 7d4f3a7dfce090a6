#include "gateway/recipients/keeper.hpp"

#include <chrono>
#include <utility>

namespace postern::recipients {

namespace {

constexpr std::chrono::seconds write_interval{2};
constexpr std::chrono::hours sweep_interval{1};

}  // namespace

void Keeper::start(const std::filesystem::path& queue, std::size_t entries, queue::Duration keep, Warn warn) {
    keep_ = keep;
    file_ = queue::KnownRecipientsFile::open(queue, std::move(warn));
    if (file_ == nullptr) {
        return;
    }
    file_->remove_older(clock_.wall() - keep_);
    book_.restore(file_->load(entries), clock_.wall());
    thread_ = std::thread([this] { run(); });
}

void Keeper::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_one();
    if (thread_.joinable()) {
        thread_.join();
    }
}

void Keeper::run() {
    auto swept_at = clock_.steady();
    bool stop = false;
    while (!stop) {
        {
            std::unique_lock lock(mutex_);
            stop = wake_.wait_for(lock, write_interval, [this] { return stopping_; });
        }
        file_->write(book_.take_changes());
        if (clock_.steady() - swept_at >= sweep_interval) {
            swept_at = clock_.steady();
            file_->remove_older(clock_.wall() - keep_);
        }
    }
}

}  // namespace postern::recipients
