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
#include <string_view>
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

/// A listener's TLS. The files are read when the gateway starts, not here.
struct Tls {
    struct Pair {
        std::filesystem::path certificate;  ///< PEM: the server's own, then its issuers
        std::filesystem::path key;
    };
    std::vector<Pair> pairs;  ///< never empty: `certificate` and `key`, then those of `additional`
    bool required = false;    ///< nothing but EHLO, NOOP and QUIT before STARTTLS
    bool implicit = false;    ///< TLS from the first octet
    bool ask_client_certificate = false;
};

struct Listener {
    Address address;
    enum class Protocol : std::uint8_t { smtp, lmtp } protocol = Protocol::smtp;
    std::optional<Tls> tls;
    std::vector<Network> proxy_protocol;  ///< whose connections begin with a PROXY header
    std::vector<Network> trusted;
    enum class BareNewline : std::uint8_t { normalize, reject } bare_newline = BareNewline::normalize;
    enum class EarlyTalk : std::uint8_t { refuse, allow } early_talk = EarlyTalk::refuse;
};

struct Limits {
    std::uint64_t message_size = 50ULL << 20;
    std::uint32_t recipients_per_message = 1000;
    std::uint32_t connections = 2000;
    std::uint32_t connections_per_client = 50;
    std::uint32_t connections_per_minute = 120;  ///< of one client, as the next three; 0: no limit
    std::uint32_t messages_per_minute = 600;
    std::uint32_t recipients_per_minute = 3000;
    std::uint32_t errors_per_minute = 60;
    std::uint32_t unknown_recipients_per_hour = 60;  ///< of one client; 0: no limit
    std::uint32_t errors_per_session = 10;
    std::uint32_t commands_without_mail = 100;
    milliseconds greeting_delay{0};
    milliseconds stress_timeout = std::chrono::seconds(10);  ///< 0: never
    milliseconds command_timeout = std::chrono::minutes(5);
    milliseconds data_timeout = std::chrono::minutes(10);
    std::uint32_t received_headers = 50;
};

/// A list of addresses in the DNS (RFC 5782).
struct DnsList {
    std::string zone;
    std::uint32_t weight = 10;
    std::vector<std::string> codes;  ///< which of its answers count, "127.0.0.2"; empty: all
};

/// Clients that look suspicious are asked to come again.
struct Greylist {
    bool suspicious = false;  ///< those are; false: nobody is
    milliseconds delay = std::chrono::minutes(5);
    milliseconds retry_within = std::chrono::hours(24 * 2);
    milliseconds remember = std::chrono::hours(24 * 35);
    std::uint32_t maximum = 100'000;
};

/// What clients of other machines are measured by before their mail is taken.
struct Screening {
    bool reverse_names = true;
    bool sender_domains = true;
    std::vector<DnsList> block;
    std::vector<DnsList> allow;
    std::uint32_t refuse_at = 10;
    std::uint32_t suspect_at = 1;
    Greylist greylist;
};

struct Queue {
    std::filesystem::path path = "/var/lib/postern/queue.db";
    std::uint64_t minimum_free_disk = 512ULL << 20;
    std::uint64_t maximum_messages = 5'000'000;
    milliseconds history = std::chrono::hours(24 * 7);
};

/// How a domain's recipients are known.
struct RecipientCheck {
    enum class How : std::uint8_t {
        ask,     ///< the backend is asked at RCPT
        any,     ///< whoever is named is taken; the backend says later
        list,    ///< `addresses`
        file,    ///< `path`: one a line
        sqlite,  ///< `path` and `query`
    } how = How::ask;
    std::vector<std::string> addresses;  ///< as written: addresses, local parts, "@domain"
    std::filesystem::path path;          ///< read when the gateway starts, not here
    std::string query;

    friend bool operator==(const RecipientCheck&, const RecipientCheck&) = default;
};

/// How `recipients: ask` asks, and for how long it believes the answers.
struct Ask {
    milliseconds timeout = std::chrono::seconds(3);
    std::uint32_t connections = 4;  ///< to each backend
    milliseconds positive = std::chrono::hours(24 * 7);
    milliseconds refresh = std::chrono::hours(1);
    milliseconds negative = std::chrono::minutes(10);
    std::uint32_t entries = 100'000;
};

struct Domain {
    std::string pattern;  ///< lower case: "example.com" or "*.example.com" (any depth below, not the domain itself)
    std::string backend;
    RecipientCheck recipients;
};

/// When a backend's sudden permanent failures are kept instead of being believed.
struct Brake {
    std::uint32_t failures = 50;    ///< in the window, at least; 0: no brake
    std::uint32_t recipients = 30;  ///< different ones among them, at least
    double ratio = 0.8;             ///< of all verdicts in the window, at least
    milliseconds window = std::chrono::minutes(10);
};

/// Whether connections to somebody are encrypted: when it is offered and works, or else not at all.
enum class Encryption : std::uint8_t { off, opportunistic, required };

/// What no backend of the file may be called: mail for the domains of others goes by this name.
inline constexpr std::string_view outgoing_backend = "outgoing";

struct Backend {
    std::string name;
    std::vector<Address> endpoints;
    enum class Balance : std::uint8_t { least_busy, failover, sticky } balance = Balance::least_busy;
    std::uint32_t connections = 20;  ///< per endpoint
    std::uint32_t recipients_per_transaction = 100;
    Encryption tls = Encryption::off;
    std::filesystem::path tls_authorities;  ///< PEM; empty: the system's
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
    milliseconds delay_notice = std::chrono::hours(4);  ///< 0: none
    /// By kind: mailbox_full, busy, store, policy, connection, other. Those that the file gives.
    std::map<std::string, RetryClass> classes;
};

/// What senders are told of mail that cannot be delivered, and the way out for that.
struct Bounces {
    enum class Send : std::uint8_t { always, verified, never } send = Send::verified;
    /// The way to other domains.
    enum class Way : std::uint8_t { mx, relay, none } way = Way::mx;
    std::optional<Address> relay;  ///< another mail server, over SMTP; with Way::relay
    Encryption relay_tls = Encryption::opportunistic;
    std::filesystem::path relay_authorities;  ///< PEM; empty: the system's
    std::string relay_user;                   ///< AUTH; empty: none
    std::filesystem::path relay_password_file;
    // With Way::mx:
    std::uint32_t port = 25;                   ///< of the servers of other domains
    std::map<std::string, Encryption> tls;     ///< by domain, lower case; of all others: opportunistic
    std::uint32_t connections = 200;           ///< transactions at once, to all domains together
    std::uint32_t connections_per_domain = 5;  ///< ... to one
    /// Where no MX can be, whatever DNS says.
    std::vector<Network> never_to{{"0.0.0.0", 8}, {"127.0.0.0", 8}, {"169.254.0.0", 16}, {"224.0.0.0", 3},
                                  {"::", 127},    {"fe80::", 10},   {"ff00::", 8}};
    std::string from;               ///< filled in: postmaster of the first domain
    std::uint32_t per_domain = 10;  ///< reports a second to one domain, at most
};

/// Where questions about names go.
struct Dns {
    std::vector<Address> servers;  ///< recursive ones, IP addresses; empty: those of /etc/resolv.conf
    /// What signatures are checked against; empty: they are not.
    std::filesystem::path trust_anchor = default_trust_anchor;
    milliseconds timeout = std::chrono::seconds(5);  ///< for each question

    static constexpr const char* default_trust_anchor = "/usr/share/dns/root.key";  ///< Debian's dns-root-data
};

struct Control {
    std::filesystem::path socket;  ///< filled in: beside the queue
    std::optional<Address> http;   ///< an IP address: metrics and health; absent: off
};

struct Log {
    enum class Format : std::uint8_t { logfmt, json } format = Format::logfmt;
    enum class Level : std::uint8_t { debug, info, warn, error } level = Level::info;
};

struct Config {
    std::filesystem::path file;  ///< where it was read from
    std::string hostname;
    std::string user;  ///< empty: none configured
    bool sandbox = true;
    milliseconds shutdown_grace = std::chrono::seconds(10);
    std::vector<Listener> listeners;  ///< default: one, smtp on 0.0.0.0:25
    Limits limits;
    Screening screening;
    Queue queue;
    std::vector<Domain> domains;  ///< in the file's order; exact names win over patterns, longer patterns over shorter
    std::map<std::string, Backend> backends;
    Ask ask;
    Retry retry;
    Bounces bounces;
    Dns dns;
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
    /// Where a gateway that runs on what the file was before can perhaps be asked; empty: that cannot be said.
    std::filesystem::path control_socket;
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
