#include "smtp-server/detail/command.hpp"

#include <algorithm>
#include <array>

#include "smtp-server/detail/address_path.hpp"
#include "smtp-server/detail/parameters.hpp"
#include "smtp-server/detail/words.hpp"

namespace postern::smtp_server::detail {
namespace {

using mail::Reply;
using mail::Utf8;
using Parsed = Result<Command, Reply>;

constexpr std::size_t helo_octets_max = 255;  // RFC 5321 section 4.5.3.1.2

Reply bad_arguments(std::string_view syntax) { return {501, {5, 5, 4}, "Syntax: " + std::string(syntax)}; }

Reply unknown_command() { return {500, {5, 5, 1}, "Command not recognized"}; }

bool has_control(std::string_view text) {
    return std::any_of(text.begin(), text.end(), [](char c) { return (c >= 0 && c < ' ') || c == 127; });
}

// White space before CRLF is to be borne (RFC 5321 section 4.1.1).
std::string_view without_trailing_space(std::string_view text) {
    const std::size_t last = text.find_last_not_of(" \t");
    return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

// Takes "FROM:" or "TO:", and the spaces that many senders put behind it, off the front.
bool take_prefix(std::string_view& text, std::string_view upper) {
    if (!equals_ignoring_case(text.substr(0, upper.size()), upper)) {
        return false;
    }
    text.remove_prefix(upper.size());
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    return true;
}

// The name is what a stranger claims, worth a line in the trace header and nothing more. So names that are no domains
// are taken, as they come in numbers from honest senders; not what could make another header or hide in it.
template <class Greeting>
Parsed parse_greeting(std::string_view arguments, Protocol dialect, const ParseContext& context,
                      std::string_view verb) {
    if (context.protocol != dialect) {
        // RFC 2033 section 4.1 for HELO and EHLO on LMTP.
        return Reply(500, {5, 5, 1}, dialect == Protocol::smtp ? "This is LMTP: say LHLO" : "This is SMTP: say EHLO");
    }
    const bool good = !arguments.empty() && arguments.size() <= helo_octets_max &&
                      std::all_of(arguments.begin(), arguments.end(), [](char c) { return c > ' ' && c <= '~'; });
    if (!good) {
        return bad_arguments(std::string(verb) + " hostname");
    }
    return Command(Greeting{std::string(arguments)});
}

Parsed parse_mail(std::string_view arguments) {
    const bool has_prefix = take_prefix(arguments, "FROM:");
    const auto path = has_prefix ? split_path(arguments) : std::nullopt;
    if (!path) {
        return bad_arguments("MAIL FROM:<address> [parameters]");
    }
    // Parameters first: SMTPUTF8 among them decides what the path may hold.
    MailCommand command;
    if (auto refusal = read_mail_parameters(path->rest, command)) {
        return std::move(*refusal);
    }
    auto sender = read_reverse_path(path->inside, command.smtputf8 ? Utf8::allowed : Utf8::refused);
    if (!sender) {
        return std::move(sender).error();
    }
    command.sender = std::move(*sender);
    return Command(std::move(command));
}

Parsed parse_rcpt(std::string_view arguments, const ParseContext& context) {
    const bool has_prefix = take_prefix(arguments, "TO:");
    const auto path = has_prefix ? split_path(arguments) : std::nullopt;
    if (!path) {
        return bad_arguments("RCPT TO:<address> [parameters]");
    }
    const Utf8 utf8 = context.smtputf8 ? Utf8::allowed : Utf8::refused;
    auto command = read_forward_path(path->inside, utf8, context.hostname);
    if (!command) {
        return std::move(command).error();
    }
    if (auto refusal = read_rcpt_parameters(path->rest, utf8, *command)) {
        return std::move(*refusal);
    }
    return Command(std::move(*command));
}

Parsed parse_bdat(std::string_view arguments) {
    const auto size = read_number(take_word(arguments));
    if (!size || (!arguments.empty() && !equals_ignoring_case(arguments, "LAST"))) {
        // Nobody can say where the chunk ends and commands begin.
        return Reply(521, {5, 5, 4}, "Syntax: BDAT size [LAST]; closing, as the end of the chunk cannot be known");
    }
    return Command(Bdat{*size, !arguments.empty()});
}

template <class Plain>
Parsed parse_plain(std::string_view arguments, std::string_view verb) {
    if (!arguments.empty()) {
        return bad_arguments(verb);
    }
    return Command(Plain{});
}

template <class Question>
Parsed parse_question(std::string_view arguments, std::string_view verb) {
    if (arguments.empty()) {
        return bad_arguments(std::string(verb) + " string");
    }
    return Command(Question{std::string(arguments)});
}

bool is_one_of(std::string_view verb, std::initializer_list<std::string_view> names) {
    return std::any_of(names.begin(), names.end(),
                       [&](std::string_view name) { return equals_ignoring_case(verb, name); });
}

Reply refuse_other(std::string_view verb) {
    // RFC 5321 section 4.2.4: 502 for what is known but not implemented.
    if (is_one_of(verb, {"AUTH", "ETRN", "TURN", "ATRN", "SEND", "SOML", "SAML"})) {
        return {502, {5, 5, 1}, "Command not implemented"};
    }
    if (is_one_of(verb, {"GET", "POST", "CONNECT", "HEAD", "PUT", "OPTIONS", "DELETE", "PATCH", "TRACE", "PRI",
                         "INVITE", "REGISTER"}) ||
        verb.starts_with("SSH-")) {
        return {521, {5, 5, 1}, "This is a mail server"};
    }
    if (is_one_of(verb, {"PROXY"})) {  // what follows is somebody else's, and he thinks that we know
        return {521, {5, 5, 1}, "PROXY is not taken from your address"};
    }
    return unknown_command();
}

}  // namespace

Parsed parse_command(std::string_view line, const ParseContext& context) {
    std::string_view arguments = without_trailing_space(line);
    if (has_control(arguments)) {
        return Reply(500, {5, 5, 2}, "Line holds a control character");
    }
    const std::string_view verb = take_word(arguments);
    const auto is = [verb](std::string_view name) { return equals_ignoring_case(verb, name); };
    // The most frequent first.
    if (is("RCPT")) {
        return parse_rcpt(arguments, context);
    }
    if (is("MAIL")) {
        return parse_mail(arguments);
    }
    if (is("DATA")) {
        return parse_plain<Data>(arguments, "DATA");
    }
    if (is("BDAT")) {
        return parse_bdat(arguments);
    }
    if (is("EHLO")) {
        return parse_greeting<Ehlo>(arguments, Protocol::smtp, context, "EHLO");
    }
    if (is("HELO")) {
        return parse_greeting<Helo>(arguments, Protocol::smtp, context, "HELO");
    }
    if (is("LHLO")) {
        return parse_greeting<Lhlo>(arguments, Protocol::lmtp, context, "LHLO");
    }
    if (is("QUIT")) {
        return parse_plain<Quit>(arguments, "QUIT");
    }
    if (is("RSET")) {
        return parse_plain<Rset>(arguments, "RSET");
    }
    if (is("NOOP")) {
        return Command(Noop{});
    }
    if (is("STARTTLS")) {
        return parse_plain<StartTls>(arguments, "STARTTLS");
    }
    if (is("VRFY")) {
        return parse_question<Vrfy>(arguments, "VRFY");
    }
    if (is("EXPN")) {
        return parse_question<Expn>(arguments, "EXPN");
    }
    if (is("HELP")) {
        return Command(Help{});
    }
    return refuse_other(verb);
}

}  // namespace postern::smtp_server::detail
