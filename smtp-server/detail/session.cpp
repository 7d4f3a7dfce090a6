#include "smtp-server/detail/session.hpp"
#include "smtp-server/detail/awaited.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#include <exception>
#include <utility>

namespace postern::smtp_server::detail {

namespace asio = boost::asio;
using mail::EnhancedStatus;
using mail::Reply;

namespace {

constexpr std::size_t block_octets = 4096;
constexpr std::size_t content_block_octets = 64 * 1024;
constexpr std::size_t out_octets_max = 64 * 1024;  // a client that pipelines and does not read is waited for
constexpr char tls_handshake = 0x16;               // the first octet of a ClientHello (RFC 8446 section 5.1)

constexpr int lingering_blocks_max = 16;
constexpr std::uint64_t refused_for_each_allowed = 10;  // recipients, in one session and since its last message

/// What speaks in octets would say no line for us to refuse, and wait.
bool begins_no_command(char first) {
    const bool is_blank = first == '\r' || first == '\n' || first == '\t' || first == ' ';
    return !is_blank && (first < ' ' || first > '~');
}

}  // namespace

Session::Session(Socket socket, Client client, std::shared_ptr<const SessionOptions> options, Surroundings surroundings)
    : socket_(std::move(socket)),
      info_(std::move(client.info)),
      place_(std::move(client.place)),
      behind_balancer_(client.behind_balancer),
      options_(std::move(options)),
      around_(surroundings),
      dialogue_(*options_),
      lines_(options_->limits.command_line),
      block_(block_octets) {
    info_.recipients_ahead = [this] { return recipients_ahead(); };
}

asio::awaitable<void> Session::run(Refusal refusal) {
    std::exception_ptr problem;
    try {
        co_await open(std::move(refusal));
        co_await talk();
    } catch (...) {
        problem = std::current_exception();
    }
    chunks_.reset();
    if (problem) {
        say_and_close(Reply(421, EnhancedStatus(4, 3, 0), "Internal error; try again later"));
        end("internal error");
    }
    wait_at_most(options_->limits.command_timeout);  // the store's work had no limit, but the client's has
    co_await send();
    close_gently();
    around_.hooks.disconnected(info_, reason_, messages_);
    if (problem) {
        std::rethrow_exception(problem);
    }
}

asio::awaitable<void> Session::talk() {
    while (!over_) {
        const bool idle = begin_ == end_;
        if (idle || out_.size() > out_octets_max) {
            co_await send();
        }
        if (over_) {
            break;
        }
        if (draining_ && !chunks_) {
            say_and_close(Reply(421, EnhancedStatus(4, 3, 2), "Shutting down; try again later"));
            end("shutdown");
            break;
        }
        if (idle) {
            co_await fill(Doing::awaiting_command);
            continue;
        }
        co_await take_line();
    }
}

asio::awaitable<void> Session::take_line() {
    if (std::exchange(at_first_octet_, false) && begins_no_command(input().front())) {
        const bool is_tls = input().front() == tls_handshake;
        const std::string_view text = is_tls ? "This is not a port for TLS" : "This is a mail server";
        say_and_close(Reply(521, EnhancedStatus(5, 5, 1), std::string(text)));
        end(is_tls ? "TLS without STARTTLS" : "speaks another protocol");
        co_return;
    }
    const LineReader::Fed fed = lines_.feed(input());
    consume(fed.consumed);
    if (fed.status == LineStatus::need_more) {
        co_return;
    }
    doing_ = Doing::asking;
    if (fed.status != LineStatus::line) {
        const Reply reply = line_fault_reply(fed.status);
        say(reply);
        count_error(reply);
    } else {
        const Result<Command, Reply> command = parse_command(lines_.line(), dialogue_.parse_context());
        if (command.has_error()) {
            const Reply& refusal = command.error();
            if (closes_connection(refusal)) {
                say_and_close(refusal);
                end("speaks another protocol");
            } else {
                say(refusal);
                count_error(refusal);
            }
        } else {
            co_await take_command(*command);
        }
    }
    set_command_deadline();
}

asio::awaitable<void> Session::take_command(const Command& command) {
    if (is_too_early_for(command)) {
        say_and_close(Reply(503, EnhancedStatus(5, 5, 1), "Wait for the reply before you go on"));
        end("talked before its turn");
        co_return;
    }
    if (!brings_mail_nearer(command) && is_one_command_too_many()) {
        hang_up_on_idler();
        co_return;
    }
    const Step step = dialogue_.decide(command);
    if (const auto* answer = std::get_if<Say>(&step)) {
        info_.helo = dialogue_.helo();
        info_.extended = dialogue_.extended();
        if (!dialogue_.in_chunks()) {
            chunks_.reset();  // RSET, EHLO and the like end a message that came in part; VRFY and NOOP do not
        }
        if (answer->close) {
            say_and_close(answer->reply);
            end("quit");
        } else {
            say(answer->reply);
            count_error(answer->reply);
        }
    } else if (std::holds_alternative<AskMail>(step)) {
        co_await take_mail(std::get<MailCommand>(command));
    } else if (std::holds_alternative<AskRcpt>(step)) {
        co_await take_rcpt(std::get<RcptCommand>(command));
    } else if (std::holds_alternative<Encrypt>(step)) {
        co_await take_starttls();
    } else if (std::holds_alternative<ReceiveData>(step)) {
        co_await take_data();
    } else if (std::holds_alternative<ReceiveChunk>(step)) {
        const Bdat bdat = std::get<Bdat>(command);
        co_await take_chunk(bdat);
    } else {
        const std::uint64_t size = std::get<Bdat>(command).size;
        Reply refusal = std::get<DiscardChunk>(step).reply;
        co_await discard_chunk(size, std::move(refusal));
    }
}

asio::awaitable<void> Session::take_mail(const MailCommand& command) {
    if (!may(ClientTable::What::message)) {
        refuse_for_rate({&command, {}},
                        Reply(450, EnhancedStatus(4, 7, 1), "Too many messages from your address; try again later"));
        co_return;
    }
    const Refusal refusal = co_await around_.hooks.mail(info_, command);
    if (refusal) {
        refuse(*refusal);
    } else {
        dialogue_.mail_accepted(command);
        say(Reply(250, EnhancedStatus(2, 1, 0), "Ok"));
    }
}

asio::awaitable<void> Session::take_rcpt(const RcptCommand& command) {
    if (!may(ClientTable::What::recipient)) {
        refuse_for_rate({&dialogue_.mail(), {&command, 1}},
                        Reply(450, EnhancedStatus(4, 7, 1), "Too many recipients from your address; try again later"));
        co_return;
    }
    const Refusal refusal = co_await around_.hooks.rcpt(info_, dialogue_.mail(), command);
    if (refusal) {
        refuse(*refusal);
    } else {
        dialogue_.rcpt_accepted(command);
        say(Reply(250, EnhancedStatus(2, 1, 5), "Ok"));
    }
}

/// What is said instead of 250.
void Session::refuse(const Reply& reply) {
    if (closes_connection(reply)) {
        say_and_close(reply);
        end("refused");
        return;
    }
    say(reply);
    count_error(reply);
}

/// Told once for each message that comes: the log of a flood would be one itself.
void Session::refuse_for_rate(const Envelope& about, const Reply& reply) {
    refuse(reply);
    if (!std::exchange(told_of_rate_, true)) {
        around_.hooks.content_refused(info_, about, reply);
    }
}

/// Only looks: the lines are read again, and judged, when their turn comes.
std::vector<mail::Mailbox> Session::recipients_ahead() const {
    std::vector<mail::Mailbox> recipients;
    std::string_view rest = input();
    LineReader lines(options_->limits.command_line);
    while (!rest.empty()) {
        const LineReader::Fed fed = lines.feed(rest);
        rest.remove_prefix(fed.consumed);
        if (fed.status != LineStatus::line) {
            break;
        }
        const Result<Command, Reply> command = parse_command(lines.line(), dialogue_.parse_context());
        if (command.has_error() || !std::holds_alternative<RcptCommand>(*command)) {
            break;
        }
        recipients.push_back(std::get<RcptCommand>(*command).address);
    }
    return recipients;
}

asio::awaitable<void> Session::fill(Doing doing) {
    doing_ = doing;
    const std::size_t wanted = doing == Doing::receiving && chunks_ ? content_block_octets : block_octets;
    if (block_.size() != wanted) {
        block_ = std::vector<char>(wanted);
    }
    begin_ = 0;
    end_ = 0;
    if (tls_) {
        co_await fill_tls(doing);
        co_return;
    }
    const auto buffer = asio::buffer(block_);
    const auto [error, count] = co_await socket_.async_read_some(buffer, awaited);
    filled(error, count);
}

void Session::filled(const boost::system::error_code& error, std::size_t count) {
    end_ = count;
    doing_ = Doing::asking;
    if (expired_) {
        say_and_close(Reply(421, EnhancedStatus(4, 4, 2), "Too slow; closing the connection"));
        end("timeout");
    } else if (error && !(draining_ && error == asio::error::operation_aborted)) {
        gone_ = true;
        end(tls_ && !tls_->trouble().empty() ? "TLS failed: " + tls_->trouble() : "closed by client");
    }
}

std::size_t Session::read_more(std::string& into) {
    if (!tls_) {
        return read_socket(into);
    }
    return gone_ ? 0 : tls_->read(into.data(), into.size()).octets;
}

std::size_t Session::read_socket(std::string& into) {
    boost::system::error_code error;
    socket_.non_blocking(true, error);
    const std::size_t count = socket_.read_some(asio::buffer(into), error);
    return error ? 0 : count;  // an error will be met again by the read that waits
}

asio::awaitable<void> Session::send() {
    if (out_.empty() || gone_) {
        forget_out();
        co_return;
    }
    doing_ = Doing::writing;
    boost::system::error_code error;
    if (tls_) {
        const boost::system::error_code sent = co_await send_tls();
        error = sent;
    } else {
        const auto buffer = asio::buffer(out_);
        const auto [sent, count] = co_await asio::async_write(socket_, buffer, awaited);
        error = sent;
    }
    doing_ = Doing::asking;
    forget_out();
    if (error) {
        gone_ = true;
        end(expired_ ? "timeout" : "closed by client");
    }
}

void Session::forget_out() {
    out_.clear();
    if (out_.capacity() > block_octets) {
        out_.shrink_to_fit();  // an idle session holds little, whatever it said before
    }
}

void Session::unread(std::string_view rest) {
    block_.assign(rest.begin(), rest.end());
    begin_ = 0;
    end_ = rest.size();
}

// Input that nobody read would make the kernel answer with a reset, which may cost the client our last reply.
void Session::close_gently() {
    if (tls_ && !gone_) {
        tls_->close();
    }
    boost::system::error_code error;
    socket_.shutdown(asio::socket_base::shutdown_send, error);
    for (int blocks = 0; !error && blocks < lingering_blocks_max; ++blocks) {
        if (read_socket(around_.scratch) == 0) {
            break;
        }
    }
    socket_.close(error);
}

void Session::say(const Reply& reply) { reply.append_wire(out_); }

void Session::say_and_close(const Reply& reply) {
    say(reply);
    over_ = true;
}

void Session::count_error(const Reply& reply) {
    if (info_.trusted || over_) {
        return;
    }
    // Behind an accepted recipient a message is coming, however many more are refused for now (RFC 5321 section
    // 4.5.3.1.10); but not without end.
    if (reply.is_transient()) {
        const bool enough =
            dialogue_.recipients().empty()
                ? is_one_command_too_many()
                : ++recipients_refused_ > refused_for_each_allowed * options_->limits.recipients_per_message;
        if (enough) {
            hang_up_on_idler();
        }
    }
    if (!reply.is_permanent()) {
        return;
    }
    const bool has_credit = may(ClientTable::What::error);
    if (++errors_ >= options_->limits.errors_per_session || !has_credit) {
        say_and_close(Reply(421, EnhancedStatus(4, 7, 0), "Too many errors"));
        end("too many errors");
    }
}

bool Session::may(ClientTable::What what) { return place_.take(what, options_->limits, SteadyClock::now()); }

/// The commands whose reply must be awaited (RFC 2920 section 3.1), as far as a robot gives itself away by them.
bool Session::is_too_early_for(const Command& command) const {
    return options_->hang_up_on_early_talk && begin_ != end_ &&
           (std::holds_alternative<Ehlo>(command) || std::holds_alternative<Helo>(command) ||
            std::holds_alternative<Lhlo>(command) || std::holds_alternative<Data>(command));
}

bool Session::brings_mail_nearer(const Command& command) {
    return std::holds_alternative<MailCommand>(command) || std::holds_alternative<RcptCommand>(command) ||
           std::holds_alternative<Data>(command) || std::holds_alternative<Bdat>(command) ||
           std::holds_alternative<Quit>(command);
}

/// Counts one that brought no message nearer.
bool Session::is_one_command_too_many() {
    return !info_.trusted && ++commands_without_mail_ > options_->limits.commands_without_mail;
}

void Session::hang_up_on_idler() {
    say_and_close(Reply(421, EnhancedStatus(4, 7, 0), "Too many commands without a message"));
    end("too many commands without a message");
}

void Session::set_command_deadline() {
    wait_at_most(options_->limits.command_timeout);
    if (chunks_ && chunks_->deadline < deadline_) {
        wait_for_chunks();  // many small chunks are one message
    }
}

void Session::wait_at_most(std::chrono::milliseconds patience) {
    patience_ = patience;
    deadline_ = SteadyClock::now() + patience;
}

void Session::wait_for_chunks() {
    patience_ = options_->limits.data_timeout;
    deadline_ = chunks_->deadline;
}

/// All kinds of waiting shrink alike, but none below stress_timeout: an honest client must still be able to do its
/// part.
std::chrono::milliseconds Session::patience_under_stress() const {
    const Limits& limits = options_->limits;
    if (info_.trusted || limits.stress_timeout.count() <= 0 || limits.stress_timeout >= limits.command_timeout) {
        return patience_;
    }
    const auto shrunk = patience_ * limits.stress_timeout.count() / limits.command_timeout.count();
    return std::min(patience_, std::max(shrunk, limits.stress_timeout));
}

void Session::extend_content_deadline(std::size_t octets, std::uint64_t octets_so_far) {
    // Who sends at 8 KiB a second or more is never too slow, however large the message. What is larger than any message
    // may be is only drained, and that comes to an end.
    if (octets_so_far <= options_->limits.message_size) {
        deadline_ += std::chrono::microseconds(static_cast<std::int64_t>(octets) * 125);
    }
}

void Session::end(std::string_view reason) {
    if (!over_ || reason_ == "closed by client") {
        reason_ = reason;
    }
    over_ = true;
}

void Session::expire_if_overdue(SteadyClock::time_point now, bool stressed) {
    auto due = deadline_;
    if (stressed && !expired_) {
        due -= patience_ - patience_under_stress();
    }
    if (now < due || doing_ == Doing::asking) {
        return;  // what a hook takes its time for is not the client's fault
    }
    boost::system::error_code ignored;
    if (expired_) {
        gone_ = true;  // it does not even take the 421
        socket_.close(ignored);
        return;
    }
    expired_ = true;
    deadline_ = now + std::chrono::seconds(10);
    socket_.cancel(ignored);
}

void Session::drain() {
    draining_ = true;
    if (delay_) {
        delay_->cancel();
    }
    if (doing_ == Doing::awaiting_command && !chunks_) {
        boost::system::error_code ignored;
        socket_.cancel(ignored);
    }
}

void Session::abort() {
    gone_ = true;
    if (delay_) {
        delay_->cancel();
    }
    boost::system::error_code ignored;
    socket_.close(ignored);
}

}  // namespace postern::smtp_server::detail
