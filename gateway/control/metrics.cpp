#include "gateway/control/metrics.hpp"

#include <algorithm>
#include <array>

#include "gateway/control/detail/exposition.hpp"

namespace postern::control {
namespace {

using detail::Exposition;
using detail::MetricType;

constexpr MetricType counter = MetricType::counter;
constexpr MetricType gauge = MetricType::gauge;

double seconds_of(queue::Duration duration) { return static_cast<double>(duration.count()) / 1000; }
double unix_seconds(queue::Instant instant) { return seconds_of(instant.time_since_epoch()); }

void tell_gateway(Exposition& out, const Metrics& metrics) {
    const GatewaySnapshot& gateway = metrics.gateway;
    out.family("postern_build_info", gauge, "Always 1; the version is in the labels.");
    out.sample(std::uint64_t{1}, {{"version", gateway.version}, {"revision", metrics.revision}});
    out.single("postern_start_time_seconds", gauge, "When the gateway started, in Unix time.",
               unix_seconds(metrics.started_at));
    out.single("postern_uptime_seconds", gauge, "For how long it has been running.", gateway.uptime_seconds);
    out.single("postern_ready", gauge, "Whether mail is accepted, as /readyz says.", metrics.obstacle.empty());
}

void tell_clients(Exposition& out, const Metrics& metrics) {
    const GatewaySnapshot& gateway = metrics.gateway;
    out.single("postern_smtp_sessions", gauge, "Clients connected now.", gateway.sessions);
    out.single("postern_smtp_connections_total", counter, "Connections of clients that were taken.",
               metrics.clients.taken);
    out.single("postern_smtp_connections_refused_total", counter, "Connections turned away by a limit.",
               metrics.clients.turned_away);
    out.family("postern_tls_handshakes_total", counter, "TLS handshakes with clients.");
    out.sample(gateway.tls.full, {{"result", "full"}});
    out.sample(gateway.tls.resumed, {{"result", "resumed"}});
    out.sample(gateway.tls.failed, {{"result", "failed"}});
    out.single("postern_messages_accepted_total", counter, "Messages of clients that were answered with 250.",
               gateway.since_start.accepted);
    out.family("postern_recipient_results_total", counter, "What attempts to deliver came to, by recipient.");
    out.sample(gateway.since_start.delivered, {{"result", "delivered"}});
    out.sample(gateway.since_start.deferred, {{"result", "deferred"}});
    out.sample(gateway.since_start.failed, {{"result", "failed"}});
}

void tell_certificates(Exposition& out, const std::vector<CertificateStatus>& certificates) {
    out.family("postern_certificate_not_after_seconds", gauge, "When a listener's certificate ends, in Unix time.");
    for (const CertificateStatus& each : certificates) {
        out.sample(unix_seconds(each.not_after), {{"listener", each.listener}, {"file", each.file}});
    }
    out.family("postern_certificate_days_left", gauge, "Whole days until it ends; negative once it has ended.");
    for (const CertificateStatus& each : certificates) {
        out.sample(each.days_left, {{"listener", each.listener}, {"file", each.file}});
    }
}

/// What is in the queue. A state that nobody is in is told as well: a series must not come and go.
void tell_queue(Exposition& out, const Metrics& metrics) {
    out.single("postern_queue_messages", gauge, "Messages in the queue.", metrics.store.messages);
    out.single("postern_queue_messages_maximum", gauge, "With so many in the queue nothing more is accepted.",
               metrics.messages_max);
    if (!metrics.queue) {
        return;
    }
    using State = queue::RecipientState;
    constexpr std::array undone{State::ready, State::waiting, State::unknown, State::held, State::parked};
    out.family("postern_queue_recipients", gauge, "Recipients in the queue that are not done with.");
    for (const State state : undone) {
        const auto found = metrics.queue->recipients.find(state);
        const std::uint64_t count = found == metrics.queue->recipients.end() ? 0 : found->second;
        out.sample(count, {{"state", queue::to_string(state)}});
    }
    const auto oldest = metrics.queue->oldest.value_or(metrics.now);
    out.single("postern_queue_oldest_message_seconds", gauge, "Age of the oldest message; 0: there is none.",
               seconds_of(std::max(queue::Duration(0), metrics.now - oldest)));
}

/// The file that it is in.
void tell_store(Exposition& out, const Metrics& metrics) {
    const queue::StoreCounters& written = metrics.written;
    out.single("postern_queue_healthy", gauge, "Whether the queue is open; 0: after an error it is closed.",
               metrics.store.obstacle != queue::Obstacle::closed);
    out.single("postern_queue_stored_messages_total", counter, "Messages put into the queue, our reports among them.",
               written.messages);
    out.single("postern_queue_recorded_results_total", counter, "Changes of recipients that were recorded.",
               written.updates);
    out.single("postern_queue_commits_total", counter, "Group commits.", written.commits);
    out.single("postern_queue_flushes_total", counter, "Flushes to disk of the queue's file and its log.",
               written.flushes);
    out.single("postern_queue_checkpoints_total", counter, "Times that the log was moved into the file.",
               written.checkpoints);
    out.single("postern_queue_log_bytes", gauge, "In the write-ahead log.", metrics.store.log_octets);
    out.single("postern_queue_file_free_bytes", gauge, "In the queue's file that nothing is in.",
               metrics.store.free_octets);
    out.single("postern_queue_disk_free_bytes", gauge, "On the disk of the queue.", metrics.gateway.disk.free_octets);
    out.single("postern_queue_disk_minimum_free_bytes", gauge,
               "With less on the disk and in the file nothing is accepted.", metrics.gateway.disk.minimum_free_octets);
}

using Backends = std::vector<BackendStatus>;

template <class Value>
void each_backend(Exposition& out, const Backends& backends, std::string_view name, std::string_view help,
                  Value value) {
    out.family(name, gauge, help);
    for (const BackendStatus& backend : backends) {
        out.sample(value(backend), {{"backend", backend.name}});
    }
}

void tell_backends(Exposition& out, const Backends& backends) {
    const auto tell = [&](std::string_view name, std::string_view help, auto value) {
        each_backend(out, backends, name, help, value);
    };
    using Backend = BackendStatus;
    tell("postern_backend_backlog_recipients", "Recipients that still have to be delivered.",
         [](const Backend& backend) { return backend.backlog; });
    tell("postern_backend_in_flight", "Transactions at work.",
         [](const Backend& backend) { return std::uint64_t{backend.in_flight}; });
    tell("postern_backend_paused", "Whether an operator has stopped deliveries.",
         [](const Backend& backend) { return backend.paused.has_value(); });
    tell("postern_backend_braked", "Whether its permanent failures are kept instead of being believed.",
         [](const Backend& backend) { return backend.brake.has_value(); });
    tell("postern_backend_refusing", "Whether RCPT for its domains is answered 451.",
         [](const Backend& backend) { return !backend.refusing.empty(); });
    tell("postern_backend_down", "Whether none of its endpoints can be used.",
         [](const Backend& backend) { return backend.down_since.has_value(); });
}

template <class Tell>
void each_endpoint(const Backends& backends, Tell tell) {
    for (const BackendStatus& backend : backends) {
        for (const EndpointStatus& endpoint : backend.endpoints) {
            tell(backend.name, endpoint);
        }
    }
}

void tell_endpoint_numbers(Exposition& out, const Backends& backends) {
    const auto tell = [&](std::string_view name, std::string_view help, auto value) {
        out.family(name, gauge, help);
        each_endpoint(backends, [&](const std::string& backend, const EndpointStatus& endpoint) {
            out.sample(value(endpoint), {{"backend", backend}, {"endpoint", endpoint.address}});
        });
    };
    using Endpoint = EndpointStatus;
    tell("postern_endpoint_in_flight", "Transactions at work.",
         [](const Endpoint& endpoint) { return std::uint64_t{endpoint.in_flight}; });
    tell("postern_endpoint_allowed", "Transactions at once, as found; 0: it is not used.",
         [](const Endpoint& endpoint) { return std::uint64_t{endpoint.allowed}; });
    tell("postern_endpoint_allowed_maximum", "The most that this may become.",
         [](const Endpoint& endpoint) { return std::uint64_t{endpoint.connections}; });
    tell("postern_endpoint_one_by_one", "Whether it gets one recipient a transaction, having answered out of step.",
         [](const Endpoint& endpoint) { return endpoint.one_by_one; });
}

void tell_endpoints(Exposition& out, const Backends& backends) {
    out.family("postern_endpoint_circuit", gauge, "1 for the state that it is in: closed means that it is used.");
    each_endpoint(backends, [&](const std::string& backend, const EndpointStatus& endpoint) {
        for (const char* state : {"closed", "open", "probing"}) {
            out.sample(endpoint.state == state,
                       {{"backend", backend}, {"endpoint", endpoint.address}, {"state", state}});
        }
    });
    tell_endpoint_numbers(out, backends);
    out.family("postern_endpoint_latency_seconds", gauge,
               "Of a usual transaction; absent while it is not known, and below a millisecond.");
    each_endpoint(backends, [&](const std::string& backend, const EndpointStatus& endpoint) {
        if (endpoint.latency.count() > 0) {
            out.sample(seconds_of(endpoint.latency), {{"backend", backend}, {"endpoint", endpoint.address}});
        }
    });
}

/// By the names that every exporter uses.
void tell_process(Exposition& out, const Metrics& metrics) {
    const ProcessUsage& process = metrics.process;
    out.single("process_start_time_seconds", gauge, "When the process started, in Unix time.",
               unix_seconds(metrics.started_at));
    out.single("process_cpu_seconds_total", counter, "User and system time.", process.cpu_seconds);
    out.single("process_resident_memory_bytes", gauge, "Resident memory.", process.resident_octets);
    out.single("process_virtual_memory_bytes", gauge, "Virtual memory.", process.virtual_octets);
    out.single("process_threads", gauge, "Threads.", process.threads);
    out.single("process_open_fds", gauge, "Open file descriptors.", process.open_files);
    out.single("process_max_fds", gauge, "The most that there may be.", process.open_files_max);
}

}  // namespace

std::string render_metrics(const Metrics& metrics) {
    Exposition out;
    tell_gateway(out, metrics);
    tell_clients(out, metrics);
    tell_certificates(out, metrics.gateway.certificates);
    tell_queue(out, metrics);
    tell_store(out, metrics);
    tell_backends(out, metrics.gateway.backends);
    tell_endpoints(out, metrics.gateway.backends);
    tell_process(out, metrics);
    return std::move(out).take();
}

}  // namespace postern::control
