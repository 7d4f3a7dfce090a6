// Where a command gets its operations from: the running gateway if one listens on the control socket, else the queue
// file.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "gateway/control/operations.hpp"
#include "queue/sqlite_store.hpp"

namespace postern::control {

struct ConnectOptions {
    std::filesystem::path socket;
    queue::SqliteStoreOptions queue;      ///< where it is and its limits, for when no gateway runs
    std::string version;                  ///< of this program
    std::vector<BackendStatus> backends;  ///< as the configuration has them, for when no gateway runs
    bool only_running = false;            ///< nothing else is known: without a gateway on the socket it is a failure
    /// Told, before the first operation, when the queue file is read directly: for stderr.
    std::function<void(const std::string&)> notice;
};

/// `clock` must outlive the operations.
[[nodiscard]] Result<std::unique_ptr<Operations>, Failure> connect(const ConnectOptions& options,
                                                                   const queue::Clock& clock);

}  // namespace postern::control
