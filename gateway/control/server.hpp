// The control API of a running gateway: HTTP/1.1 with JSON over a Unix socket, one request a connection. Who may use it
// is the file permission of the socket (0660); who uses it is told by the kernel.
//
//   GET  /v1/status                       POST /v1/messages:search      {"filter": {...}}            -> JSON lines
//   GET  /v1/messages/ID                  POST /v1/recipients:VERB      {"filter": {...}, "dry_run": false}
//   GET  /v1/messages/ID/content          POST /v1/recipients:shape     {"by": "backend", "bounds_ms": [...]}
//   GET  /v1/messages/ID/why              POST /v1/backends:pause|resume|release|probe {"backend": "...", "reason": ""}
//   POST /v1/reload                       POST /v1/history:search {"filter": {...}, "transcripts": false} -> JSON lines
//
// Threads: one that accepts, and one for each connection, a bounded number: a client that is slow, silent or gone holds
// up itself and nobody else. None of them takes signals.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "gateway/control/live_gateway.hpp"
#include "queue/sqlite_store.hpp"

namespace postern::control {

struct ServerOptions {
    std::filesystem::path socket;
    std::size_t connections_max = 16;  ///< a thread each; more clients wait to be accepted
    std::size_t request_octets_max = 1U << 20;
    std::chrono::milliseconds request_time_max = std::chrono::seconds(10);  ///< for a request to come in whole
    std::chrono::milliseconds write_time_max =
        std::chrono::minutes(10);  ///< for 64 KiB of an answer to be taken: a pager waits for its reader
};

class Server {
public:
    using OpenReader = std::function<Result<std::unique_ptr<queue::Reader>, queue::OpenError>()>;

    /// Makes the socket (a stale one is replaced; one that somebody listens on is left alone) and starts to serve. An
    /// error text when that cannot be. `open_reader` gives each connection a Reader of its own; `gateway` and `clock`
    /// must outlive the server. `on_error` is told what goes wrong later, on a thread of the server.
    [[nodiscard]] static Result<std::unique_ptr<Server>, std::string> start(
        const ServerOptions& options, const queue::Clock& clock, OpenReader open_reader, LiveGateway& gateway,
        std::function<void(const std::string&)> on_error);

    /// Stops as the destructor does: cuts the connections, waits for their threads, removes the socket. Call it while
    /// the engine and the store still run: a thread may be waiting for LiveGateway::apply().
    void stop();
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

private:
    class Impl;
    explicit Server(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace postern::control
