// The part of a session before its first command: who the client is (PROXY), TLS from the first octet, the wait for
// early talkers, the greeting.
#include <sys/socket.h>

#include <array>
#include <utility>

#include "smtp-server/detail/awaited.hpp"
#include "smtp-server/detail/proxy_header.hpp"
#include "smtp-server/detail/session.hpp"
#include "smtp-server/detail/turned_away.hpp"

namespace postern::smtp_server::detail {

namespace asio = boost::asio;
using mail::EnhancedStatus;
using mail::Reply;

asio::awaitable<void> Session::open(Refusal refusal) {
    if (behind_balancer_) {
        co_await meet_balancer();
    }
    if (!over_ && options_->tls && options_->tls_use == TlsUse::implicit) {
        co_await shake_hands();
    }
    if (!over_ && options_->hang_up_on_early_talk && !tls_) {
        co_await await_greeting();
    }
    if (!over_) {
        greet(std::move(refusal));
    }
}

void Session::greet(Refusal refusal) {
    if (!refusal) {
        refusal = around_.hooks.connected(info_);
    }
    if (refusal) {
        say_and_close(*refusal);
        end("refused");
    } else {
        say(dialogue_.greeting());
    }
    set_command_deadline();
}

// The header is looked at before it is taken: what lies behind it may be the first octet of TLS, which only OpenSSL may
// take from the socket.
asio::awaitable<void> Session::meet_balancer() {
    ProxyHeaderReader reader;
    auto status = ProxyHeaderReader::Status::need_more;
    wait_at_most(std::min(options_->limits.handshake_timeout, options_->limits.command_timeout));
    while (status == ProxyHeaderReader::Status::need_more && !over_) {
        const boost::system::error_code waited = co_await await_readable(Doing::shaking_hands);
        if (waited || expired_) {
            break;
        }
        std::array<char, 256> octets{};
        const int descriptor = socket_.native_handle();
        const ssize_t count = ::recv(descriptor, octets.data(), octets.size(), MSG_PEEK | MSG_DONTWAIT);
        if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) {
            break;
        }
        if (count > 0) {
            const auto fed = reader.feed({octets.data(), static_cast<std::size_t>(count)});
            status = fed.status;
            if (::recv(descriptor, octets.data(), fed.consumed, MSG_DONTWAIT) < 0) {
                break;
            }
        }
    }
    if (status != ProxyHeaderReader::Status::done) {
        gone_ = true;  // a balancer that is none of ours, or one that is not set up for it: the log says so
        end("no PROXY header from " + info_.client_address);
    } else if (!reader.client_address().empty()) {
        const std::string& address = reader.client_address();
        info_.client_port = reader.client_port();
        info_.trusted = options_->trusted && options_->trusted(address);
        meet_client(address);
    } else {
        // UNKNOWN or LOCAL: the balancer's own connection, or that of somebody whom it does not name. The limits are
        // those of the balancer's address, and what that is trusted with is not his.
        meet_client(std::string(info_.client_address));
    }
}

void Session::meet_client(const std::string& address) {
    info_.client_address = address;
    auto entered = around_.clients.rename(std::move(place_), client_key(address), options_->limits, standing_of(info_),
                                          SteadyClock::now());
    if (entered.verdict != ClientTable::Verdict::admitted) {
        const bool in_clear = !options_->tls || options_->tls_use != TlsUse::implicit;
        if (in_clear) {
            say(turned_away_reply(entered.verdict));
        }
        end("turned away");
        return;
    }
    place_ = std::move(entered.place);
}

asio::awaitable<void> Session::await_greeting() {
    if (options_->greeting_delay.count() > 0 && !info_.trusted && !draining_) {
        const auto executor = socket_.get_executor();
        delay_ = std::make_unique<asio::steady_timer>(executor, options_->greeting_delay);
        [[maybe_unused]] const auto waited = co_await delay_->async_wait(awaited);
        delay_.reset();
    }
    if (more_lies_in_the_socket()) {
        say_and_close(Reply(554, EnhancedStatus(5, 5, 1), "You talk before the greeting"));
        end("talked before the greeting");
    }
}

bool Session::more_lies_in_the_socket() {
    char octet = 0;
    return ::recv(socket_.native_handle(), &octet, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

asio::awaitable<boost::system::error_code> Session::await_readable(Doing doing) {
    doing_ = doing;
    const auto [error] = co_await socket_.async_wait(asio::socket_base::wait_read, awaited);
    doing_ = Doing::asking;
    co_return error;
}

}  // namespace postern::smtp_server::detail
