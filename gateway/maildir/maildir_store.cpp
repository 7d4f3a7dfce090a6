#include "gateway/maildir/maildir_store.hpp"

#include <utility>

#include "gateway/maildir/mailbox_folder.hpp"

namespace postern::maildir {

namespace asio = boost::asio;
using mail::EnhancedStatus;
using mail::Reply;
using smtp_server::Refusal;

namespace {

/// Holds the whole message: what this store is for is small.
class Sink final : public smtp_server::MessageSink {
public:
    Sink(MaildirStore& store, smtp_server::Protocol protocol, mail::ReversePath sender,
         std::vector<mail::Mailbox> recipients)
        : store_(store), protocol_(protocol), sender_(std::move(sender)), recipients_(std::move(recipients)) {}

    asio::awaitable<Refusal> write(std::string part) override {
        content_ += part;
        co_return std::nullopt;
    }

    asio::awaitable<std::vector<Reply>> finish(std::string last_part, bool) override {
        content_ += last_part;
        std::vector<Reply> replies;
        for (const mail::Mailbox& recipient : recipients_) {
            replies.push_back(store_.file(sender_, recipient, content_));
        }
        if (protocol_ == smtp_server::Protocol::smtp) {
            replies.resize(1);
        }
        co_return replies;
    }

private:
    MaildirStore& store_;
    const smtp_server::Protocol protocol_;
    const mail::ReversePath sender_;
    const std::vector<mail::Mailbox> recipients_;
    std::string content_;
};

}  // namespace

MaildirStore::MaildirStore(MaildirOptions options, std::function<void(const std::string&, const Reply&)> filed)
    : options_(std::move(options)), filed_(std::move(filed)) {}

bool MaildirStore::exists(const mail::Mailbox& mailbox) const {
    const auto folder = folder_of(options_.root, mailbox);
    std::error_code error;
    return folder && (options_.create || std::filesystem::is_directory(*folder, error));
}

Refusal MaildirStore::connected(const smtp_server::SessionInfo&) { return std::nullopt; }

asio::awaitable<Refusal> MaildirStore::mail(smtp_server::SessionInfo&, const smtp_server::MailCommand&) {
    co_return std::nullopt;
}

asio::awaitable<Refusal> MaildirStore::rcpt(const smtp_server::SessionInfo&, const smtp_server::MailCommand&,
                                            const smtp_server::RcptCommand& command) {
    if (exists(command.address)) {
        co_return std::nullopt;
    }
    Reply reply(550, EnhancedStatus(5, 1, 1), "No such mailbox");
    filed_(command.address.to_string(), reply);
    co_return reply;
}

asio::awaitable<smtp_server::Hooks::Begun> MaildirStore::begin(
    const smtp_server::SessionInfo& session, const smtp_server::MailCommand& mail,
    const std::vector<smtp_server::RcptCommand>& recipients) {
    std::vector<mail::Mailbox> mailboxes;
    for (const smtp_server::RcptCommand& recipient : recipients) {
        mailboxes.push_back(recipient.address);
    }
    Begun begun;
    begun.sink = std::make_unique<Sink>(*this, session.protocol, mail.sender, std::move(mailboxes));
    co_return begun;
}

void MaildirStore::disconnected(const smtp_server::SessionInfo&, std::string_view, std::uint32_t) {}

Reply MaildirStore::file(const mail::ReversePath& sender, const mail::Mailbox& recipient, const std::string& content) {
    Reply reply = try_to_file(sender, recipient, content);
    filed_(recipient.to_string(), reply);
    return reply;
}

Reply MaildirStore::try_to_file(const mail::ReversePath& sender, const mail::Mailbox& recipient,
                                const std::string& content) {
    const auto folder = folder_of(options_.root, recipient);
    if (!folder) {
        return {550, EnhancedStatus(5, 1, 1), "No such mailbox"};
    }
    // RFC 5321 section 4.4: who makes the final delivery says where reports go.
    const std::string header =
        "Return-Path: <" + sender.to_string() + ">\r\nDelivered-To: " + recipient.to_string() + "\r\n";
    if (auto made = make_folder(*folder); made.has_error()) {
        return {451, EnhancedStatus(4, 3, 0), made.error()};
    }
    const std::uint64_t quota = quota_of(*folder, options_.quota);
    if (quota != 0 && used_octets(*folder) + header.size() + content.size() > quota) {
        return {452, EnhancedStatus(4, 2, 2), "Mailbox full"};
    }
    const std::string unique =
        options_.unique_prefix + '_' + std::to_string(count_.fetch_add(1)) + '.' + options_.hostname;
    if (auto filed = file_message(*folder, unique, header, content); filed.has_error()) {
        return {451, EnhancedStatus(4, 3, 0), filed.error()};
    }
    return {250, EnhancedStatus(2, 0, 0), "Delivered"};
}

}  // namespace postern::maildir
