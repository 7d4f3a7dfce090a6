// The door of the folder: measures the clients of other machines. What the DNS knows of one is asked for at its first
// MAIL, all at once, and kept with its session. No answer means nothing: it makes nobody worse.
//
// Source: RFC 5782 (lists), RFC 7505 (null MX), RFC 8601 section 2.7.3 (a reverse name counts when it leads back).
// Threads: as Hooks says; replace() from any.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>
#include <vector>

#include "gateway/dns/resolver.hpp"
#include "gateway/screening/greylist.hpp"
#include "gateway/screening/lists.hpp"
#include "gateway/screening/suspicion.hpp"
#include "queue/mail/snapshot.hpp"
#include "smtp-server/hooks.hpp"

namespace postern::screening {

/// An immutable snapshot, swapped whole by a reload.
struct Rules {
    std::string hostname;
    bool reverse_names = false;   ///< are looked up
    bool sender_domains = false;  ///< must exist and take mail
    std::vector<List> block{};
    std::vector<List> allow{};    ///< their weights are subtracted
    std::int64_t refuse_at = 10;  ///< with this score a client's recipients hear 554
    std::int64_t suspect_at = 1;  ///< and with this one it is suspicious
    GreylistRules greylist{};
};

class Screen {
public:
    /// Both outlive it.
    Screen(dns::Resolver& resolver, Greylist& greylist, std::shared_ptr<const Rules> rules);

    void replace(std::shared_ptr<const Rules> rules);

    /// At MAIL: finds out about the client (`client_name` and `notes` of the session) and the sender's domain, which
    /// may be refused: 550 5.1.8 when there is none, 550 5.7.27 when it takes no mail.
    [[nodiscard]] boost::asio::awaitable<smtp_server::Refusal> mail(smtp_server::SessionInfo& session,
                                                                    const smtp_server::MailCommand& command);
    /// At RCPT, before the recipient is asked for: 554 5.7.1 for who is on lists, but not for postmaster, who is to
    /// hear of it when that is wrong.
    [[nodiscard]] boost::asio::awaitable<smtp_server::Refusal> rcpt(const smtp_server::SessionInfo& session,
                                                                    const smtp_server::RcptCommand& command);
    /// At RCPT, once all else is well: 450 4.7.1 for who looks suspicious and comes for the first time.
    [[nodiscard]] smtp_server::Refusal come_again(const smtp_server::SessionInfo& session,
                                                  const smtp_server::MailCommand& mail,
                                                  const smtp_server::RcptCommand& command);

private:
    dns::Resolver& resolver_;
    Greylist& greylist_;
    Snapshot<Rules> rules_;
};

}  // namespace postern::screening
