#include "lmtp-client/detail/dialogue.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "lmtp-client/detail/commands.hpp"

namespace postern::lmtp_client::detail {

namespace {

constexpr std::uint16_t service_closing = 421;

/// 500, 502 and 503 say that the store did not expect the command, not that it minds the mail: out of step, and no
/// verdict.
bool is_out_of_step(const mail::Reply& reply) {
    return reply.code() == 500 || reply.code() == 502 || reply.code() == 503;
}

/// "First encrypt, or log in" and the like (RFC 4954 section 6, RFC 3207 section 4): the store wants something of the
/// gateway, and has no opinion of the mail. A stranger's server that says so wants no mail of others at all.
bool is_about_the_session(const mail::Reply& reply, Protocol protocol) {
    constexpr std::array codes{530, 534, 535, 538};
    return protocol == Protocol::lmtp && std::find(codes.begin(), codes.end(), reply.code()) != codes.end();
}

/// "Too many recipients" of one transaction, also as the 552 of RFC 821 (RFC 5321 section 4.5.3.1.10).
bool is_too_many_recipients(const mail::Reply& reply) {
    if (reply.code() == 452) {
        return reply.status() == mail::EnhancedStatus(4, 5, 3);
    }
    return reply.code() == 552 && (!reply.status() || reply.status() == mail::EnhancedStatus(5, 5, 3));
}

bool needs_utf8(const Transaction& transaction) {
    return transaction.smtputf8 || (transaction.sender.mailbox() && !transaction.sender.mailbox()->is_ascii());
}

}  // namespace

Dialogue::Dialogue(const Capabilities& store, const Transaction& transaction, DialogueOptions options,
                   OutcomeSink& outcomes)
    : store_(store), transaction_(transaction), options_(options), outcomes_(outcomes) {}

void Dialogue::start() {
    settled_.resize(transaction_.recipients.size(), false);
    choose_whom_to_ask();
    if (asked_.empty()) {
        return finish(true);
    }
    accepted_.reserve(asked_.size());
    use_bdat_ = store_.chunking && transaction_.size <= options_.bdat_size_max && !options_.ask_only;
    in_one_write_ = use_bdat_ && store_.pipelining && !options_.envelope_first;
    write_envelope();
}

Dialogue::Action Dialogue::next() const {
    if (phase_ == Phase::done) {
        return Action::finish;
    }
    if (content_due_) {
        return Action::send_content;
    }
    return output_.empty() ? Action::receive : Action::send;
}

// ---- What is sent ----

/// RFC 8689 section 4.2: the next server must be authenticated and offer REQUIRETLS itself. A store behind LMTP is the
/// end of the way, which nothing of it goes on from (section 4.4): there the protected connection is enough, and stores
/// do not know the extension. A report goes all the same (section 5): it must not be lost for what it is a report of.
bool Dialogue::keeps_tls_promise() const {
    const bool is_report = !transaction_.sender.mailbox();
    const bool is_last_hop = options_.protocol == Protocol::lmtp;
    return !transaction_.require_tls || is_report || (options_.confidential && (is_last_hop || store_.require_tls));
}

/// What the store cannot take is refused here with a permanent reply of our own, not sent and mangled (RFC 6152 section
/// 3, RFC 6531 section 3.2, RFC 1870 section 5). What it takes only in portions is left for another transaction (RFC
/// 9422).
void Dialogue::choose_whom_to_ask() {
    const std::string who = options_.protocol == Protocol::smtp ? "the next mail server" : "the mailbox store";
    const bool utf8 = needs_utf8(transaction_) && !store_.smtputf8;
    const bool eight_bit = transaction_.body_8bit && !store_.eight_bit_mime;
    const bool too_large = store_.size && store_.size_max != 0 && transaction_.size > store_.size_max;
    const bool confidential = keeps_tls_promise();
    for (std::size_t slot = 0; slot < transaction_.recipients.size(); ++slot) {
        Outcome outcome;
        outcome.fate = Fate::unable;
        if (!confidential) {
            outcome.reply =
                mail::Reply(550, mail::EnhancedStatus(5, 7, 30),
                            "REQUIRETLS: " + who + " cannot be reached with the protection that it asks for");
        } else if (utf8) {
            outcome.reply = mail::Reply(550, mail::EnhancedStatus(5, 6, 7), who + " does not take SMTPUTF8");
        } else if (!store_.smtputf8 && !transaction_.recipients[slot].address.is_ascii()) {
            outcome.reply = mail::Reply(553, mail::EnhancedStatus(5, 6, 7), who + " does not take UTF-8 addresses");
        } else if (eight_bit) {
            outcome.reply = mail::Reply(554, mail::EnhancedStatus(5, 6, 3), who + " does not take 8-bit content");
        } else if (too_large) {
            outcome.reply = mail::Reply(552, mail::EnhancedStatus(5, 3, 4),
                                        who + " takes at most " + std::to_string(store_.size_max) + " octets");
        } else if (store_.recipients_max && asked_.size() >= *store_.recipients_max) {
            outcome.fate = Fate::not_tried;
        } else {
            asked_.push_back(slot);
            continue;
        }
        decided_.emplace_back(slot, std::move(outcome));
    }
}

void Dialogue::write_envelope() {
    bool utf8 = needs_utf8(transaction_);
    for (const std::size_t slot : asked_) {
        utf8 = utf8 || !transaction_.recipients[slot].address.is_ascii();
    }
    output_.reserve(128 + asked_.size() * 64);
    if (options_.ask_only) {
        Capabilities without = store_;  // there is no message whose size or reports could be spoken of
        without.size = without.dsn = false;
        append_mail(transaction_, without, utf8, output_);
    } else {
        append_mail(transaction_, store_, utf8, output_);
    }
    ++written_;
    if (!store_.pipelining) {
        return;
    }
    for (const std::size_t slot : asked_) {
        write_rcpt(slot);
    }
    if (options_.ask_only) {
        write_reset();
    } else if (in_one_write_) {
        write_bdat();
    } else if (!use_bdat_) {
        output_ += "DATA\r\n";
        ++written_;
    }
}

void Dialogue::write_rcpt(std::size_t slot) {
    append_rcpt(transaction_.recipients[slot], store_, output_);
    ++written_;
}

void Dialogue::write_reset() {
    output_ += "RSET\r\n";
    ++written_;
}

/// Not counted in written_: its replies are those of the slots.
void Dialogue::write_bdat() {
    output_ += "BDAT ";
    output_ += std::to_string(transaction_.size);
    output_ += " LAST\r\n";
    encoding_ = Encoding::counted;
    content_due_ = true;
}

void Dialogue::sent() {
    output_.clear();
    outstanding_ += std::exchange(written_, 0);
    if (phase_ == Phase::leave) {
        finish(false);
    }
}

void Dialogue::content_sent() {
    content_sent_ = true;
    content_due_ = false;
    if (phase_ == Phase::content || phase_ == Phase::slots) {
        await_slots();
    } else if (phase_ == Phase::bdat_refusal) {
        reset_or_finish();
    }
}

/// LMTP answers each accepted recipient, in RCPT order (RFC 2033 section 4.2); SMTP all of them at once.
std::size_t Dialogue::replies_after_data() const { return options_.protocol == Protocol::smtp ? 1 : accepted_.size(); }

/// From here on the replies after the data are to come.
void Dialogue::await_slots() {
    phase_ = Phase::slots;
    cursor_ = 0;
    if (content_sent_) {
        outstanding_ = replies_after_data();
    }
}

// ---- What comes in ----

void Dialogue::received(std::string_view bytes) {
    while (phase_ != Phase::done && parser_.feed(bytes)) {
        ++replies_;
        on_reply(parser_.take());
    }
    if (phase_ != Phase::done) {
        if (parser_.fault() != ReplyFault::none) {
            stop(Trouble::protocol, std::string(describe(parser_.fault())) + ", awaited: " + awaited());
        } else if (outstanding_ == 0 && parser_.is_inside() && parser_.may_become(service_closing)) {
            begun_unasked_ = true;  // that alone may come at any time, and in pieces
        } else if (outstanding_ == 0 && parser_.is_inside()) {
            stop(Trouble::protocol, "the store began a reply that nothing asked for, awaited: " + awaited());
        }
    } else if (reusable_ && !bytes.empty()) {
        reusable_ = false;
        trouble_ = Trouble::protocol;
        detail_ = "the store sent more replies than were asked for";
    }
}

void Dialogue::on_reply(mail::Reply reply) {
    tell_decided();
    const bool unasked = std::exchange(begun_unasked_, false);
    if (reply.code() == service_closing) {
        return on_shutdown(reply, unasked);
    }
    if (outstanding_ == 0 || unasked) {
        return stop(Trouble::protocol, "the store sent a reply that nothing asked for: " + reply.to_string());
    }
    --outstanding_;
    if (reply.reply_class() == mail::ReplyClass::intermediate && phase_ != Phase::data) {
        return stop(Trouble::protocol, "the store sent " + reply.to_string() + ", awaited: " + awaited());
    }
    switch (phase_) {
        case Phase::mail:
            return on_mail(reply);
        case Phase::rcpt:
            return on_rcpt(std::move(reply));
        case Phase::data:
            return on_data(reply);
        case Phase::slots:
            return on_slot(std::move(reply));
        case Phase::bdat_refusal:
            return on_bdat_refusal(reply);
        case Phase::reset:
            return on_reset(reply);
        case Phase::content:
        case Phase::leave:
        case Phase::done:
            return stop(Trouble::protocol, "the store sent a reply that nothing asked for: " + reply.to_string());
    }
}

void Dialogue::on_mail(const mail::Reply& reply) {
    if (is_out_of_step(reply)) {
        return stop(Trouble::protocol, "the store answered MAIL with " + reply.to_string());
    }
    if (is_about_the_session(reply, options_.protocol)) {
        return stop(Trouble::greeting, reply.to_string() + " (to MAIL)");
    }
    phase_ = Phase::rcpt;
    if (!reply.is_success()) {
        mail_refused_ = true;
        if (options_.ask_only) {
            settle_not_tried();
        } else {
            settle_open(reply);
        }
        if (!store_.pipelining) {
            finish(true);
        }
        return;
    }
    if (!store_.pipelining) {
        write_rcpt(asked_[0]);
    }
}

void Dialogue::on_rcpt(mail::Reply reply) {
    const std::size_t slot = asked_[cursor_];
    if (mail_refused_) {
        accepted_in_vain_ = accepted_in_vain_ || reply.is_success();
    } else if (reply.is_success() && options_.ask_only) {
        settle_by_its_own(slot, std::move(reply));
    } else if (reply.is_success()) {
        accepted_.push_back(slot);
    } else if (reply.code() == 503) {
        return stop(Trouble::protocol, "the store answered RCPT with " + reply.to_string());
    } else if (is_about_the_session(reply, options_.protocol)) {
        return stop(Trouble::greeting, reply.to_string() + " (to RCPT)");
    } else if ((!accepted_.empty() || options_.ask_only) && is_too_many_recipients(reply)) {
        // Not about this recipient: it goes in another transaction. As somebody was accepted, that one will be smaller.
        settle(slot, Fate::not_tried);
    } else {
        settle_by_its_own(slot, std::move(reply));
    }
    if (++cursor_ == asked_.size()) {
        return envelope_answered();
    }
    if (!store_.pipelining) {
        write_rcpt(asked_[cursor_]);
    }
}

void Dialogue::envelope_answered() {
    if (accepted_in_vain_) {
        return stop(Trouble::protocol, "the store refused the sender and accepted a recipient");
    }
    if (options_.ask_only) {
        phase_ = Phase::reset;
        if (!store_.pipelining) {
            write_reset();
        }
        return;
    }
    const bool nobody = accepted_.empty();
    if (in_one_write_ && !nobody) {
        return await_slots();
    }
    if (in_one_write_) {
        phase_ = Phase::bdat_refusal;
        if (content_sent_) {
            reset_or_finish();
        }
        return;
    }
    if (store_.pipelining && !use_bdat_) {
        phase_ = Phase::data;
        return;
    }
    if (nobody) {
        return reset_or_finish();
    }
    if (use_bdat_) {
        phase_ = Phase::content;
        return write_bdat();
    }
    phase_ = Phase::data;
    output_ += "DATA\r\n";
    ++written_;
}

void Dialogue::on_data(const mail::Reply& reply) {
    if (accepted_.empty()) {
        return on_data_in_vain(reply);
    }
    if (reply.is_success() || is_out_of_step(reply)) {
        return stop(Trouble::protocol, "the store answered DATA with " + reply.to_string());
    }
    if (is_about_the_session(reply, options_.protocol)) {
        return stop(Trouble::greeting, reply.to_string() + " (to DATA)");
    }
    if (reply.reply_class() == mail::ReplyClass::intermediate) {
        phase_ = Phase::content;
        encoding_ = Encoding::dotted;
        content_due_ = true;
        return;
    }
    settle_open(reply);
    reset_or_finish();
}

/// DATA was pipelined and nobody was accepted. The right answer is a refusal (RFC 2033 section 4.2).
void Dialogue::on_data_in_vain(const mail::Reply& reply) {
    if (reply.is_success()) {
        return stop(Trouble::protocol, "the store answered DATA with " + reply.to_string());
    }
    if (reply.reply_class() != mail::ReplyClass::intermediate) {
        return reset_or_finish();
    }
    // A lone dot ends the content that the store waits for (RFC 2920 section 3.1). Whether it answers that is anybody's
    // guess, so nothing is read any more and the connection goes.
    output_ = ".\r\n";
    phase_ = Phase::leave;
}

void Dialogue::on_slot(mail::Reply reply) {
    if (options_.protocol == Protocol::smtp) {
        for (const std::size_t slot : accepted_) {
            settle(slot, Fate::replied, reply);
        }
        return finish(true);
    }
    settle_by_its_own(accepted_[cursor_], std::move(reply));
    if (++cursor_ == accepted_.size()) {
        finish(true);
    }
}

/// BDAT LAST went out for nobody. By RFC 2033 section 4.2 it gets no reply, most stores refuse it with one. RSET tells
/// which: only a refusal followed by RSET's 250 is in step for sure, a 250 alone could be either's.
void Dialogue::on_bdat_refusal(const mail::Reply& reply) {
    if (reply.is_success()) {
        return finish(false);
    }
    phase_ = Phase::reset;
}

void Dialogue::on_reset(const mail::Reply& reply) {
    if (!reply.is_success()) {
        return stop(Trouble::protocol, "the store answered RSET with " + reply.to_string());
    }
    finish(true);
}

/// The endpoint's fault, and no verdict about anybody (RFC 5321 section 3.8). Whom it was said instead of an acceptance
/// was surely not accepted: everybody at MAIL, this recipient at RCPT. In the place of SMTP's one reply after the data
/// it is that reply, and a refusal for now like any 4xx (RFC 5321 section 4.2.1); in LMTP it is nobody's, as it cannot
/// stand for the other replies that are due.
void Dialogue::on_shutdown(const mail::Reply& reply, bool unasked) {
    const std::string where = awaited();
    if (phase_ == Phase::mail) {
        settle_not_tried();
    } else if (phase_ == Phase::rcpt && !mail_refused_) {
        settle(asked_[cursor_], Fate::not_tried);
    } else if (phase_ == Phase::slots && options_.protocol == Protocol::smtp && outstanding_ == 1 && !unasked) {
        for (const std::size_t slot : accepted_) {
            settle(slot, Fate::replied, reply);
        }
    }
    stop(Trouble::shutting_down, reply.to_string() + " (awaited: " + where + ")");
}

void Dialogue::closed(std::string detail) {
    if (phase_ == Phase::leave) {
        return finish(false);
    }
    if (phase_ != Phase::done) {
        stop(Trouble::broken, std::move(detail) + ", awaited: " + awaited());
    }
}

void Dialogue::timed_out() {
    if (phase_ == Phase::done) {
        return;
    }
    // Some replies and then silence: the store counts otherwise than we do.
    const bool too_few = phase_ == Phase::slots && cursor_ > 0;
    stop(too_few ? Trouble::protocol : Trouble::broken, "timed out, awaited: " + awaited());
}

void Dialogue::out_of_step(std::string detail) {
    if (phase_ != Phase::done) {
        stop(Trouble::protocol, std::move(detail) + ", awaited: " + awaited());
    }
}

void Dialogue::content_failed(std::string detail) {
    if (phase_ != Phase::done) {
        stop(Trouble::content, std::move(detail));
    }
}

// ---- How it ends ----

void Dialogue::tell_decided() {
    const auto decided = std::exchange(decided_, {});
    for (const auto& [slot, outcome] : decided) {
        settle(slot, outcome.fate, outcome.reply);
    }
}

void Dialogue::settle(std::size_t slot, Fate fate, mail::Reply reply) {
    Outcome outcome;
    outcome.fate = fate;
    outcome.reply = std::move(reply);
    settle(slot, std::move(outcome));
}

void Dialogue::settle_by_its_own(std::size_t slot, mail::Reply reply) {
    Outcome outcome;
    outcome.fate = Fate::replied;
    outcome.reply = std::move(reply);
    outcome.of_its_own = true;
    settle(slot, std::move(outcome));
}

void Dialogue::settle(std::size_t slot, Outcome outcome) {
    if (settled_[slot]) {
        return;
    }
    settled_[slot] = true;
    const bool delivered = outcome.fate == Fate::replied && outcome.reply.is_success();
    failed_ = failed_ || (outcome.fate != Fate::not_tried && !delivered);
    outcome.dsn_passed_on = store_.dsn;
    outcomes_.outcome(slot, std::move(outcome));
}

void Dialogue::settle_not_tried() {
    for (const std::size_t slot : asked_) {
        settle(slot, Fate::not_tried);
    }
}

void Dialogue::settle_open(const mail::Reply& reply) {
    for (const std::size_t slot : asked_) {
        settle(slot, Fate::replied, reply);
    }
}

/// Nobody is left to deliver to: closes the store's transaction, if one is open or in doubt, so that the next MAIL is
/// welcome.
void Dialogue::reset_or_finish() {
    const bool in_doubt = phase_ == Phase::bdat_refusal;
    if (mail_refused_ && !in_doubt) {
        return finish(true);
    }
    if (in_doubt) {
        ++outstanding_;  // for BDAT itself
    } else {
        phase_ = Phase::reset;
    }
    write_reset();
}

void Dialogue::finish(bool reusable) {
    tell_decided();
    reusable_ = reusable;
    phase_ = Phase::done;
    content_due_ = false;
    output_.clear();
}

void Dialogue::stop(Trouble trouble, std::string detail) {
    trouble_ = trouble;
    detail_ = std::move(detail);
    finish(false);
    for (const std::size_t slot : asked_) {
        settle(slot, content_sent_ ? Fate::unknown : Fate::not_tried);
    }
}

std::string Dialogue::awaited() const {
    const auto place = [](std::string what, std::size_t index, std::size_t count) {
        return std::move(what) + " " + std::to_string(index + 1) + " of " + std::to_string(count);
    };
    switch (phase_) {
        case Phase::mail:
            return "reply to MAIL";
        case Phase::rcpt:
            return place("reply to RCPT", cursor_, asked_.size());
        case Phase::data:
            return "reply to DATA";
        case Phase::content:
            return "nothing, the content was being sent";
        case Phase::slots:
            return place("reply after the data", cursor_, replies_after_data());
        case Phase::bdat_refusal:
            return "reply to BDAT without recipients";
        case Phase::reset:
            return "reply to RSET";
        case Phase::leave:
        case Phase::done:
            return "nothing";
    }
    return "nothing";
}

}  // namespace postern::lmtp_client::detail
