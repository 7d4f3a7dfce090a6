#include "smtp-server/detail/dialogue.hpp"

namespace postern::smtp_server::detail {

using mail::EnhancedStatus;
using mail::Reply;

namespace {

template <class... Handlers>
struct Overloaded : Handlers... {
    using Handlers::operator()...;
};
template <class... Handlers>
Overloaded(Handlers...) -> Overloaded<Handlers...>;

Reply bad_sequence(std::string text) { return {503, EnhancedStatus(5, 5, 1), std::move(text)}; }

}  // namespace

Reply Dialogue::greeting() const {
    // Nothing about the version: who attacks should have to guess.
    return {220, options_.hostname + (options_.protocol == Protocol::lmtp ? " LMTP" : " ESMTP")};
}

ParseContext Dialogue::parse_context() const {
    return {options_.protocol, mail_.has_value() && mail_->smtputf8, options_.hostname};
}

void Dialogue::reset() {
    mail_.reset();
    recipients_ = {};  // not clear(): who once gave a thousand must not hold their memory while idle
    in_chunks_ = false;
}

void Dialogue::mail_accepted(MailCommand command) { mail_ = std::move(command); }

void Dialogue::tls_begun() {
    reset();
    helo_.clear();
    extended_ = false;
    encrypted_ = true;
}

bool Dialogue::must_encrypt_for(const Command& command) const {
    if (encrypted_ || !options_.tls || options_.tls_use != TlsUse::required) {
        return false;
    }
    return !std::holds_alternative<Helo>(command) && !std::holds_alternative<Ehlo>(command) &&
           !std::holds_alternative<Lhlo>(command) && !std::holds_alternative<Noop>(command) &&
           !std::holds_alternative<Quit>(command) && !std::holds_alternative<StartTls>(command);
}

Step Dialogue::decide(const Command& command) {
    if (must_encrypt_for(command)) {  // RFC 3207 section 4
        const Reply refusal(530, EnhancedStatus(5, 7, 0), "Say STARTTLS first");
        if (std::holds_alternative<Bdat>(command)) {
            return DiscardChunk(refusal);
        }
        return Say(refusal);
    }
    return std::visit(Overloaded{
                          [&](const Helo& helo) { return greet(helo.name, false); },
                          [&](const Ehlo& ehlo) { return greet(ehlo.name, true); },
                          [&](const Lhlo& lhlo) { return greet(lhlo.name, true); },
                          [&](const MailCommand& mail) { return decide_mail(mail); },
                          [&](const RcptCommand&) { return decide_rcpt(); },
                          [&](const Data&) { return decide_data(); },
                          [&](const Bdat& bdat) { return decide_bdat(bdat); },
                          [&](const Rset&) -> Step {
                              reset();
                              return Say(Reply(250, EnhancedStatus(2, 0, 0), "Ok"));
                          },
                          [&](const Noop&) -> Step { return Say(Reply(250, EnhancedStatus(2, 0, 0), "Ok")); },
                          [&](const Quit&) -> Step {
                              Say bye(Reply(221, EnhancedStatus(2, 0, 0), "Bye"));
                              bye.close = true;
                              return bye;
                          },
                          // RFC 5321 section 3.5.3: neither yes nor no; who wants to know sends a message.
                          [&](const Vrfy&) -> Step {
                              return Say(Reply(252, EnhancedStatus(2, 0, 0),
                                               "Cannot verify, but will take mail and try to deliver it"));
                          },
                          [&](const Expn&) -> Step {
                              return Say(Reply(502, EnhancedStatus(5, 5, 1), "Lists are not expanded here"));
                          },
                          [&](const Help&) -> Step { return Say(Reply(214, EnhancedStatus(2, 0, 0), "See RFC 5321")); },
                          [&](const StartTls&) { return decide_starttls(); },
                      },
                      command);
}

Step Dialogue::greet(const std::string& name, bool extended) {
    reset();
    helo_ = name;
    extended_ = extended;
    return extended ? Say(extensions()) : Say(Reply(250, options_.hostname));
}

Reply Dialogue::extensions() const {
    return {250, options_.hostname + "\nPIPELINING\nSIZE " + std::to_string(options_.limits.message_size) +
                     "\n8BITMIME\nSMTPUTF8\nENHANCEDSTATUSCODES\nDSN\nCHUNKING\nLIMITS RCPTMAX=" +
                     std::to_string(options_.limits.recipients_per_message) +
                     (options_.tls && !encrypted_ ? "\nSTARTTLS" : "") + (offers_require_tls() ? "\nREQUIRETLS" : "")};
}

Step Dialogue::decide_starttls() const {
    if (encrypted_) {
        return Say(bad_sequence("TLS is active already"));
    }
    if (!options_.tls) {
        return Say(Reply(502, EnhancedStatus(5, 5, 1), "STARTTLS is not offered here"));
    }
    if (in_chunks_) {
        return Say(bad_sequence("The content has begun already"));
    }
    return Encrypt();
}

Step Dialogue::decide_mail(const MailCommand& command) const {
    if (helo_.empty()) {
        return Say(bad_sequence(options_.protocol == Protocol::lmtp ? "Say LHLO first" : "Say EHLO or HELO first"));
    }
    if (mail_) {
        return Say(bad_sequence("A transaction has begun already"));
    }
    if (command.require_tls && !offers_require_tls()) {  // RFC 8689 section 2: in TLS alone
        return Say(Reply(555, EnhancedStatus(5, 5, 4), "REQUIRETLS is not offered here"));
    }
    if (command.size > options_.limits.message_size) {  // RFC 1870 section 6.1
        return Say(
            Reply(552, EnhancedStatus(5, 3, 4),
                  "Message size exceeds the limit of " + std::to_string(options_.limits.message_size) + " octets"));
    }
    return AskMail();
}

Step Dialogue::decide_rcpt() const {
    if (!mail_) {
        return Say(bad_sequence("Say MAIL first"));
    }
    if (in_chunks_) {
        return Say(bad_sequence("The content has begun already"));
    }
    if (recipients_.size() >= options_.limits.recipients_per_message) {  // RFC 5321 section 4.5.3.1.10
        return Say(Reply(452, EnhancedStatus(4, 5, 3), "Too many recipients; send the rest in another message"));
    }
    return AskRcpt();
}

Step Dialogue::decide_data() const {
    if (in_chunks_) {  // RFC 3030 section 2
        return Say(bad_sequence("DATA may not follow BDAT"));
    }
    if (!mail_) {
        return Say(bad_sequence("Say MAIL first"));
    }
    if (recipients_.empty()) {  // RFC 2033 section 4.2
        return Say(bad_sequence("No valid recipients"));
    }
    return ReceiveData();
}

Step Dialogue::decide_bdat(const Bdat&) const {
    if (!mail_) {
        return DiscardChunk(bad_sequence("Say MAIL first"));
    }
    if (recipients_.empty()) {
        return DiscardChunk(bad_sequence("No valid recipients"));
    }
    return ReceiveChunk();
}

}  // namespace postern::smtp_server::detail
