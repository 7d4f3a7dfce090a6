#include "gateway/bounce/reporter.hpp"

#include <algorithm>
#include <exception>
#include <utility>

namespace postern::bounce {

namespace {

using Told = queue::Reporter::Told;

Sender sender_of(const queue::Reporter::Case& about) {
    Sender sender;
    sender.is_null = about.envelope.sender.is_null();
    sender.is_verified = about.envelope.origin == queue::Origin::trusted;
    sender.nature = about.envelope.origin == queue::Origin::gateway ? Nature::automatic : nature_of(about.content);
    return sender;
}

/// What an operator returns, the operator answers for; loops stay impossible all the same.
SendPolicy policy_for(const Told& told, const Rules& rules) {
    return told.telling.by_hand ? SendPolicy::always : rules.send;
}

ReportedRecipient reported(const Told& told, const queue::Reporter::Case& about, const Rules& rules) {
    ReportedRecipient recipient(told.recipient.address);
    recipient.dsn = told.recipient.dsn;
    recipient.last_reply = told.recipient.last_reply;
    recipient.expired = told.telling.expired;
    if (told.telling.by_hand && !told.telling.expired && !told.recipient.failed) {
        recipient.status = mail::EnhancedStatus(5, 7, 0);
    }
    recipient.remote_mta = told.telling.remote_mta;
    if (told.recipient.attempts > 0 && told.telling.changes_all && !told.telling.by_hand) {
        recipient.last_attempt_at = told.telling.at;
    }
    if (about.notice == Notice::delayed) {
        recipient.will_retry_until = about.envelope.received_at + rules.expire;
    }
    return recipient;
}

}  // namespace

Reporter::Reporter(const queue::Clock& clock, std::shared_ptr<const Rules> rules)
    : clock_(clock), rules_(std::move(rules)) {}

std::size_t Reporter::content_octets_max() const {
    const auto rules = rules_.load();
    return std::max(rules->report.header_octets_max, rules->report.message_octets_max);
}

Reporter::Answer Reporter::decide(const Case& about) {
    const auto rules = rules_.load();
    try {
        return answer(about, *rules);
    } catch (const std::exception&) {
        return {};  // no memory: it is parked
    }
}

Reporter::Answer Reporter::answer(const Case& about, const Rules& rules) {
    const Sender sender = sender_of(about);
    const auto& address = about.envelope.sender.mailbox();
    const auto way = address && rules.way_to ? rules.way_to(*address) : std::nullopt;
    Answer answer;
    std::vector<ReportedRecipient> recipients;
    for (const Told& told : about.recipients) {
        Decision decision = bounce::decide(about.notice, told.recipient.dsn.notify, sender, policy_for(told, rules));
        if (decision.ruling == Ruling::report && !way) {
            decision.ruling = about.notice == Notice::failed ? Ruling::park : Ruling::silence;
            decision.why = "there is no way to the sender's domain: bounces.relay is none";
        }
        Verdict& verdict = answer.verdicts.emplace_back();
        verdict.ruling = decision.ruling;
        if (decision.ruling == Ruling::report) {
            recipients.push_back(reported(told, about, rules));
        } else {
            verdict.why = '(' + std::string(decision.why) + ')';
        }
    }
    if (recipients.empty()) {
        return answer;
    }
    ReportedMessage returned;
    returned.envelope = about.envelope;
    returned.content = about.content;
    returned.content_is_whole = about.content_is_whole;
    Report report = make_report(about.notice, returned, recipients, about.report_id, clock_.wall(), rules.report);
    answer.report = message(about, std::move(report), rules, *way);
    return answer;
}

queue::CommittedMessage Reporter::message(const Case& about, Report report, const Rules& rules, std::string backend) {
    const queue::Instant now = clock_.wall();
    queue::CommittedMessage message;
    queue::Envelope& envelope = message.envelope;
    envelope.id = about.report_id;
    envelope.received_at = now;
    envelope.body_type = report.has_8bit ? queue::BodyType::eight_bit_mime : queue::BodyType::seven_bit;
    envelope.has_8bit = report.has_8bit;
    envelope.smtputf8 = report.smtputf8;
    envelope.require_tls = about.envelope.require_tls;  // RFC 8689 section 5: what speaks of it is protected as it was
    envelope.size = report.content.size();
    envelope.origin = queue::Origin::gateway;
    envelope.about = about.envelope.id;
    queue::Recipient recipient(*about.envelope.sender.mailbox());
    recipient.backend = std::move(backend);
    recipient.dsn.notify = mail::DsnNotify::never;  // no report on a report, of nobody's
    recipient.next_attempt_at = now + pace_.wait(recipient.address.domain_key(), rules.per_domain, clock_.steady());
    message.recipients.push_back(std::move(recipient));
    message.content = std::make_shared<const std::string>(std::move(report.content));
    return message;
}

}  // namespace postern::bounce
