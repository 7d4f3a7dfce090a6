// The configuration as an immutable snapshot: what the YAML file says, with every default filled in.
// Plain values, one struct a section, in the order of deploy/postern.example.yaml. A reload builds a new one and swaps
// it whole.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace postern::config {

using std::chrono::milliseconds;

/// An IPv4 or IPv6 network: "10.0.0.0/8", "::1/128", "127.0.0.1".
struct Network {
    std::string
        address;  ///< canonical text; an IPv4-mapped IPv6 network ("::ffff:10.0.0.0/104") is kept as its IPv4 one
    int bits = 0;
    /// Whether `ip` (as text, a zone is ignored) is in it. An IPv4-mapped IPv6 address counts as its IPv4 address. An
    /// IPv6 network never holds an IPv4 address: "::/0" is all of IPv6. What is no address is in no network.
    [[nodiscard]] bool contains(const std::string& ip) const;
};

/// "HOST:PORT", "[::]:25" or "unix:/path".
struct Address {
    std::string host;  ///< empty for a Unix socket
    std::uint16_t port = 0;
    std::string unix_path;
    [[nodiscard]] std::string to_string() const;
};

struct Listener {
    Address address;
    enum class Protocol : std::uint8_t { smtp, lmtp } protocol = Protocol::smtp;
    std::vector<Network> trusted;
    enum class BareNewline : std::uint8_t { normalize, reject } bare_newline = BareNewline::normalize;
};

struct Limits {
    std::uint64_t message_size = 50ULL << 20;
    std::uint32_t recipients_per_message = 1000;
    std::uint32_t connections = 2000;
    std::uint32_t connections_per_client = 50;
    std::uint32_t errors_per_session = 10;
    milliseconds command_timeout = std::chrono::minutes(5);
    milliseconds data_timeout = std::chrono::minutes(10);
    std::uint32_t received_headers = 50;
};

struct Queue {
    std::filesystem::path path = "/var/lib/postern/queue.db";
    std::uint64_t minimum_free_disk = 512ULL << 20;
    std::uint64_t maximum_messages = 5'000'000;
    milliseconds history = std::chrono::hours(24 * 7);
};

/// What a domain's recipients are checked against. `any` only, for now.
enum class RecipientCheck : std::uint8_t { any };

struct Domain {
    std::string pattern;  ///< lower case: "example.com" or "*.example.com" (any depth below, not the domain itself)
    std::string backend;
    RecipientCheck recipients = RecipientCheck::any;
};

/// When a backend's sudden permanent failures are kept instead of being believed.
struct Brake {
    std::uint32_t failures = 50;    ///< in the window, at least; 0: no brake
    std::uint32_t recipients = 30;  ///< different ones among them, at least
    double ratio = 0.8;             ///< of all verdicts in the window, at least
    milliseconds window = std::chrono::minutes(10);
};

struct Backend {
    std::string name;
    std::vector<Address> endpoints;
    enum class Balance : std::uint8_t { least_busy, failover, sticky } balance = Balance::least_busy;
    std::uint32_t connections = 20;  ///< per endpoint
    std::uint32_t recipients_per_transaction = 100;
    milliseconds connect_timeout = std::chrono::seconds(30);
    milliseconds reply_timeout = std::chrono::minutes(5);
    Brake brake;
    milliseconds refuse_after_down = std::chrono::hours(4);  ///< RCPT is answered 451 from then on; 0: never
    std::uint64_t refuse_backlog = 0;                        ///< ... or with more recipients waiting; 0: any number
};

/// The curve of one kind of reply; what is absent is derived from `retry` itself.
struct RetryClass {
    std::optional<milliseconds> first;
    std::optional<double> factor;
    std::optional<milliseconds> maximum;
};

struct Retry {
    milliseconds first = std::chrono::minutes(1);
    double factor = 2;
    milliseconds maximum = std::chrono::hours(1);
    milliseconds expire = std::chrono::hours(24 * 5);
    /// By kind: mailbox_full, busy, store, policy, connection, other. Those that the file gives.
    std::map<std::string, RetryClass> classes;
};

struct Control {
    std::filesystem::path socket;  ///< filled in: beside the queue
};

struct Log {
    enum class Format : std::uint8_t { logfmt, json } format = Format::logfmt;
    enum class Level : std::uint8_t { debug, info, warn, error } level = Level::info;
};

struct Config {
    std::filesystem::path file;  ///< where it was read from
    std::string hostname;
    std::string user;  ///< empty: none configured
    milliseconds shutdown_grace = std::chrono::seconds(10);
    std::vector<Listener> listeners;  ///< default: one, smtp on 0.0.0.0:25
    Limits limits;
    Queue queue;
    std::vector<Domain> domains;  ///< in the file's order; exact names win over patterns, longer patterns over shorter
    std::map<std::string, Backend> backends;
    Retry retry;
    Control control;
    Log log;
};

/// One thing that is wrong: "postern.yaml:12:5: unknown key `recipient`; did you mean `recipients`?"
struct Problem {
    std::filesystem::path file;
    int line = 0;  ///< from 1; 0: about the file as a whole
    int column = 0;
    std::string text;
    [[nodiscard]] std::string to_string() const;
};

struct Loaded {
    std::shared_ptr<const Config> config;  ///< nullptr when there is any problem
    std::vector<Problem> problems;         ///< all of them, in the file's order
    std::vector<Problem> warnings;
};

/// The name that `hostname` has when the file does not give one.
using HostnameSource = std::function<std::string()>;

/// Reads and checks `file`. Never throws; a file that cannot be read is a problem like any other.
/// May ask the resolver for the machine's fully qualified name, unless the file gives `hostname`.
[[nodiscard]] Loaded load(const std::filesystem::path& file);
/// The same on a text (for tests and fuzzing).
[[nodiscard]] Loaded load_text(const std::string& yaml, const std::filesystem::path& name);
[[nodiscard]] Loaded load_text(const std::string& yaml, const std::filesystem::path& name,
                               const HostnameSource& machine_hostname);

}  // namespace postern::config
