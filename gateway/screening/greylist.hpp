// The greylist with its file: read at the start, written now and then and at the end. A crash costs the last minute of
// it, and whoever was in that waits once more.
//
// Threads: any.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "gateway/screening/triplets.hpp"

namespace postern::screening {

class Greylist {
public:
    using Problem = std::function<void(const std::string&)>;

    /// Reads `file` if it is there; what cannot be used is told to `on_problem` and begun anew. `clock` outlives it.
    Greylist(std::filesystem::path file, const queue::Clock& clock, Problem on_problem);
    /// Writes the file.
    ~Greylist();
    Greylist(const Greylist&) = delete;
    Greylist& operator=(const Greylist&) = delete;

    /// How long the client is to stay away still; nullopt: it may pass.
    [[nodiscard]] std::optional<queue::Duration> ask(std::string_view client, std::string_view sender,
                                                     std::string_view recipient, const GreylistRules& rules);

private:
    void run();
    void save();

    const std::filesystem::path file_;
    const queue::Clock& clock_;
    const Problem on_problem_;
    std::mutex mutex_;
    std::condition_variable wake_;
    Triplets triplets_;
    bool changed_ = false;
    bool told_full_ = false;
    bool stopping_ = false;
    std::thread thread_;  // last
};

}  // namespace postern::screening
