// What may be said when: the state of one session's dialogue and the replies that need no one else. Pure; the session
// (session.hpp) carries out what is decided here.
//
// The state of a transaction has one owner and one way out: reset(), at every ending (content answered or refused,
// RSET, HELO, a BDAT that went wrong).
//
// Source: RFC 5321 sections 3.3, 4.1.4 and 4.3.2, RFC 2033 section 4, RFC 3030 section 2.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "queue/mail/reply.hpp"
#include "smtp-server/detail/command.hpp"
#include "smtp-server/envelope.hpp"
#include "smtp-server/listener_options.hpp"

namespace postern::smtp_server::detail {

/// What to do about a command.
struct Say {
    mail::Reply reply;
    bool enhanced = true;
    bool close = false;  ///< after the reply
    explicit Say(mail::Reply what) : reply(std::move(what)) {}
};
struct AskMail {};       ///< of Hooks::mail(), about the command
struct AskRcpt {};       ///< of Hooks::rcpt()
struct Encrypt {};       ///< 220, then the handshake; tls_begun() once it is done
struct ReceiveData {};   ///< begin(), then 354 and the content
struct ReceiveChunk {};  ///< the octets behind BDAT belong to the message
struct DiscardChunk {    ///< they do not: they are read all the same, then this is said
    mail::Reply reply;
    explicit DiscardChunk(mail::Reply what) : reply(std::move(what)) {}
};
using Step = std::variant<Say, AskMail, AskRcpt, Encrypt, ReceiveData, ReceiveChunk, DiscardChunk>;

class Dialogue {
public:
    explicit Dialogue(const SessionOptions& options) : options_(options) {}

    [[nodiscard]] mail::Reply greeting() const;
    /// Decides about a command. HELO, EHLO, LHLO and RSET take effect at once; MAIL and RCPT with the calls below.
    [[nodiscard]] Step decide(const Command& command);

    void mail_accepted(MailCommand command);
    void rcpt_accepted(RcptCommand command) { recipients_.push_back(std::move(command)); }
    /// The first BDAT was taken: until LAST nothing but BDAT belongs to this transaction.
    void chunks_begin() { in_chunks_ = true; }
    void reset();
    /// TLS is active: all that was said before is forgotten (RFC 3207 section 4.2).
    void tls_begun();

    [[nodiscard]] ParseContext parse_context() const;
    [[nodiscard]] const MailCommand& mail() const { return *mail_; }
    [[nodiscard]] const std::vector<RcptCommand>& recipients() const { return recipients_; }
    /// A message that comes by BDAT has begun and lacks its LAST.
    [[nodiscard]] bool in_chunks() const { return in_chunks_; }
    [[nodiscard]] const std::string& helo() const { return helo_; }
    [[nodiscard]] bool extended() const { return extended_; }

private:
    Step greet(const std::string& name, bool extended);
    Step decide_starttls() const;
    [[nodiscard]] bool must_encrypt_for(const Command& command) const;
    Step decide_mail(const MailCommand& command) const;
    Step decide_rcpt() const;
    Step decide_data() const;
    Step decide_bdat(const Bdat& command) const;
    [[nodiscard]] mail::Reply extensions() const;
    [[nodiscard]] bool offers_require_tls() const { return options_.require_tls && encrypted_; }

    const SessionOptions& options_;
    std::string helo_;
    bool extended_ = false;
    std::optional<MailCommand> mail_;
    std::vector<RcptCommand> recipients_;
    bool in_chunks_ = false;
    bool encrypted_ = false;
};

}  // namespace postern::smtp_server::detail
