#include "gateway/main/file_watch.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

namespace postern::gateway {

namespace {

constexpr std::chrono::minutes longest_pause{1};

}  // namespace

std::string look_of(const std::vector<std::filesystem::path>& files) {
    std::string look;
    for (const auto& file : files) {
        struct stat entry {};
        look += file.native() + '\0';
        if (::stat(file.c_str(), &entry) == 0) {
            for (const auto part :
                 {static_cast<long long>(entry.st_dev), static_cast<long long>(entry.st_ino),
                  static_cast<long long>(entry.st_size), static_cast<long long>(entry.st_mtim.tv_sec),
                  static_cast<long long>(entry.st_mtim.tv_nsec), static_cast<long long>(entry.st_ctim.tv_sec),
                  static_cast<long long>(entry.st_ctim.tv_nsec)}) {
                look += std::to_string(part) + ' ';
            }
        }
    }
    return look;
}

Look look_at(std::vector<std::filesystem::path> files) {
    std::string state = look_of(files);
    return {std::move(files), std::move(state)};
}

void ChangeFilter::seen(std::string look) {
    known_ = std::move(look);
    last_.reset();
    pause_ = 0;
    looks_to_wait_ = 0;
}

bool ChangeFilter::is_news(std::string look) {
    if (look == known_) {
        last_.reset();
        return looks_to_wait_ > 0 && --looks_to_wait_ == 0;
    }
    if (last_ != look) {
        last_ = std::move(look);
        return false;
    }
    seen(std::move(look));
    return true;
}

void ChangeFilter::refused() {
    pause_ = std::clamp<std::int64_t>(pause_ * 2, 1, longest_pause_);
    looks_to_wait_ = pause_;
}

FileWatch::FileWatch(std::chrono::milliseconds interval, Calls calls)
    : interval_(interval), calls_(std::move(calls)), filter_(std::max<std::int64_t>(longest_pause / interval, 1)) {}

FileWatch::~FileWatch() { stop(); }

void FileWatch::seen(Look look) {
    const std::lock_guard lock(mutex_);
    files_ = std::move(look.files);
    filter_.seen(std::move(look.state));
}

void FileWatch::start() {
    thread_ = std::thread([this] { run(); });
}

void FileWatch::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) {
        thread_.join();
    }
}

void FileWatch::run() {
    std::unique_lock lock(mutex_);
    while (!wake_.wait_for(lock, interval_, [this] { return stopping_; })) {
        const bool news = filter_.is_news(look_of(files_));
        lock.unlock();
        const bool refused = news && !calls_.changed();
        calls_.looked();
        lock.lock();
        if (refused) {
            filter_.refused();
        }
    }
}

}  // namespace postern::gateway
