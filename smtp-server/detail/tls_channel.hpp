// One connection's TLS, on a socket that never blocks: OpenSSL reads and writes the socket itself, so no octet is
// copied once more and an idle connection holds no buffers. Each step does what can be done now and says what to wait
// for.
//
// Threads: that of its session.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

struct ssl_st;

namespace postern::smtp_server {
class TlsContext;
}

namespace postern::smtp_server::detail {

class TlsChannel {
public:
    enum class Need : std::uint8_t {
        nothing,   ///< it is done
        readable,  ///< again once the socket can be read
        writable,  ///< again once it can be written
        closed,    ///< the end: see trouble()
    };
    struct Moved {
        std::size_t octets = 0;  ///< more than 0 with `nothing` only
        Need need = Need::nothing;
    };

    /// `context` outlives it. The socket is not owned. Throws std::bad_alloc.
    TlsChannel(const TlsContext& context, int socket);
    ~TlsChannel();
    TlsChannel(const TlsChannel&) = delete;
    TlsChannel& operator=(const TlsChannel&) = delete;

    /// The handshake, as the server.
    [[nodiscard]] Need accept();
    [[nodiscard]] Moved read(char* into, std::size_t octets);
    [[nodiscard]] Moved write(std::string_view octets);
    /// Says that nothing more comes (close_notify), if the connection is still sound; waits for nothing.
    void close() noexcept;

    /// "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384", with the certificate that the client gave, if any. Safe in a
    /// comment of a header. After the handshake.
    [[nodiscard]] std::string description() const;
    [[nodiscard]] bool resumed() const;
    /// Why it is closed. Empty: the client ended it.
    [[nodiscard]] const std::string& trouble() const noexcept { return trouble_; }

private:
    [[nodiscard]] Need need_of(int result);

    struct Free {
        void operator()(ssl_st* ssl) const noexcept;
    };
    std::unique_ptr<ssl_st, Free> ssl_;
    bool sound_ = true;  // close_notify may still be said
    std::string trouble_;
};

}  // namespace postern::smtp_server::detail
