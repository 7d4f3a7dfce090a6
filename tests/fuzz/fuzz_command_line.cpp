// LineReader and parse_command: the same lines however the input is cut, and of each line a command or a refusal that
// may be sent.
#include <algorithm>
#include <utility>
#include <vector>

#include "smtp-server/detail/command.hpp"
#include "smtp-server/detail/line_reader.hpp"
#include "tests/fuzz/cuts.hpp"
#include "tests/fuzz/expect.hpp"

using namespace postern;
using namespace postern::smtp_server;
using namespace postern::smtp_server::detail;

namespace {

constexpr std::size_t octets_max = 512;

using Reports = std::vector<std::pair<LineStatus, std::string>>;

Reports read_lines(std::string_view content, fuzz::Cuts cuts) {
    LineReader reader(octets_max);
    Reports reports;
    while (!content.empty()) {
        std::string_view piece = cuts.next(content);
        content.remove_prefix(piece.size());
        while (!piece.empty()) {
            const auto fed = reader.feed(piece);
            POSTERN_EXPECT(fed.consumed > 0 && reader.line().size() <= octets_max);
            piece.remove_prefix(fed.consumed);
            if (fed.status == LineStatus::need_more) {
                POSTERN_EXPECT(piece.empty());
            } else {
                reports.emplace_back(fed.status, reader.line());
            }
        }
    }
    return reports;
}

bool is_printable(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}

void check_refusal(const mail::Reply& reply) {
    static constexpr std::uint16_t codes[] = {500, 501, 502, 504, 521, 550, 553, 555};
    POSTERN_EXPECT(std::find(std::begin(codes), std::end(codes), reply.code()) != std::end(codes));
    POSTERN_EXPECT(reply.status() && reply.status()->class_ == 5 && !reply.text().empty());
}

void check_command(const Command& command, const ParseContext& context) {
    if (const auto* ehlo = std::get_if<Ehlo>(&command)) {
        POSTERN_EXPECT(context.protocol == Protocol::smtp && !ehlo->name.empty() && is_printable(ehlo->name));
    } else if (const auto* mail = std::get_if<MailCommand>(&command)) {
        POSTERN_EXPECT(mail->smtputf8 || mail->sender.is_null() || mail->sender.mailbox()->is_ascii());
        POSTERN_EXPECT(mail->dsn.envid.size() <= 100 && is_printable(mail->dsn.envid));
    } else if (const auto* rcpt = std::get_if<RcptCommand>(&command)) {
        POSTERN_EXPECT(context.smtputf8 || (rcpt->address.is_ascii() && is_printable(rcpt->dsn.orcpt)));
        POSTERN_EXPECT(rcpt->dsn.orcpt.size() <= 500);
        POSTERN_EXPECT(!contains(rcpt->dsn.notify, mail::DsnNotify::never) ||
                       rcpt->dsn.notify == mail::DsnNotify::never);
    }
}

void check_line(std::string_view line) {
    POSTERN_EXPECT(line.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos);
    for (const Protocol protocol : {Protocol::smtp, Protocol::lmtp}) {
        for (const bool smtputf8 : {false, true}) {
            const ParseContext context{protocol, smtputf8, "mx.example.com"};
            const auto command = parse_command(line, context);
            if (command) {
                check_command(*command, context);
            } else {
                check_refusal(command.error());
            }
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    const std::string_view content = fuzz::Cuts::content(input);
    const Reports reports = read_lines(content, fuzz::Cuts(input));
    POSTERN_EXPECT(reports == read_lines(content, fuzz::Cuts({})));
    for (const auto& [status, line] : reports) {
        if (status == LineStatus::line) {
            check_line(line);
        } else {
            check_refusal(line_fault_reply(status));
        }
    }
    return 0;
}
