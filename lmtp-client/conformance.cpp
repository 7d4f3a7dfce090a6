#include "lmtp-client/conformance.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "lmtp-client/detail/blocking_dialogue.hpp"
#include "lmtp-client/detail/capabilities.hpp"

namespace postern::lmtp_client {

namespace {

using Check = ConformanceCheck;
using Result = Check::Result;
using std::chrono::milliseconds;

/// How long to look whether a store says more than it was asked: it would have done so with its answer.
constexpr milliseconds afterthought{200};
constexpr milliseconds closing{2000};

bool announces(const mail::Reply& greeting, std::string_view keyword) {
    const std::string& text = greeting.text();
    for (std::size_t at = text.find('\n'); at != std::string::npos; at = text.find('\n', at + 1)) {
        std::string word = text.substr(at + 1, text.find_first_of(" \n", at + 1) - at - 1);
        std::transform(word.begin(), word.end(), word.begin(),
                       [](unsigned char c) { return static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c); });
        if (word == keyword) {
            return true;
        }
    }
    return false;
}

/// The checks, one after the other, each on the dialogue as the one before left it.
class Examination {
public:
    Examination(const Endpoint& endpoint, const ConformanceOptions& options) : endpoint_(endpoint), options_(options) {}

    std::vector<Check> run() {
        if (begin()) {
            // One after the other; a store that closes or is silent ends it, and what was not asked is not told.
            (void)(helo_is_refused("HELO") && helo_is_refused("EHLO") && lhlo() && simple("NOOP", "RFC 5321 4.1.1.9") &&
                   unknown_command() && data_without_recipients(false) && data_without_recipients(true) &&
                   behind_mail() && enhanced_codes() && quit());
        }
        return std::move(checks_);
    }

private:
    void tell(Result result, std::string what, std::string clause, std::string seen, std::string consequence = {}) {
        Check check;
        check.result = result;
        check.what = std::move(what);
        check.clause = std::move(clause);
        check.seen = std::move(seen);
        check.consequence = std::move(consequence);
        checks_.push_back(std::move(check));
    }

    /// Asks; no answer is a failed check of its own, and ends the examination.
    std::optional<mail::Reply> ask(const std::string& command, const std::string& what, const std::string& clause) {
        std::optional<mail::Reply> reply;
        if (talk_->send(command + "\r\n")) {
            reply = talk_->reply(options_.reply_timeout);
        }
        if (!reply) {
            tell(Result::fail, what, clause, talk_->error() + ", after " + command,
                 "an attempt that this befalls is tried again later, and the endpoint is given a rest when it happens "
                 "often");
        } else if (announced_ && command.substr(0, 4) != "LHLO" && !reply->status() &&
                   reply->reply_class() != mail::ReplyClass::intermediate) {
            without_code_ = without_code_.empty() ? command + ": " + reply->to_string() : without_code_;
        }
        return reply;
    }

    bool begin() {
        talk_ = std::make_unique<detail::BlockingDialogue>();
        const std::string refused = talk_->connect(endpoint_, options_.connect_timeout);
        if (!refused.empty()) {
            tell(Result::fail, "a connection can be made", "RFC 5321 3.1", refused,
                 "mail for it waits; the endpoint is tried again every few seconds");
            return false;
        }
        const auto greeting = talk_->reply(options_.reply_timeout);
        const bool good = greeting && greeting->code() == 220;
        tell(good ? Result::pass : Result::fail, "the greeting is 220", "RFC 5321 4.2",
             greeting ? greeting->to_string() : talk_->error(),
             good ? "" : "mail for it waits: that is the endpoint's fault, never the mail's");
        return good;
    }

    /// RFC 2033 section 4.1: "MUST NOT return a Positive Completion reply".
    bool helo_is_refused(const std::string& verb) {
        const std::string what = verb + " is refused";
        const auto reply = ask(verb + ' ' + options_.hostname, what, "RFC 2033 4.1");
        if (!reply) {
            return false;
        }
        tell(reply->is_success() ? Result::fail : Result::pass, what, "RFC 2033 4.1", reply->to_string(),
             reply->is_success() ? "none: only LHLO is ever said; but make sure that this is an LMTP listener" : "");
        return true;
    }

    bool lhlo() {
        auto reply = greet("LHLO is accepted");
        if (reply && options_.security.tls != Security::Tls::off) {
            reply = within_tls(*reply);
        }
        if (!reply) {
            return false;
        }
        must_offer(*reply, "PIPELINING", "each command waits for the answer to the one before: slower, nothing else");
        must_offer(*reply, "ENHANCEDSTATUSCODES", "codes are read where they stand; else the basic code alone decides");
        should_offer(*reply, "8BITMIME", "RFC 2033 5", "8-bit mail for it is returned with 5.6.3");
        should_offer(*reply, "SMTPUTF8", "RFC 6531", "mail with UTF-8 addresses for it is returned with 5.6.7");
        announced_ = announces(*reply, "ENHANCEDSTATUSCODES");
        return true;
    }

    /// The reply to a LHLO that was accepted.
    std::optional<mail::Reply> greet(const std::string& what) {
        auto reply = ask("LHLO " + options_.hostname, what, "RFC 2033 4.1");
        if (reply) {
            const bool good = reply->is_success();
            tell(good ? Result::pass : Result::fail, what, "RFC 2033 4.1", reply->to_string(),
                 good ? "" : "nothing can be delivered to it");
            return good ? std::move(reply) : std::nullopt;
        }
        return reply;
    }

    /// On into TLS, where mail for it goes. `clear`: the reply to LHLO in clear. The reply within; nullopt: no mail
    /// goes.
    std::optional<mail::Reply> within_tls(const mail::Reply& clear) {
        const std::string clause = "RFC 3207 4";
        const bool needed = options_.security.tls != Security::Tls::opportunistic;
        if (!announces(clear, "STARTTLS")) {
            tell(needed ? Result::fail : Result::cannot_tell, "STARTTLS is offered", clause, "not offered",
                 needed ? "mail for it waits: `tls: required` sends nothing in clear" : "mail for it goes in clear");
            return needed ? std::nullopt : std::optional(clear);
        }
        const std::string why_not = start_tls();
        if (why_not.empty()) {
            tell(Result::pass, "TLS begins", clause, talk_->tls());
            return greet("LHLO is accepted within TLS");
        }
        tell(Result::fail, "TLS begins", clause, why_not,
             needed ? "mail for it waits: `tls: required` sends nothing in clear" : "mail for it goes in clear");
        if (needed || !connect_anew()) {
            return std::nullopt;
        }
        return clear;
    }

    /// Empty: in TLS now. Else why not.
    std::string start_tls() {
        if (!talk_->send("STARTTLS\r\n")) {
            return talk_->error();
        }
        const auto ready = talk_->reply(options_.reply_timeout);
        if (!ready) {
            return talk_->error();
        }
        if (ready->code() != 220) {
            return ready->to_string();
        }
        return talk_->start_tls(options_.security, endpoint_.host, options_.reply_timeout);
    }

    void must_offer(const mail::Reply& reply, const std::string& keyword, std::string consequence) {
        const bool offered = announces(reply, keyword);
        tell(offered ? Result::pass : Result::fail, keyword + " is offered", "RFC 2033 5",
             offered ? "offered" : "not offered", offered ? "" : std::move(consequence));
    }

    void should_offer(const mail::Reply& reply, const std::string& keyword, std::string clause,
                      std::string consequence) {
        const bool offered = announces(reply, keyword);
        tell(offered ? Result::pass : Result::cannot_tell, keyword + " is offered (not required)", std::move(clause),
             offered ? "offered" : "not offered", offered ? "" : std::move(consequence));
    }

    bool simple(const std::string& command, const std::string& clause) {
        const std::string what = command + " is accepted";
        const auto reply = ask(command, what, clause);
        if (reply) {
            tell(reply->is_success() ? Result::pass : Result::fail, what, clause, reply->to_string());
        }
        return reply.has_value();
    }

    bool unknown_command() {
        const std::string what = "an unknown command gets a 5xx";
        const auto reply = ask("XNONSENSE", what, "RFC 5321 4.2.4");
        if (reply) {
            tell(reply->is_permanent() ? Result::pass : Result::fail, what, "RFC 5321 4.2.4", reply->to_string());
        }
        return reply.has_value();
    }

    /// RFC 2033 section 4.2: "the DATA command MUST fail with a 503 reply code". A 354 is answered with a hang-up,
    /// before any content: nothing can be stored.
    bool data_without_recipients(bool with_sender) {
        const std::string what = with_sender ? "DATA without a recipient is 503" : "DATA without a sender is 503";
        if (with_sender) {
            const auto sender = ask("MAIL FROM:<>", what, "RFC 2033 4.2");
            if (!sender) {
                return false;
            }
            takes_null_sender_ = sender->is_success();
            if (!takes_null_sender_) {
                tell(Result::fail, "the null sender is accepted", "RFC 5321 4.5.5", sender->to_string(),
                     "reports of delivery fail there; what comes behind MAIL could not be checked");
                return true;
            }
        }
        const auto reply = ask("DATA", what, "RFC 2033 4.2");
        if (!reply) {
            return false;
        }
        if (reply->reply_class() == mail::ReplyClass::intermediate) {
            tell(Result::fail, what, "RFC 2033 4.2", reply->to_string(),
                 "when every recipient was refused and it still asks for the data, the connection is closed without "
                 "sending any");
            return again();
        }
        tell(reply->code() == 503 ? Result::pass : Result::fail, what, "RFC 2033 4.2", reply->to_string(),
             reply->is_success() ? "such an answer ends the dialogue as out of step" : "");
        return reset();
    }

    bool reset() {
        const auto reply = ask("RSET", "RSET is accepted", "RFC 5321 4.1.1.5");
        if (reply && !reply->is_success()) {
            tell(Result::fail, "RSET is accepted", "RFC 5321 4.1.1.5", reply->to_string(),
                 "a connection on which nobody was accepted is not used again");
        }
        return reply.has_value();
    }

    /// A connection that may be waiting for content is of no more use.
    bool again() {
        const bool in_tls = !talk_->tls().empty();
        return connect_anew() && (!in_tls || (start_tls().empty() && greet_again()));
    }

    /// In clear, to behind LHLO, without a check.
    bool connect_anew() {
        talk_ = std::make_unique<detail::BlockingDialogue>();
        return talk_->connect(endpoint_, options_.connect_timeout).empty() &&
               talk_->reply(options_.reply_timeout).has_value() && greet_again();
    }

    bool greet_again() {
        announced_ = false;
        if (!talk_->send("LHLO " + options_.hostname + "\r\n")) {
            return false;
        }
        const auto reply = talk_->reply(options_.reply_timeout);
        announced_ = reply && announces(*reply, "ENHANCEDSTATUSCODES");
        return reply && reply->is_success();
    }

    bool behind_mail() { return !takes_null_sender_ || (impossible_mailbox() && recipient() && pipelined_group()); }

    bool impossible_mailbox() {
        const std::string what = "a mailbox that cannot be is refused at RCPT";
        if (!ask("MAIL FROM:<>", what, "RFC 5321 3.3")) {
            return false;
        }
        const auto reply = ask("RCPT TO:<" + options_.nobody + '>', what, "RFC 5321 3.3");
        if (!reply) {
            return false;
        }
        accepts_anybody_ = reply->is_success();
        if (reply->is_success()) {
            tell(Result::cannot_tell, what, "RFC 5321 3.3", reply->to_string(),
                 "it accepts anybody here; who does not exist is then refused only after the data, if at all");
        } else if (reply->is_transient()) {
            tell(Result::cannot_tell, what, "RFC 5321 3.3", reply->to_string(),
                 "a 4xx means try again: mail for unknown mailboxes waits until it expires");
        } else {
            tell(Result::pass, what, "RFC 5321 3.3", reply->to_string());
        }
        return reset();
    }

    bool recipient() {
        if (!options_.recipient) {
            return true;
        }
        const std::string what = "the recipient given is accepted";
        if (!ask("MAIL FROM:<>", what, "RFC 5321 3.3")) {
            return false;
        }
        const auto reply = ask("RCPT TO:<" + options_.recipient->to_string() + '>', what, "RFC 5321 3.3");
        if (!reply) {
            return false;
        }
        tell(reply->is_success() ? Result::pass : Result::fail, what, "RFC 5321 3.3", reply->to_string());
        return reset();
    }

    /// Four commands in one write, whose answers can be told apart.
    bool pipelined_group() {
        const std::string what = "a group in one write is answered one by one, in order";
        const std::string clause = "RFC 2920 3.2";
        std::vector<std::string> seen;
        bool good = talk_->send("MAIL FROM:<>\r\nRCPT TO:<" + options_.nobody + ">\r\nRSET\r\nNOOP\r\n");
        for (int i = 0; i < 4 && good; ++i) {
            const auto reply = talk_->reply(options_.reply_timeout);
            good = reply.has_value() && reply->code() != 421;
            // The refusal belongs to RCPT alone, the second.
            good = good && (i == 1 ? reply->is_success() == accepts_anybody_ : reply->is_success());
            seen.push_back(reply ? std::to_string(reply->code()) : talk_->error());
        }
        const bool more = good && talk_->says_more(afterthought);
        std::string text;
        for (const std::string& each : seen) {
            text += (text.empty() ? "" : ", ") + each;
        }
        text += more ? ", and more than was asked for" : "";
        tell(good && !more ? Result::pass : Result::fail, what, clause, text,
             good && !more ? ""
                           : "its answers cannot be matched to recipients: deliveries end as out of step, and go one "
                             "recipient at a time");
        return good && !more;
    }

    bool enhanced_codes() {
        if (announced_) {
            tell(without_code_.empty() ? Result::pass : Result::fail, "each reply has an enhanced code", "RFC 2034 4",
                 without_code_.empty() ? "as announced" : without_code_,
                 without_code_.empty() ? "" : "where it is missing the basic code alone decides");
        }
        return true;
    }

    bool quit() {
        const auto reply = ask("QUIT", "QUIT is 221", "RFC 5321 4.1.1.10");
        if (!reply) {
            return false;
        }
        tell(reply->code() == 221 ? Result::pass : Result::fail, "QUIT is 221", "RFC 5321 4.1.1.10", reply->to_string(),
             reply->code() == 221 ? "" : "none: the answer to QUIT is never taken for anybody's");
        const bool closed = talk_->closes(closing);
        tell(closed ? Result::pass : Result::fail, "the store closes after QUIT", "RFC 5321 4.1.1.10",
             closed ? "closed" : "still open", closed ? "" : "the connection is closed from this side a second later");
        return true;
    }

    const Endpoint& endpoint_;
    const ConformanceOptions& options_;
    std::unique_ptr<detail::BlockingDialogue> talk_;
    std::vector<Check> checks_;
    bool announced_ = false;  ///< ENHANCEDSTATUSCODES
    bool takes_null_sender_ = true;
    bool accepts_anybody_ = false;  ///< at RCPT
    std::string without_code_;      ///< the first reply that lacked one
};

}  // namespace

std::vector<ConformanceCheck> check_conformance(const Endpoint& endpoint, const ConformanceOptions& options) {
    return Examination(endpoint, options).run();
}

}  // namespace postern::lmtp_client
