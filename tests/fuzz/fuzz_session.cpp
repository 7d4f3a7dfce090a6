// Whole sessions, SMTP and LMTP: the same replies and the same mail however the client's octets are cut; never a reply
// that nothing asked for; nothing taken that was refused, and nothing but clean lines; each message for the recipients
// of its own transaction alone.
//
// The first octet of the input chooses the session: 1 LMTP, 2 bare newlines are refused. The next four are
// the cuts.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cctype>
#include <vector>

#include "smtp-server/detail/session.hpp"
#include "tests/fuzz/cuts.hpp"
#include "tests/fuzz/envelope_model.hpp"
#include "tests/fuzz/expect.hpp"

using namespace postern;
using namespace postern::smtp_server;
using namespace postern::smtp_server::detail;
namespace asio = boost::asio;

namespace {

using fuzz::Taken;

/// Takes what is for example.com: "full" is refused after the content, "never" at RCPT.
class FuzzHooks final : public Hooks {
public:
    Refusal connected(const SessionInfo&) override { return std::nullopt; }
    asio::awaitable<Refusal> mail(SessionInfo&, const MailCommand&) override { co_return std::nullopt; }
    asio::awaitable<Refusal> rcpt(const SessionInfo& session, const MailCommand&, const RcptCommand& command) override {
        Refusal refusal;
        // Depends on how the input was cut, and must change nothing.
        static_cast<void>(session.recipients_ahead());
        if (command.address.domain_key() != "example.com" || command.address.local_part() == "never") {
            refusal = mail::Reply(550, mail::EnhancedStatus(5, 7, 1), "No");
        }
        co_return refusal;
    }
    asio::awaitable<Begun> begin(const SessionInfo& session, const MailCommand& mail,
                                 const std::vector<RcptCommand>& recipients) override {
        POSTERN_EXPECT(!recipients.empty() && !session.helo.empty());
        auto sink = std::make_unique<Sink>(taken, session.protocol);
        sink->message.sender = mail.sender.to_string();
        for (const RcptCommand& recipient : recipients) {
            POSTERN_EXPECT(recipient.address.domain_key() == "example.com" &&
                           recipient.address.local_part() != "never");
            sink->message.recipients.push_back(recipient.address.to_string());
        }
        Begun begun;
        begun.sink = std::move(sink);
        co_return begun;
    }
    void disconnected(const SessionInfo&, std::string_view why, std::uint32_t count) override {
        POSTERN_EXPECT(!ended && count <= taken.size());
        ended = true;
        reason = why;
    }

    std::vector<Taken> taken;
    bool ended = false;
    std::string reason;

private:
    class Sink final : public MessageSink {
    public:
        Sink(std::vector<Taken>& taken, Protocol protocol) : taken_(taken), protocol_(protocol) {}
        asio::awaitable<Refusal> write(std::string part) override {
            message.content += part;
            co_return std::nullopt;
        }
        asio::awaitable<std::vector<mail::Reply>> finish(std::string last_part, bool) override {
            message.content += last_part;
            std::vector<mail::Reply> replies;
            bool any = false;
            for (const std::string& recipient : message.recipients) {
                const bool full = recipient.compare(0, 5, "full@") == 0;
                any = any || !full;
                if (full) {
                    replies.emplace_back(std::uint16_t{452}, mail::EnhancedStatus(4, 2, 2), "Full");
                } else {
                    replies.emplace_back(std::uint16_t{250}, mail::EnhancedStatus(2, 0, 0), "Taken");
                }
            }
            if (protocol_ == Protocol::smtp) {
                replies.assign(1, any ? mail::Reply(250, mail::EnhancedStatus(2, 0, 0), "Taken")
                                      : mail::Reply(452, mail::EnhancedStatus(4, 2, 2), "Full"));
            }
            if (any) {
                taken_.push_back(message);
            }
            co_return replies;
        }
        Taken message;

    private:
        std::vector<Taken>& taken_;
        const Protocol protocol_;
    };
};

struct Outcome {
    std::string said;
    std::vector<Taken> taken;
    std::string reason;
};

std::shared_ptr<const SessionOptions> options_for(unsigned choice) {
    auto options = std::make_shared<SessionOptions>();
    options->protocol = (choice & 1U) != 0 ? Protocol::lmtp : Protocol::smtp;
    options->bare_newline = (choice & 2U) != 0 ? BareNewline::reject : BareNewline::normalize;
    options->hostname = "mx.example.com";
    options->limits.message_size = 2000;
    options->limits.recipients_per_message = 5;
    options->limits.errors_per_session = 20;
    options->limits.commands_without_mail = 30;
    options->limits.command_line = 600;
    options->limits.received_headers = 3;
    options->limits.chunk = 100;
    return options;
}

/// One end of a connection whose other end is a session.
class Conversation {
public:
    /// `context` is made once: it costs more than a session.
    Conversation(asio::io_context& context, std::shared_ptr<const SessionOptions> options) : context_(context) {
        int ends[2];
        POSTERN_EXPECT(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
        descriptor_ = ends[0];
        Session::Socket socket(context_);
        socket.assign(asio::generic::stream_protocol(AF_UNIX, 0), ends[1]);
        Session::Client client;
        client.info.protocol = options->protocol;
        session_ = std::make_unique<Session>(std::move(socket), std::move(client), std::move(options),
                                             Session::Surroundings{hooks_, counters_, clients_, scratch_});
        auto task = session_->run(std::nullopt);
        asio::co_spawn(context_, std::move(task), [this](const std::exception_ptr& problem) {
            POSTERN_EXPECT(!problem);
            over_ = true;
        });
        go_on();
    }
    ~Conversation() { ::close(descriptor_); }
    Conversation(const Conversation&) = delete;
    Conversation& operator=(const Conversation&) = delete;

    [[nodiscard]] bool over() const { return over_; }
    [[nodiscard]] const std::string& said() const { return said_; }
    [[nodiscard]] const std::vector<Taken>& taken() const { return hooks_.taken; }
    void say(std::string_view octets) {
        while (!octets.empty() && !over_) {
            const ssize_t count = ::send(descriptor_, octets.data(), octets.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
            if (count > 0) {
                octets.remove_prefix(static_cast<std::size_t>(count));
            }
            go_on();
        }
    }
    Outcome end() {
        ::shutdown(descriptor_, SHUT_WR);
        go_on();
        POSTERN_EXPECT(over_ && hooks_.ended);
        return {std::move(said_), std::move(hooks_.taken), hooks_.reason};
    }

private:
    /// Lets the session do all that it can, and hears it.
    void go_on() {
        char octets[4096];
        ssize_t count = 0;
        do {
            context_.restart();
            context_.poll();
            count = ::recv(descriptor_, octets, sizeof octets, MSG_DONTWAIT);
            said_.append(octets, static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
        } while (count > 0);
    }

    asio::io_context& context_;
    FuzzHooks hooks_;
    Session::Counters counters_;
    ClientTable clients_;
    std::string scratch_ = std::string(4096, '\0');
    std::unique_ptr<Session> session_;
    int descriptor_ = -1;
    std::string said_;
    bool over_ = false;
};

asio::io_context& shared_context() {
    static asio::io_context context(1);
    return context;
}

Outcome converse(std::string_view content, fuzz::Cuts cuts, const std::shared_ptr<const SessionOptions>& options) {
    asio::io_context& context = shared_context();
    Conversation conversation(context, options);
    while (!content.empty() && !conversation.over()) {
        const std::string_view piece = cuts.next(content);
        content.remove_prefix(piece.size());
        conversation.say(piece);
    }
    return conversation.end();
}

/// Line by line, so that each reply is known to be to that line, and the envelope of what is taken known from both.
Outcome converse_in_turn(std::string_view content, const std::shared_ptr<const SessionOptions>& options) {
    Conversation conversation(shared_context(), options);
    fuzz::EnvelopeModel model;
    while (!content.empty() && !conversation.over()) {
        const std::string_view piece = model.next(content);
        content.remove_prefix(piece.size());
        const std::size_t before = conversation.said().size();
        conversation.say(piece);
        model.heard(piece, std::string_view(conversation.said()).substr(before), conversation.taken());
    }
    return conversation.end();
}

/// The codes of all replies; each line is one that may be sent.
std::vector<std::string> codes_of(const std::string& said) {
    std::vector<std::string> codes;
    for (std::size_t begin = 0; begin < said.size();) {
        const std::size_t end = said.find("\r\n", begin);
        POSTERN_EXPECT(end != std::string::npos && end - begin >= 4 && end - begin <= 510);
        const std::string line = said.substr(begin, end - begin);
        POSTERN_EXPECT(std::all_of(line.begin(), line.end(), [](char c) { return c >= ' ' && c <= '~'; }));
        POSTERN_EXPECT(line[0] >= '2' && line[0] <= '5' && std::isdigit(line[1]) != 0 && std::isdigit(line[2]) != 0);
        POSTERN_EXPECT(line[3] == ' ' || line[3] == '-');
        if (line[3] == ' ') {
            codes.push_back(line.substr(0, 3));
        }
        begin = end + 2;
    }
    return codes;
}

void check(const Outcome& outcome, std::string_view content, Protocol protocol) {
    const auto codes = codes_of(outcome.said);
    POSTERN_EXPECT(!codes.empty() && codes[0] == "220");
    // A reply answers the greeting, a line, a content (which ends in a line, or follows one), or ends the session.
    // LMTP: one for each recipient of a content.
    const auto lines = static_cast<std::size_t>(std::count(content.begin(), content.end(), '\n'));
    const std::size_t contents = static_cast<std::size_t>(std::count(codes.begin(), codes.end(), "354")) + lines;
    POSTERN_EXPECT(codes.size() <= 2 + lines + (protocol == Protocol::lmtp ? contents * 5 : 0));
    std::size_t taken_replies = 0;
    for (std::size_t at = outcome.said.find("2.0.0 Taken"); at != std::string::npos;
         at = outcome.said.find("2.0.0 Taken", at + 1)) {
        ++taken_replies;
    }
    std::size_t expected = 0;
    for (const Taken& taken : outcome.taken) {
        const auto full = std::count_if(taken.recipients.begin(), taken.recipients.end(),
                                        [](const std::string& each) { return each.compare(0, 5, "full@") == 0; });
        expected += protocol == Protocol::smtp ? 1 : taken.recipients.size() - static_cast<std::size_t>(full);
        POSTERN_EXPECT(taken.content.size() <= 2000 && taken.recipients.size() <= 5);
        for (std::size_t i = 0; i < taken.content.size(); ++i) {
            const bool cr = taken.content[i] == '\r';
            const bool lf = taken.content[i] == '\n';
            POSTERN_EXPECT(!cr || (i + 1 < taken.content.size() && taken.content[i + 1] == '\n'));
            POSTERN_EXPECT(!lf || (i > 0 && taken.content[i - 1] == '\r'));
        }
    }
    POSTERN_EXPECT(taken_replies == expected);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) {
        return 0;
    }
    const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
    const std::string_view content = fuzz::Cuts::content(input);
    const auto options = options_for(data[0]);
    const Outcome cut = converse(content, fuzz::Cuts(input), options);
    const Outcome whole = converse(content, fuzz::Cuts({}), options);
    const Outcome in_turn = converse_in_turn(content, options);
    check(whole, content, options->protocol);
    for (const Outcome* other : {&cut, &in_turn}) {
        POSTERN_EXPECT(other->said == whole.said);
        POSTERN_EXPECT(other->taken == whole.taken);
        POSTERN_EXPECT(other->reason == whole.reason);
    }
    return 0;
}
