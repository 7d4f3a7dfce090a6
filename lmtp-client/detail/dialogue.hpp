// One transaction as a state machine, sans-I/O: what to send next comes out, bytes of the store go in, and each
// recipient's fate goes to the OutcomeSink the moment it is known. Knows no socket and no clock.
//
// Source: RFC 2033 section 4.2, RFC 5321 section 3.3, RFC 2920 section 3.1, RFC 3030 section 2.
//
// What always holds:
//  1. Each recipient gets exactly one outcome, at the latest when the dialogue is done.
//  2. A recipient is `replied` only by the reply to its own RCPT, by its own reply after the data (SMTP: by the one
//     reply for all that were accepted), or by a refusal of MAIL or DATA, which is an answer about every recipient that
//     has none yet. Never by what answers anything else.
//  3. A reply counts only when what it answers was sent in full. One that comes earlier, or that nothing asked for,
//  ends the dialogue.
//  4. Nothing is sent behind the end of the data until every recipient has its answer.
//  5. A recipient without an answer is `not_tried` only when the store cannot have taken the content for it: its end
//  was not sent, or
//     the store closed the service before taking this sender or recipient. Else it is `unknown`.
//  6. A 421 is nobody's reply, but for SMTP's after the data.
//
//   mail -> rcpt (each) -> data -> content -> slots (each accepted) -> done
//     |        |- none accepted: [bdat_refusal ->] reset -> done
//     |        `- ask_only: reset -> done
//     `- refused: its pipelined followers' replies are read and dropped -> done
//   anything out of step, closed, silent: done, with Trouble
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lmtp-client/detail/capabilities.hpp"
#include "lmtp-client/detail/reply_parser.hpp"
#include "lmtp-client/transaction.hpp"

namespace postern::lmtp_client::detail {

struct DialogueOptions {
    Protocol protocol = Protocol::lmtp;
    std::uint64_t bdat_size_max = 1 << 20;  ///< above it DATA is used even when CHUNKING is offered
    /// Nobody but the store can read what is said: TLS with a certificate that was checked, or a connection that does
    /// not leave the machine.
    bool confidential = false;
    /// Ask about the envelope before any content is sent, one round trip more: for a connection that may be dead, so
    /// that its death leaves nobody in doubt.
    bool envelope_first = false;
    /// No content at all: MAIL, RCPT, RSET. Each recipient's fate is the reply to its RCPT, and no other's.
    bool ask_only = false;
};

class Dialogue {
public:
    enum class Action : std::uint8_t {
        send,          ///< write output(), then sent()
        send_content,  ///< write output() and the content in encoding(): sent() behind the first write, content_sent()
                       ///< behind the last
        receive,       ///< read, then received() or closed() or timed_out()
        finish,        ///< end() and is_reusable() tell how it went
    };
    enum class Encoding : std::uint8_t { dotted, counted };  ///< after DATA, after BDAT

    /// `store`, `transaction` and `outcomes` outlive it.
    Dialogue(const Capabilities& store, const Transaction& transaction, DialogueOptions options, OutcomeSink& outcomes);

    /// Once, first. Done at once when the store can take it for nobody.
    void start();

    [[nodiscard]] Action next() const;

    /// Commands to be written; with send_content they go in the same write as the content's first bytes.
    [[nodiscard]] std::string_view output() const noexcept { return output_; }
    [[nodiscard]] Encoding encoding() const noexcept { return encoding_; }

    void sent();          ///< output() went out, to its last octet
    void content_sent();  ///< the content's last octet went out: from now on the store may have it all

    void received(std::string_view bytes);
    void closed(std::string detail);       ///< end of file or an error of the connection
    void timed_out();                      ///< the awaited reply did not come in time
    void out_of_step(std::string detail);  ///< what came is nothing that could be received()
    void content_failed(
        std::string detail);  ///< the content cannot be read; the connection must be closed without its end

    /// No reply has come, and no end of content was sent: on another connection it could be begun anew as if nothing
    /// had happened.
    [[nodiscard]] bool is_untouched() const noexcept { return replies_ == 0 && !content_sent_ && !parser_.is_inside(); }
    /// The store has, or may have, all of the content.
    [[nodiscard]] bool is_content_sent() const noexcept { return content_sent_; }
    /// The number of whole replies so far: a deadline for one reply is renewed when it rises.
    [[nodiscard]] std::size_t replies() const noexcept { return replies_; }

    [[nodiscard]] Trouble trouble() const noexcept { return trouble_; }
    [[nodiscard]] const std::string& detail() const noexcept { return detail_; }
    /// Trouble, or a recipient that was not delivered to and should have been.
    [[nodiscard]] bool has_failed() const noexcept { return failed_ || trouble_ != Trouble::none; }
    /// The dialogue is in step and no transaction is open at the store.
    [[nodiscard]] bool is_reusable() const noexcept { return phase_ == Phase::done && reusable_; }

private:
    enum class Phase : std::uint8_t { mail, rcpt, data, content, slots, bdat_refusal, reset, leave, done };

    void choose_whom_to_ask();
    [[nodiscard]] bool keeps_tls_promise() const;
    void write_envelope();
    void write_rcpt(std::size_t slot);
    void await_slots();
    void ask_for_data();
    void write_bdat();
    void write_reset();
    void envelope_answered();

    void on_reply(mail::Reply reply);
    void on_mail(const mail::Reply& reply);
    void on_rcpt(mail::Reply reply);
    void on_data(const mail::Reply& reply);
    void on_data_in_vain(const mail::Reply& reply);
    void on_slot(mail::Reply reply);
    void on_bdat_refusal(const mail::Reply& reply);
    void on_reset(const mail::Reply& reply);
    void on_shutdown(const mail::Reply& reply, bool unasked);

    void tell_decided();
    void settle(std::size_t slot, Fate fate, mail::Reply reply = {});
    void settle_by_its_own(std::size_t slot, mail::Reply reply);
    void settle(std::size_t slot, Outcome outcome);
    void settle_open(const mail::Reply& reply);
    void settle_not_tried();
    void reset_or_finish();
    void finish(bool reusable);
    void stop(Trouble trouble, std::string detail);
    [[nodiscard]] std::string awaited() const;
    [[nodiscard]] std::size_t replies_after_data() const;

    const Capabilities& store_;
    const Transaction& transaction_;
    const DialogueOptions options_;
    OutcomeSink& outcomes_;

    ReplyParser parser_;
    std::string output_;
    std::vector<std::pair<std::size_t, Outcome>>
        decided_;                     ///< without asking; told with the first reply, see is_untouched()
    std::vector<std::size_t> asked_;  ///< slots in RCPT order
    std::vector<std::size_t>
        accepted_;                 ///< of these, what was accepted: after the data one reply each (LMTP) or one for all
    std::vector<bool> settled_;    ///< by slot
    std::size_t cursor_ = 0;       ///< in asked_ or accepted_, by phase
    std::size_t written_ = 0;      ///< commands in output_
    std::size_t outstanding_ = 0;  ///< commands sent whose reply has not come
    std::size_t replies_ = 0;
    Phase phase_ = Phase::mail;
    Encoding encoding_ = Encoding::dotted;
    bool use_bdat_ = false;
    bool in_one_write_ = false;   ///< BDAT and its content go out with the envelope
    bool begun_unasked_ = false;  ///< the reply that the parser is inside of: none but 421 may be
    bool content_due_ = false;
    bool content_sent_ = false;
    bool mail_refused_ = false;
    bool accepted_in_vain_ = false;  ///< a recipient was accepted though the sender was not
    bool reusable_ = false;
    bool failed_ = false;  ///< for somebody
    Trouble trouble_ = Trouble::none;
    std::string detail_;
};

}  // namespace postern::lmtp_client::detail
