#include "gateway/control/server.hpp"

#include "gateway/control/detail/attendants.hpp"
#include "gateway/control/detail/connection.hpp"
#include "gateway/control/detail/listening_socket.hpp"

namespace postern::control {

class Server::Impl {
public:
    Impl(const ServerOptions& options, const queue::Clock& clock, OpenReader open_reader, LiveGateway& gateway,
         detail::ListeningSocket socket)
        : options_(options),
          clock_(clock),
          open_reader_(std::move(open_reader)),
          gateway_(gateway),
          socket_(std::move(socket)) {}

    /// An error text when that cannot be.
    [[nodiscard]] Result<void, std::string> serve(std::function<void(const std::string&)> on_error) {
        auto attend = [this](detail::SocketStream& stream) {
            detail::serve_connection(stream, options_, clock_, open_reader_, gateway_);
        };
        auto started =
            detail::Attendants::start(socket_.descriptor(), {options_.connections_max, detail::WhenFull::wait}, clock_,
                                      std::move(attend), std::move(on_error));
        if (!started) {
            return started.error();
        }
        attendants_ = std::move(*started);
        return {};
    }

private:
    const ServerOptions options_;
    const queue::Clock& clock_;
    const OpenReader open_reader_;
    LiveGateway& gateway_;
    detail::ListeningSocket socket_;
    std::unique_ptr<detail::Attendants> attendants_;  ///< last: its threads use the others
};

Result<std::unique_ptr<Server>, std::string> Server::start(const ServerOptions& options, const queue::Clock& clock,
                                                           OpenReader open_reader, LiveGateway& gateway,
                                                           std::function<void(const std::string&)> on_error) {
    auto socket = detail::ListeningSocket::open(options.socket);
    if (!socket) {
        return socket.error();
    }
    auto impl = std::make_unique<Impl>(options, clock, std::move(open_reader), gateway, std::move(*socket));
    const auto served = impl->serve(std::move(on_error));
    if (!served) {
        return served.error();
    }
    return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

void Server::stop() { impl_.reset(); }

}  // namespace postern::control
