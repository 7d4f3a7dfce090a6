// The part of a session that is about TLS: STARTTLS (RFC 3207), the handshake, and reading and writing through it.
//
// What came in clear ends where TLS begins: input that was sent behind STARTTLS without waiting for the 220 is never
// taken for commands (CVE-2011-0411), and nothing that was said before is remembered (section 4.2).
//
// OpenSSL knows the socket by its number. Once it is closed (abort(), the sweep) the number may be another client's: so
// nothing is asked of OpenSSL when gone_.
#include <sys/socket.h>

#include <utility>

#include "smtp-server/detail/awaited.hpp"
#include "smtp-server/detail/session.hpp"

namespace postern::smtp_server::detail {

namespace asio = boost::asio;
using mail::EnhancedStatus;
using mail::Reply;

namespace {

bool must_wait(TlsChannel::Need need) {
    return need == TlsChannel::Need::readable || need == TlsChannel::Need::writable;
}

}  // namespace

asio::awaitable<void> Session::take_starttls() {
    if (begin_ != end_ || more_lies_in_the_socket()) {
        say_and_close(Reply(503, EnhancedStatus(5, 5, 1), "Nothing may be sent behind STARTTLS before its reply"));
        end("input behind STARTTLS");
        co_return;
    }
    say(Reply(220, EnhancedStatus(2, 0, 0), "Ready to start TLS"));
    co_await send();
    if (!over_) {
        co_await shake_hands();
    }
}

asio::awaitable<void> Session::shake_hands() {
    if (gone_) {
        end("closed by client in the TLS handshake");
        co_return;
    }
    tls_ = std::make_unique<TlsChannel>(*options_->tls, socket_.native_handle());
    boost::system::error_code error;
    socket_.non_blocking(true, error);
    wait_at_most(std::min(options_->limits.handshake_timeout, options_->limits.command_timeout));
    TlsChannel::Need need = tls_->accept();
    while (must_wait(need) && !error && !expired_ && !gone_) {
        const boost::system::error_code waited = co_await await_socket(need, Doing::shaking_hands);
        error = waited;
        if (!error && !expired_ && !gone_) {
            need = tls_->accept();
        }
    }
    if (need != TlsChannel::Need::nothing || error || expired_ || gone_) {
        // There is no way to say anything: neither side knows whether the other still reads clear text.
        around_.counters.tls_failed.fetch_add(1, std::memory_order_relaxed);
        gone_ = true;
        end(expired_                  ? "timeout in the TLS handshake"
            : tls_->trouble().empty() ? "closed by client in the TLS handshake"
                                      : "TLS handshake failed: " + tls_->trouble());
        co_return;
    }
    (tls_->resumed() ? around_.counters.tls_resumed : around_.counters.tls_full)
        .fetch_add(1, std::memory_order_relaxed);
    dialogue_.tls_begun();
    lines_.reset();
    chunks_.reset();
    begin_ = end_ = 0;
    info_.helo.clear();
    info_.extended = false;
    info_.tls = tls_->description();
}

asio::awaitable<void> Session::fill_tls(Doing doing) {
    TlsChannel::Moved moved;
    boost::system::error_code error;
    if (gone_) {
        moved.need = TlsChannel::Need::closed;
    } else {
        moved = tls_->read(block_.data(), block_.size());
    }
    while (must_wait(moved.need) && !error && !expired_) {
        const boost::system::error_code waited = co_await await_socket(moved.need, doing);
        error = waited;
        if (gone_) {
            moved.need = TlsChannel::Need::closed;
        } else if (!error && !expired_) {
            moved = tls_->read(block_.data(), block_.size());
        }
    }
    if (moved.need == TlsChannel::Need::closed) {
        error = asio::error::eof;
    }
    filled(error, moved.octets);
}

asio::awaitable<boost::system::error_code> Session::send_tls() {
    std::string_view rest = out_;
    boost::system::error_code error;
    while (!rest.empty() && !error && !gone_) {
        const TlsChannel::Moved moved = tls_->write(rest);
        if (moved.need == TlsChannel::Need::nothing) {
            rest.remove_prefix(moved.octets);
        } else if (moved.need == TlsChannel::Need::closed) {
            error = asio::error::broken_pipe;
        } else {
            const boost::system::error_code waited = co_await await_socket(moved.need, Doing::writing);
            error = waited;
        }
    }
    if (gone_) {
        error = asio::error::broken_pipe;
    }
    co_return error;
}

asio::awaitable<boost::system::error_code> Session::await_socket(TlsChannel::Need need, Doing doing) {
    doing_ = doing;
    const auto direction =
        need == TlsChannel::Need::writable ? asio::socket_base::wait_write : asio::socket_base::wait_read;
    const auto [error] = co_await socket_.async_wait(direction, awaited);
    doing_ = Doing::asking;
    co_return error;
}

}  // namespace postern::smtp_server::detail
