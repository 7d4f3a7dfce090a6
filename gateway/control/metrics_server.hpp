// The HTTP/1.1 listener for those who watch the gateway: GET and HEAD of /metrics, /healthz and /readyz, one request a
// connection. It tells and changes nothing, and asks nobody who he is: the address decides who may listen in.
//
// Anybody may send it anything: a request is a header of 8 KiB at most, no body is read, and who is slow is cut off,
// the oldest first when all places are taken.
//
// Threads: open() and start() from one thread; then one that accepts and one for each connection, none of which takes
// signals.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "queue/mail/result.hpp"
#include "queue/time.hpp"

namespace postern::control {

struct MetricsServerOptions {
    std::string host;  ///< an IP address
    std::uint16_t port = 0;
    std::size_t connections_max = 16;  ///< a thread each
    std::chrono::milliseconds request_time_max = std::chrono::seconds(5);
    std::chrono::milliseconds answer_time_max = std::chrono::seconds(10);
    std::chrono::milliseconds scrape_wait_max = std::chrono::seconds(2);  ///< for another's to end
};

/// What there is to tell.
struct Pages {
    /// The text of /metrics. Called by one thread at a time.
    std::function<std::string()> metrics;
    /// Why no mail is accepted now; empty: it is. Any thread; waits for nothing.
    std::function<std::string()> obstacle;
};

class MetricsServer {
public:
    /// Listens: clients may connect, and are answered after start(). An error text, with the address, when it cannot.
    [[nodiscard]] static Result<std::unique_ptr<MetricsServer>, std::string> open(const MetricsServerOptions& options);

    /// `clock` and what `pages` ask outlive the server. `on_error` is told what goes wrong later, on a thread of the
    /// server. An error text when there is no thread to be had.
    [[nodiscard]] std::optional<std::string> start(const queue::Clock& clock, Pages pages,
                                                   std::function<void(const std::string&)> on_error);

    /// Where it listens: of port 0, the one that the kernel chose.
    [[nodiscard]] std::uint16_t port() const;

    /// Cuts the connections and waits for their threads.
    ~MetricsServer();
    MetricsServer(const MetricsServer&) = delete;
    MetricsServer& operator=(const MetricsServer&) = delete;

private:
    class Impl;
    explicit MetricsServer(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace postern::control
