// What `postern store` answers: a mailbox is a Maildir ROOT/DOMAIN/LOCAL-PART that exists; a full one is refused after
// the data, each recipient for itself (RFC 2033 section 4.2).
//
//   no such mailbox      550 5.1.1 at RCPT           over its quota     452 4.2.2 after the data
//   cannot be written    451 4.3.0 after the data
//
// Threads: as Hooks says; blocks on the disk.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "smtp-server/hooks.hpp"

namespace postern::maildir {

struct MaildirOptions {
    std::filesystem::path root;
    bool create = false;      ///< a mailbox that is asked for is made
    std::uint64_t quota = 0;  ///< octets in a mailbox; 0: no limit. A file `quota` in the mailbox goes before it.
    std::string hostname;
    std::string unique_prefix;  ///< begins each file's name: what no other process and no earlier start uses
};

class MaildirStore final : public smtp_server::Hooks {
public:
    /// `filed` is told of every recipient's end: its address and the reply. Any I/O thread.
    MaildirStore(MaildirOptions options, std::function<void(const std::string&, const mail::Reply&)> filed);

    smtp_server::Refusal connected(const smtp_server::SessionInfo& session) override;
    boost::asio::awaitable<smtp_server::Refusal> mail(smtp_server::SessionInfo& session,
                                                      const smtp_server::MailCommand& command) override;
    boost::asio::awaitable<smtp_server::Refusal> rcpt(const smtp_server::SessionInfo& session,
                                                      const smtp_server::MailCommand& mail,
                                                      const smtp_server::RcptCommand& command) override;
    boost::asio::awaitable<Begun> begin(const smtp_server::SessionInfo& session, const smtp_server::MailCommand& mail,
                                        const std::vector<smtp_server::RcptCommand>& recipients) override;
    void disconnected(const smtp_server::SessionInfo& session, std::string_view reason,
                      std::uint32_t messages) override;

    /// Files one copy. Public for the sink alone.
    [[nodiscard]] mail::Reply file(const mail::ReversePath& sender, const mail::Mailbox& recipient,
                                   const std::string& content);

private:
    [[nodiscard]] mail::Reply try_to_file(const mail::ReversePath& sender, const mail::Mailbox& recipient,
                                          const std::string& content);
    [[nodiscard]] bool exists(const mail::Mailbox& mailbox) const;

    const MaildirOptions options_;
    const std::function<void(const std::string&, const mail::Reply&)> filed_;
    std::atomic<std::uint64_t> count_{0};
};

}  // namespace postern::maildir
