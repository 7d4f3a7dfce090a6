// What the receiving side asks of whoever runs it: may this client speak, is this sender welcome, is there such a
// recipient, where does the content go. `gateway` fills these in with routing and the queue, `postern store` with
// Maildirs.
//
// Threads: every call about one session comes from that session's I/O thread, and its awaitable must resume there.
// Hooks is shared by all sessions of all threads; a MessageSink belongs to one session.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "queue/mail/reply.hpp"
#include "smtp-server/envelope.hpp"

namespace postern::smtp_server {

/// What the hooks keep of a session for themselves. The server does not look at it.
class SessionNotes {
public:
    SessionNotes() = default;
    virtual ~SessionNotes() = default;
    SessionNotes(const SessionNotes&) = delete;
    SessionNotes& operator=(const SessionNotes&) = delete;
};

/// What is known of the client so far. Lives as long as the session.
struct SessionInfo {
    std::string listener;  ///< the listener's address as configured
    Protocol protocol = Protocol::smtp;
    std::string client_address;  ///< IP address without port; empty on a Unix socket
    std::uint16_t client_port = 0;
    std::string client_name;  ///< confirmed reverse name, from mail() on; empty: none or not looked up
    std::string helo;         ///< argument of HELO, EHLO or LHLO; empty before
    bool extended = false;    ///< EHLO or LHLO was given
    bool trusted = false;     ///< the client is in the listener's `trusted` networks
    std::string tls;          ///< "TLSv1.3 with cipher ...", for a comment in a header; empty: in clear
    std::string session_id;   ///< names the session in the log
    /// At RCPT: the recipients of the commands that have come behind this one, read but not looked at yet. For who
    /// asks somebody about recipients: it can ask about all of them at once. Always callable.
    std::function<std::vector<mail::Mailbox>()> recipients_ahead = [] { return std::vector<mail::Mailbox>(); };
    std::shared_ptr<SessionNotes> notes;  ///< nullptr until a hook makes some
};

/// What something was said about, as far as it is known.
struct Envelope {
    const MailCommand* mail = nullptr;          ///< nullptr: not about a message yet
    std::span<const RcptCommand> recipients{};  ///< so far; of a refused RCPT that one
};

/// Nothing: go on, with the standard reply. A reply: say this one (4xx or 5xx) instead.
using Refusal = std::optional<mail::Reply>;

/// Where the content of one message goes. Dropped without finish(): the message never was.
class MessageSink {
public:
    virtual ~MessageSink() = default;

    /// The next part of the content, as it will be delivered: CRLF line ends, no dot-stuffing. Resumes when the sink
    /// can take more. A refusal is said at the end of the data; the rest is drained.
    virtual boost::asio::awaitable<Refusal> write(std::string part) = 0;

    /// The content is complete. `last_part` is its rest. SMTP: exactly one reply. LMTP: one for each recipient of the
    /// transaction, in RCPT order. 2xx means: responsibility taken, 4xx and 5xx: it will never be delivered (RFC 5321
    /// section 4.2.5). None: neither can be said; the connection is closed without an answer, and the client tries
    /// again.
    virtual boost::asio::awaitable<std::vector<mail::Reply>> finish(std::string last_part, bool has_8bit) = 0;
};

class Hooks {
public:
    virtual ~Hooks() = default;

    /// A client has connected. A refusal is said in place of the greeting (421 or 554) and the connection closed.
    virtual Refusal connected(const SessionInfo& session) = 0;
    /// Of mail() and rcpt(): after a 421 the connection is closed. mail() may fill in `client_name` and `notes`: what
    /// is found out about the client before its first message.
    virtual boost::asio::awaitable<Refusal> mail(SessionInfo& session, const MailCommand& command) = 0;
    virtual boost::asio::awaitable<Refusal> rcpt(const SessionInfo& session, const MailCommand& mail,
                                                 const RcptCommand& command) = 0;

    /// DATA or the first BDAT. The sink puts its trace header first. nullptr with `refusal` set: the reply to DATA.
    struct Begun {
        std::unique_ptr<MessageSink> sink;
        Refusal refusal;
    };
    virtual boost::asio::awaitable<Begun> begin(const SessionInfo& session, const MailCommand& mail,
                                                const std::vector<RcptCommand>& recipients) = 0;

    /// For the log: a message was refused after its content, by the session or by the sink for all recipients; or the
    /// session refused a part of its envelope by itself, by a limit: the first such part since its last message.
    virtual void content_refused(const SessionInfo& /*session*/, const Envelope& /*about*/,
                                 const mail::Reply& /*reply*/) {}

    /// The session is over (for the log). `reason`: "quit", "closed by client", "timeout", "too many errors", ...
    virtual void disconnected(const SessionInfo& session, std::string_view reason, std::uint32_t messages) = 0;
};

}  // namespace postern::smtp_server
