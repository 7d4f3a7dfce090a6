// What the delivery side tells the log. Values may be strangers' texts.
// Threads: called on the delivery thread; must not block.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lmtp-client/transaction.hpp"
#include "queue/message.hpp"
#include "queue/store.hpp"

namespace postern::delivery {

/// One recipient's attempt, or what was decided about it.
struct RecipientEvent {
    std::string_view event;  ///< delivered, deferred, failed, expired, unknown, held
    queue::MessageId message;
    const queue::Recipient& recipient;  ///< as it is afterwards
    std::string endpoint;
    queue::Duration delay{};     ///< since acceptance
    queue::Duration duration{};  ///< of the attempt
    std::string session;         ///< the transaction, as the history names it
};

/// Something about a backend as a whole.
struct BackendEvent {
    enum class Kind : std::uint8_t {
        paused,       ///< by `actor`
        resumed,      ///< by `actor`
        brake_on,     ///< loud: permanent failures are kept from now on
        brake_off,    ///< by `actor`
        refusing,     ///< RCPT for its domains is answered 451
        accepting,    ///< ... and is taken again
        out_of_step,  ///< `endpoint` gets one recipient a transaction
        in_step,      ///< ... and is trusted again
        rerouted,     ///< recipients of the domain `about` go to `backend` now
        no_route,     ///< recipients of the domain `about` have no backend any more: they wait
    };
    Kind kind = Kind::paused;
    std::string backend;
    std::string endpoint;     ///< with out_of_step and in_step
    std::string actor;        ///< "gateway", or who at the command line
    std::string reason;       ///< a stranger's text, perhaps
    std::string about;        ///< with rerouted and no_route: the domain
    std::uint64_t count = 0;  ///< with no_route and rerouted: recipients
};
/// "brake_on": the event's word in the log.
[[nodiscard]] std::string_view to_string(BackendEvent::Kind kind);

class Events {
public:
    virtual ~Events() = default;
    virtual void recipient(const RecipientEvent& event) = 0;
    virtual void endpoint_down(const std::string& backend, const std::string& endpoint, const std::string& why) = 0;
    virtual void endpoint_up(const std::string& backend, const std::string& endpoint) = 0;
    virtual void backend(const BackendEvent& event) = 0;
    /// A store has answered about a recipient, by a reply of its own.
    virtual void answered(const std::string& /*backend*/, const mail::Mailbox& /*address*/,
                          const mail::Reply& /*reply*/) {}
    /// A backend was paused or the brake was put on, or that was taken back; also what holds from before the start.
    virtual void marked(const std::string& /*backend*/, queue::BackendMark::Kind /*kind*/, bool /*set*/) {}
    /// An endpoint has said what it can take.
    virtual void introduced(const std::string& /*backend*/, const lmtp_client::Endpoint& /*endpoint*/,
                            const lmtp_client::Abilities& /*abilities*/) {}
    /// A message that does not fit its checksum: held.
    virtual void damaged(queue::MessageId message, const std::string& detail) = 0;
    /// The store's counts of messages and recipients were wrong, by `changes`, and were put right.
    virtual void recounted(const std::string& changes) = 0;
    /// Something an operator should know.
    virtual void problem(const std::string& text) = 0;
};

}  // namespace postern::delivery
