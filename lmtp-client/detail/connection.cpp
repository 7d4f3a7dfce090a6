#include "lmtp-client/detail/connection.hpp"

#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/errc.hpp>
#include <cerrno>
#include <exception>
#include <utility>

#include "lmtp-client/detail/dot_stuffing.hpp"
#include "lmtp-client/detail/sasl.hpp"

namespace postern::lmtp_client::detail {

namespace asio = boost::asio;

namespace {

constexpr auto as_values = asio::as_tuple(asio::use_awaitable);

/// Content leaves in writes of about this size; a part of any size is cut, so the buffer is at most twice this.
constexpr std::size_t write_octets = 64 * 1024;

constexpr int login_turns_max = 4;  // SCRAM has three

/// A peer can send TLS records that carry no data (tickets, key updates) as fast as they are read. So much is read in
/// one go; then others have their turn, and deadlines theirs.
constexpr int reads_at_once = 16;
/// So many octets without data are more than any honest peer sends: a few tickets, or a record of 16 KiB in pieces.
constexpr std::size_t octets_without_data_max = 256 * 1024;

/// read_now() has read its share: perhaps there is more, but not now.
constexpr auto read_enough = asio::error::in_progress;

/// Of the generic category: no socket reports it.
bool is_without_data(const boost::system::error_code& error) {
    return error == boost::system::errc::make_error_code(boost::system::errc::protocol_error);
}
constexpr const char* without_data = "TLS records without end that carry no data";

/// While a reply is awaited nothing is sent: that the peer's machine has died would be seen by the deadline alone,
/// minutes after another has taken its place. So the kernel asks: after 20 s of silence, and gives up 40 s later.
void watch_peer(int socket) {
    const auto set = [socket](int level, int name, int value) {
        static_cast<void>(::setsockopt(socket, level, name, &value, sizeof value));
    };
    set(SOL_SOCKET, SO_KEEPALIVE, 1);
    set(IPPROTO_TCP, TCP_KEEPIDLE, 20);
    set(IPPROTO_TCP, TCP_KEEPINTVL, 10);
    set(IPPROTO_TCP, TCP_KEEPCNT, 4);
}

Connection::Ended fault(Trouble trouble, std::string detail) {
    Connection::Ended ended;
    ended.trouble = trouble;
    ended.detail = std::move(detail);
    return ended;
}

}  // namespace

Connection::Connection(asio::any_io_executor executor, std::shared_ptr<NameLookups> names)
    : executor_(std::move(executor)), socket_(executor_), names_(std::move(names)) {}

// ---- Opening ----

asio::awaitable<std::optional<Connection::Ended>> Connection::open(const Endpoint& where,
                                                                   const ClientOptions& options) {
    endpoint = where;
    security = options.security;
    born_ = Clock::now();
    transcript_.begin(born_);
    std::optional<Ended> refused = co_await connect_and_greet(options, security.tls);
    if (refused && tls_failed_ && security.tls == Security::Tls::opportunistic && !timed_out_) {
        // RFC 7435: a TLS that does not work is no reason not to deliver. On a new connection: this one is spoilt.
        transcript_.note(refused->detail + "; now in clear", Clock::now());
        tls_.reset();
        refused = co_await connect_and_greet(options, Security::Tls::off);
    }
    deadline_ = Clock::time_point::max();
    if (refused) {
        transcript_.note(refused->detail, Clock::now());
        refused->transcript = transcript_.text();
    }
    co_return refused;
}

asio::awaitable<std::optional<Connection::Ended>> Connection::connect_and_greet(const ClientOptions& options,
                                                                                Security::Tls tls) {
    transcript_.note("connecting to " + endpoint.to_string(), Clock::now());
    const ErrorCode error = co_await connect(endpoint, options.connect_timeout);
    if (timed_out_) {
        co_return fault(Trouble::connect, "timed out connecting");
    }
    if (error) {
        co_return fault(Trouble::connect, error.message());
    }
    transcript_.note("connected", Clock::now());
    std::optional<Ended> refused = co_await greet(options);
    if (!refused && tls != Security::Tls::off) {
        refused = co_await encrypt(options, tls);
    }
    if (!refused && options.security.login) {
        refused = co_await log_in(options);
    }
    co_return refused;
}

asio::awaitable<Connection::ErrorCode> Connection::find_addresses(const Endpoint& where,
                                                                  std::vector<SocketEndpoint>& out) {
    if (!where.unix_path.empty()) {
        if (where.unix_path.size() >= sizeof(sockaddr_un::sun_path)) {
            co_return asio::error::name_too_long;
        }
        out.emplace_back(asio::local::stream_protocol::endpoint(where.unix_path));
        co_return ErrorCode();
    }
    ErrorCode not_numeric;
    const auto address = asio::ip::make_address(where.host, not_numeric);
    if (!not_numeric) {
        out.emplace_back(asio::ip::tcp::endpoint(address, where.port));
        co_return ErrorCode();
    }
    lookup_ = names_->begin(where.host);
    static_cast<void>(co_await lookup_->timer.async_wait(as_values));
    const auto found = std::exchange(lookup_, nullptr)->found;
    if (!found) {
        co_return asio::error::operation_aborted;
    }
    for (const asio::ip::address& each : found->addresses) {
        out.emplace_back(asio::ip::tcp::endpoint(each, where.port));
    }
    co_return found->error;
}

/// The addresses share the time: one that swallows everything leaves some for the next.
asio::awaitable<Connection::ErrorCode> Connection::connect(const Endpoint& where, std::chrono::milliseconds patience) {
    std::vector<SocketEndpoint> addresses;
    const auto until = Clock::now() + patience;
    set_deadline(patience);
    ErrorCode error = co_await find_addresses(where, addresses);
    if (error) {
        co_return error;
    }
    error = asio::error::host_not_found;
    for (auto address = addresses.begin(); address != addresses.end(); ++address) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now());
        if (timed_out_ && left.count() <= 0) {
            break;
        }
        ErrorCode ignored;
        socket_.close(ignored);
        timed_out_ = false;
        set_deadline(left / (addresses.end() - address));
        const auto [connect_error] = co_await socket_.async_connect(*address, as_values);
        error = connect_error;
        if (!error) {
            break;
        }
    }
    if (!error) {
        ErrorCode ignored;
        socket_.non_blocking(true, error);
        if (where.unix_path.empty()) {
            socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
            watch_peer(socket_.native_handle());
        }
    }
    co_return error;
}

/// RFC 2033 section 4.1: LHLO is the only greeting; a store that refuses it is not tried with EHLO. In SMTP a refused
/// EHLO is followed by HELO, which promises nothing (RFC 5321 sections 3.2 and 4.1.4).
asio::awaitable<std::optional<Connection::Ended>> Connection::greet(const ClientOptions& options) {
    mail::Reply reply;
    set_deadline(options.reply_timeout);
    std::optional<Ended> absent = co_await read_reply(reply, Trouble::connect, "greeting");
    if (absent) {
        co_return absent;
    }
    if (reply.code() == 421) {
        co_return fault(Trouble::shutting_down, reply.to_string());
    }
    if (reply.code() != 220) {
        co_return fault(Trouble::greeting, reply.to_string());
    }
    absent = co_await introduce(options);
    co_return absent;
}

asio::awaitable<std::optional<Connection::Ended>> Connection::introduce(const ClientOptions& options) {
    mail::Reply reply;
    const bool smtp = endpoint.protocol == Protocol::smtp;
    std::string verb = smtp ? "EHLO" : "LHLO";
    std::optional<Ended> absent = co_await say_hello(verb, options, reply);
    if (absent) {
        co_return absent;
    }
    if (smtp && reply.is_permanent()) {
        verb = "HELO";
        absent = co_await say_hello(verb, options, reply);
        if (absent) {
            co_return absent;
        }
    }
    if (!reply.is_success()) {
        co_return fault(Trouble::greeting, reply.to_string() + " (to " + verb + ")");
    }
    capabilities_ = verb == "HELO" ? Capabilities() : Capabilities::read(reply);
    co_return std::nullopt;
}

/// nullopt: the answer, whatever it says but 421, is in `reply`.
asio::awaitable<std::optional<Connection::Ended>> Connection::say_hello(std::string verb, const ClientOptions& options,
                                                                        mail::Reply& reply) {
    std::string command = verb + " " + options.hostname + "\r\n";
    std::optional<Ended> absent = co_await ask(std::move(command), std::move(verb), options, reply);
    co_return absent;
}

/// Sends a command and reads its answer, as say_hello(). `name`: the command in our own words.
asio::awaitable<std::optional<Connection::Ended>> Connection::ask(std::string command, std::string name,
                                                                  const ClientOptions& options, mail::Reply& reply) {
    set_deadline(options.reply_timeout);
    if (name == "AUTH") {
        transcript_.sent("AUTH (not shown)\r\n", Clock::now());
    } else {
        transcript_.sent(command, Clock::now());
    }
    const ErrorCode error = co_await write(command);
    if (error) {
        co_return fault(Trouble::broken, error.message() + ", sending " + name);
    }
    const std::string awaited = "reply to " + name;
    std::optional<Ended> absent = co_await read_reply(reply, Trouble::broken, awaited);
    if (!absent && reply.code() == 421) {
        absent = fault(Trouble::shutting_down, reply.to_string());
    }
    co_return absent;
}

// ---- Encryption and login ----

/// RFC 3207 section 4. What was said in clear is forgotten (section 4.2), and that nothing stands behind the 220 was
/// seen by read_reply(): nobody can have put in a command of his own.
asio::awaitable<std::optional<Connection::Ended>> Connection::encrypt(const ClientOptions& options, Security::Tls tls) {
    const bool required = tls != Security::Tls::opportunistic;
    if (!capabilities_.starttls) {
        if (required) {
            co_return fault(Trouble::greeting, "TLS is required, and STARTTLS is not offered");
        }
        co_return std::nullopt;
    }
    mail::Reply reply;
    std::string command = "STARTTLS\r\n";
    std::string name = "STARTTLS";
    std::optional<Ended> absent = co_await ask(std::move(command), std::move(name), options, reply);
    if (absent) {
        co_return absent;
    }
    if (reply.code() != 220) {
        if (required) {
            co_return fault(Trouble::greeting, reply.to_string() + " (to STARTTLS)");
        }
        co_return std::nullopt;
    }
    const std::string problem = co_await shake_hands(options);
    if (!problem.empty()) {
        tls_failed_ = true;
        co_return fault(Trouble::greeting, "TLS: " + problem);
    }
    transcript_.note("encrypted", Clock::now());
    capabilities_ = Capabilities();
    absent = co_await introduce(options);
    co_return absent;
}

/// Empty, or what went wrong.
asio::awaitable<std::string> Connection::shake_hands(const ClientOptions& options) {
    const std::string& host = options.security.host.empty() ? endpoint.host : options.security.host;
    tls_ = std::make_unique<TlsStream>(options.security, host);
    octets_without_data_ = 0;
    set_deadline(options.reply_timeout);
    while (true) {
        const TlsStream::Progress progress = tls_->handshake();
        const std::string output = tls_->take_output();
        const ErrorCode write_error = co_await send_octets(output);
        if (progress == TlsStream::Progress::failed) {
            co_return tls_->error();
        }
        if (write_error) {
            co_return write_error.message();
        }
        if (progress == TlsStream::Progress::ready) {
            co_return std::string();
        }
        const auto [error, count] = co_await socket_.async_read_some(asio::buffer(ciphertext_), as_values);
        if (timed_out_) {
            co_return std::string("timed out");
        }
        if (error) {
            co_return error.message();
        }
        tls_->feed(std::string_view(ciphertext_.data(), count));
    }
}

/// RFC 4954 section 4. Without a session whose certificate was checked, nothing is sent.
asio::awaitable<std::optional<Connection::Ended>> Connection::log_in(const ClientOptions& options) {
    if (!tls_ || options.security.tls != Security::Tls::required) {
        co_return fault(Trouble::greeting, "AUTH needs `required` TLS");
    }
    if (capabilities_.login.empty()) {
        co_return fault(Trouble::greeting, "AUTH is offered with no mechanism that is spoken here");
    }
    SaslClient sasl(capabilities_.login, *options.security.login);
    mail::Reply reply;
    std::string command = "AUTH " + std::string(capabilities_.login) + ' ';
    std::string challenge;
    for (int turn = 0; turn < login_turns_max; ++turn) {
        const std::optional<std::string> words = sasl.step(challenge);
        if (!words) {
            co_return fault(Trouble::greeting, "AUTH: " + sasl.problem());
        }
        command += *words + "\r\n";
        std::string name = "AUTH";
        std::optional<Ended> absent = co_await ask(std::move(command), std::move(name), options, reply);
        if (absent) {
            co_return absent;
        }
        if (reply.code() != 334) {
            break;
        }
        challenge = reply.text();
        command.clear();
    }
    if (reply.code() != 235) {
        co_return fault(Trouble::greeting, reply.to_string() + " (to AUTH)");
    }
    if (!sasl.is_done()) {
        co_return fault(Trouble::greeting, "AUTH: taken by a server that did not prove that it knows the password");
    }
    co_return std::nullopt;
}

/// Reads one reply and makes sure that nothing stands behind it. nullopt: it is in `out`.
asio::awaitable<std::optional<Connection::Ended>> Connection::read_reply(mail::Reply& out, Trouble when_absent,
                                                                         std::string_view awaited) {
    const std::string where = ", awaited: " + std::string(awaited);
    ReplyParser parser;
    while (true) {
        const Arrived arrived = co_await read_some();
        if (timed_out_) {
            co_return fault(when_absent, "timed out" + where);
        }
        if (is_without_data(arrived.error)) {
            co_return fault(Trouble::protocol, without_data + where);
        }
        if (arrived.error) {
            co_return fault(when_absent, arrived.error.message() + where);
        }
        std::string_view bytes(input_.data(), arrived.count);
        transcript_.received(bytes, Clock::now());
        const bool ready = parser.feed(bytes);
        if (parser.fault() != ReplyFault::none) {
            co_return fault(Trouble::protocol, std::string(describe(parser.fault())) + where);
        }
        if (!ready) {
            continue;
        }
        out = parser.take();
        if (!bytes.empty() && out.code() != 421) {
            co_return fault(Trouble::protocol, "the store sent more than one reply" + where);
        }
        co_return std::nullopt;
    }
}

// ---- One transaction ----

bool Connection::is_confidential() const {
    if (tls_) {
        // With a `host` of its own the address came from the DNS, which need not be signed; and DANE's records may be
        // such that nobody is authenticated by them (RFC 8689 section 4.2.1).
        return security.tls == Security::Tls::required && security.host.empty() && !security.dane;
    }
    return endpoint.is_local();
}

asio::awaitable<Connection::Ended> Connection::run(const Transaction& transaction, DialogueOptions dialogue_options,
                                                   bool may_be_dead, OutcomeSink& outcomes,
                                                   const ClientOptions& options) {
    timed_out_ = false;
    content_read_ = false;
    was_dead_ = false;
    may_be_dead_ = may_be_dead;
    reply_awaited_ = false;
    replies_seen_ = 0;
    const Clock::time_point now = Clock::now();
    last_deadline_ = now + options.transaction_timeout;
    const bool reused = std::exchange(has_served_, true);
    if (reused) {
        transcript_.begin(now);
    }
    dialogue_options.confidential = is_confidential();
    Dialogue dialogue(capabilities_, transaction, dialogue_options, outcomes);
    dialogue.start();
    try {
        co_await converse(dialogue, transaction, options);
    } catch (const std::exception& error) {
        dialogue.content_failed(error.what());
    }
    deadline_ = Clock::time_point::max();
    Ended ended;
    ended.was_dead = was_dead_;
    ended.trouble = dialogue.trouble();
    ended.detail = dialogue.detail();
    ended.reusable = dialogue.is_reusable() && !was_dead_;
    if (dialogue.has_failed() && !was_dead_) {
        if (!ended.detail.empty()) {
            transcript_.note(ended.detail, Clock::now());
        }
        std::string before;
        if (reused) {
            const auto age = std::chrono::duration_cast<std::chrono::seconds>(now - born_);
            before = "on a connection to " + endpoint.to_string() + " that was opened " + std::to_string(age.count()) +
                     " s before";
        }
        ended.transcript = transcript_.text(before);
    }
    co_return ended;
}

asio::awaitable<void> Connection::converse(Dialogue& dialogue, const Transaction& transaction,
                                           const ClientOptions& options) {
    while (!was_dead_) {
        switch (dialogue.next()) {
            case Dialogue::Action::send:
                co_await send_commands(dialogue, options);
                break;
            case Dialogue::Action::send_content:
                co_await send_content(dialogue, transaction, options);
                break;
            case Dialogue::Action::receive:
                co_await receive(dialogue, options);
                break;
            case Dialogue::Action::finish:
                co_return;
        }
    }
}

asio::awaitable<void> Connection::send_commands(Dialogue& dialogue, const ClientOptions& options) {
    take_what_came(dialogue);
    if (was_dead_ || dialogue.next() != Dialogue::Action::send) {
        co_return;
    }
    set_deadline(options.reply_timeout);
    transcript_.sent(dialogue.output(), Clock::now());
    const ErrorCode error = co_await write(dialogue.output());
    if (error) {
        broke(dialogue, error);
        co_return;
    }
    reply_awaited_ = false;
    dialogue.sent();
}

/// The time for a reply begins when it is first waited for, and not again with each of its octets.
asio::awaitable<void> Connection::receive(Dialogue& dialogue, const ClientOptions& options) {
    if (!reply_awaited_ || dialogue.replies() != replies_seen_) {
        reply_awaited_ = true;
        replies_seen_ = dialogue.replies();
        set_deadline(dialogue.is_content_sent() ? options.final_reply_timeout : options.reply_timeout);
    }
    const Arrived arrived = co_await read_some();
    if (arrived.count > 0) {
        const std::string_view bytes(input_.data(), arrived.count);
        transcript_.received(bytes, Clock::now());
        dialogue.received(bytes);
    }
    if (arrived.error || timed_out_) {
        broke(dialogue, arrived.error);
    }
}

/// Reads ahead by one part, so that the end of the data leaves in the same write as the last octets, and leaves only
/// when the content is known to be whole.
asio::awaitable<void> Connection::send_content(Dialogue& dialogue, const Transaction& transaction,
                                               const ClientOptions& options) {
    set_deadline(options.content_timeout);
    const bool dotted = dialogue.encoding() == Dialogue::Encoding::dotted;
    DotStuffer stuffer;
    std::uint64_t total = 0;
    buffer_.assign(dialogue.output());
    if (!buffer_.empty()) {
        transcript_.sent(buffer_, Clock::now());
    }
    content_read_ = true;
    while (true) {
        const auto part = co_await transaction.content->next();
        if (part.has_error()) {
            dialogue.content_failed(part.error());
            co_return;
        }
        std::string_view rest = *part;
        total += rest.size();
        if (total > transaction.size || (rest.empty() && total != transaction.size)) {
            dialogue.content_failed("the content has not the size that was recorded");
            co_return;
        }
        if (rest.empty()) {
            break;
        }
        while (!rest.empty()) {
            if (buffer_.size() >= write_octets) {
                const bool flushed = co_await flush_content(dialogue);
                if (!flushed) {
                    co_return;
                }
            }
            const std::string_view slice = rest.substr(0, write_octets);
            rest.remove_prefix(slice.size());
            if (dotted) {
                stuffer.append(slice, buffer_);
            } else {
                buffer_.append(slice);
            }
        }
    }
    if (dotted) {
        stuffer.finish(buffer_);
    }
    const bool flushed = co_await flush_content(dialogue);
    if (flushed) {
        transcript_.content(total, Clock::now());
        reply_awaited_ = false;
        dialogue.content_sent();
    }
}

/// Writes buffer_. Looks first at what the store has said meanwhile: what comes before the data's end is no answer to
/// it.
asio::awaitable<bool> Connection::flush_content(Dialogue& dialogue) {
    take_what_came(dialogue);
    if (dialogue.next() == Dialogue::Action::finish) {
        co_return false;
    }
    if (timed_out_) {
        dialogue.timed_out();
        co_return false;
    }
    const ErrorCode error = co_await write(buffer_);
    if (error) {
        if (!timed_out_) {
            take_what_came(dialogue);  // perhaps it said why
        }
        broke(dialogue, error);
        co_return false;
    }
    buffer_.clear();
    if (!dialogue.output().empty()) {
        dialogue.sent();
    }
    co_return true;
}

asio::awaitable<Connection::ErrorCode> Connection::write(std::string_view bytes) {
    if (!tls_) {
        const ErrorCode error = co_await send_octets(bytes);
        co_return error;
    }
    if (!tls_->write(bytes)) {
        co_return asio::error::connection_aborted;
    }
    const std::string ciphertext = tls_->take_output();
    const ErrorCode error = co_await send_octets(ciphertext);
    co_return error;
}

/// Success: the kernel has all of `bytes`. An error: it has not got the last of them, so the store will never see it.
asio::awaitable<Connection::ErrorCode> Connection::send_octets(std::string_view bytes) {
    while (!bytes.empty()) {
        ErrorCode error;
        const std::size_t count = socket_.write_some(asio::buffer(bytes), error);
        bytes.remove_prefix(count);
        if (bytes.empty() && !error) {
            co_return error;
        }
        if (error == asio::error::would_block) {
            const auto [wait_error] = co_await socket_.async_wait(Socket::wait_write, as_values);
            error = wait_error;
        }
        if (timed_out_) {
            co_return asio::error::timed_out;
        }
        if (error) {
            co_return error;
        }
    }
    co_return ErrorCode();
}

asio::awaitable<Connection::Arrived> Connection::read_some() {
    if (!tls_) {
        const auto [error, count] = co_await socket_.async_read_some(asio::buffer(input_), as_values);
        co_return Arrived(error, count);
    }
    while (true) {
        const Arrived there = read_now();
        if (there.error != asio::error::would_block && there.error != read_enough) {
            co_return there;
        }
        // After read_enough too: it comes back by way of the reactor, at once when there is more.
        const auto [error] = co_await socket_.async_wait(Socket::wait_read, as_values);
        if (error) {
            co_return Arrived(error, 0);
        }
        if (timed_out_) {
            co_return Arrived(asio::error::timed_out, 0);
        }
    }
}

Connection::Arrived Connection::read_now() {
    ErrorCode error;
    if (!tls_) {
        const std::size_t count = socket_.read_some(asio::buffer(input_), error);
        return {error, count};
    }
    for (int reads = 0;; ++reads) {
        const std::size_t count = tls_->read(input_);
        if (count > 0) {
            octets_without_data_ = 0;
            return {ErrorCode(), count};
        }
        if (error) {
            return {error, 0};
        }
        if (tls_->has_ended()) {
            return {asio::error::eof, 0};
        }
        if (octets_without_data_ > octets_without_data_max) {
            return {boost::system::errc::make_error_code(boost::system::errc::protocol_error), 0};
        }
        if (reads == reads_at_once) {
            return {read_enough, 0};
        }
        const std::size_t octets = socket_.read_some(asio::buffer(ciphertext_), error);
        octets_without_data_ += octets;
        tls_->feed(std::string_view(ciphertext_.data(), octets));
    }
}

void Connection::take_what_came(Dialogue& dialogue) {
    while (dialogue.next() != Dialogue::Action::finish) {
        const Arrived arrived = read_now();
        if (arrived.count > 0) {
            const std::string_view bytes(input_.data(), arrived.count);
            transcript_.received(bytes, Clock::now());
            dialogue.received(bytes);
        }
        if (arrived.error) {
            if (arrived.error != asio::error::would_block && arrived.error != read_enough) {
                broke(dialogue, arrived.error);
            }
            return;
        }
    }
}

/// A reused connection that is found dead before it answered anything is no news about the store: it had been closed
/// before. But only while the content is untouched, since it can be read but once, and since a store that had it all
/// may have died afterwards.
void Connection::broke(Dialogue& dialogue, const ErrorCode& error) {
    if (timed_out_) {
        dialogue.timed_out();
    } else if (is_without_data(error)) {
        dialogue.out_of_step(without_data);
    } else if (may_be_dead_ && dialogue.is_untouched() && !content_read_) {
        was_dead_ = true;
    } else {
        dialogue.closed(error.message());
    }
}

// ---- Time, and the end ----

void Connection::set_deadline(std::chrono::milliseconds patience) {
    deadline_ = std::min(Clock::now() + patience, last_deadline_);
}

void Connection::expire(Clock::time_point now) {
    if (now < deadline_) {
        return;
    }
    deadline_ = Clock::time_point::max();
    timed_out_ = true;
    if (lookup_) {
        lookup_->timer.cancel();
    }
    ErrorCode ignored;
    socket_.cancel(ignored);
}

bool Connection::is_quiet() {
    if (tls_) {
        // A session's tickets may come at any time, and say nothing. More of them than are read at once are not quiet.
        const Arrived arrived = read_now();
        return arrived.count == 0 && arrived.error == asio::error::would_block;
    }
    char octet = 0;
    const auto count = ::recv(socket_.native_handle(), &octet, 1, MSG_PEEK | MSG_DONTWAIT);
    return count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

void Connection::quit() {
    ErrorCode ignored;
    std::string command = "QUIT\r\n";
    if (tls_) {
        command = tls_->write(command) ? tls_->take_output() : std::string();
    }
    socket_.write_some(asio::buffer(command), ignored);
    socket_.shutdown(Socket::shutdown_send, ignored);
}

bool Connection::is_closed_by_store() {
    for (int reads = 0; reads < reads_at_once; ++reads) {
        ErrorCode error;
        socket_.read_some(asio::buffer(input_), error);
        if (error) {
            return error != asio::error::would_block;
        }
    }
    return false;  // it talks on; the pool has set it a time
}

void Connection::close() {
    ErrorCode ignored;
    socket_.close(ignored);
}

}  // namespace postern::lmtp_client::detail
