// Whether a domain has a recipient: what RCPT is to be told. One Check for each rule of `domains`, however it knows: a
// list, a file, a database, or the store itself.
//
// Threads: any; look() must not block.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "queue/mail/mailbox.hpp"
#include "queue/mail/reply.hpp"

namespace postern::recipients {

struct Verdict {
    std::optional<mail::Reply> refusal;  ///< what to say instead of 250; nullopt: it is taken
    bool is_unknown = false;             ///< refused since there is no such mailbox
};

class Check {
public:
    using Done = std::function<void(Verdict)>;
    /// The recipients that the client has named behind this one already; called at most once, and only when they
    /// matter.
    using Ahead = std::function<std::vector<mail::Mailbox>()>;

    virtual ~Check() = default;

    /// What is known without asking anybody; nullopt: ask().
    [[nodiscard]] virtual std::optional<Verdict> look(const mail::Mailbox& address) = 0;
    /// Finds out. `done` comes exactly once, within a bounded time, on any thread; perhaps before ask() returns.
    /// `ahead` is called before ask() returns, or never.
    virtual void ask(const mail::Mailbox& address, const Ahead& ahead, Done done) = 0;
};

/// As lists and files are compared, and as an operator's database is asked: ASCII letters in lower case, in the local
/// part too, since no store that matters tells mailboxes apart by the case of their letters.
[[nodiscard]] std::string folded(const mail::Mailbox& address);

/// 550 5.1.1.
[[nodiscard]] Verdict no_such_mailbox(const mail::Mailbox& address);
/// 451 4.3.0: who should know cannot be asked now.
[[nodiscard]] Verdict cannot_tell();

/// RFC 5321 section 4.5.1: taken in every domain of ours, in any case of its letters, whatever a check says.
[[nodiscard]] bool is_postmaster(const mail::Mailbox& address);

}  // namespace postern::recipients
