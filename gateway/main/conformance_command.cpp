#include "gateway/main/conformance_command.hpp"

#include <fmt/format.h>

#include <algorithm>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "gateway/cli/exit_status.hpp"
#include "gateway/main/translate.hpp"
#include "lmtp-client/conformance.hpp"
#include "queue/mail/printable.hpp"

namespace postern::gateway {
namespace {

using Check = lmtp_client::ConformanceCheck;

struct ConformanceArguments {
    std::string backend;
    std::string recipient;
    bool json = false;
};

std::string_view word(Check::Result result) {
    switch (result) {
        case Check::Result::pass:
            return "pass";
        case Check::Result::fail:
            return "FAIL";
        case Check::Result::cannot_tell:
            break;
    }
    return "?";
}

std::string render(const Check& check) {
    std::string text = fmt::format("  {:<5} {} ({}): {}\n", word(check.result), check.what, check.clause,
                                   mail::printable(check.seen, 300));
    if (!check.consequence.empty()) {
        text += fmt::format("        so: {}\n", check.consequence);
    }
    return text;
}

std::string encode(const std::string& endpoint, const Check& check) {
    nlohmann::ordered_json json;
    json["endpoint"] = endpoint;
    json["check"] = check.what;
    json["clause"] = check.clause;
    json["result"] = check.result == Check::Result::pass   ? "pass"
                     : check.result == Check::Result::fail ? "fail"
                                                           : "cannot_tell";
    json["seen"] = check.seen;
    json["consequence"] = check.consequence;
    return json.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace);
}

int run(const cli::Invocation& invocation, const ConformanceArguments& arguments) {
    lmtp_client::ConformanceOptions options;
    if (!arguments.recipient.empty()) {
        const auto recipient = mail::Mailbox::parse(arguments.recipient, mail::Utf8::refused);
        if (!recipient) {
            invocation.complain(fmt::format("`{}` is not an address: {}", mail::printable(arguments.recipient, 400),
                                            mail::describe(recipient.error())));
            return cli::exit_data;
        }
        options.recipient = *recipient;
    }
    const auto config = invocation.load_config();
    if (!config) {
        return cli::exit_config;
    }
    const auto found = config->backends.find(arguments.backend);
    if (found == config->backends.end()) {
        invocation.complain(
            fmt::format("there is no backend `{}` in the configuration", mail::printable(arguments.backend, 200)));
        return cli::exit_no;
    }
    const config::Backend& backend = found->second;
    auto security = backend_security(backend, arguments.backend);
    if (security.has_error()) {
        invocation.complain(security.error());
        return cli::exit_config;
    }
    options.security = std::move(*security);
    options.hostname = config->hostname;
    options.connect_timeout = std::min<std::chrono::milliseconds>(backend.connect_timeout, options.connect_timeout);
    options.reply_timeout = std::min<std::chrono::milliseconds>(backend.reply_timeout, options.reply_timeout);
    bool all_well = true;
    for (const config::Address& address : backend.endpoints) {
        const lmtp_client::Endpoint endpoint{address.host, address.port, address.unix_path};
        const auto checks = lmtp_client::check_conformance(endpoint, options);
        if (!arguments.json) {
            invocation.say(endpoint.to_string());
        }
        std::size_t failed = 0;
        for (const Check& check : checks) {
            failed += check.result == Check::Result::fail ? 1U : 0U;
            invocation.context.terminal.out.write(arguments.json ? encode(endpoint.to_string(), check) + '\n'
                                                                 : render(check));
        }
        if (!arguments.json) {
            invocation.say(failed == 0
                               ? fmt::format("  {} checks, none failed; nothing was stored", checks.size())
                               : fmt::format("  {} of {} checks failed; nothing was stored", failed, checks.size()));
        }
        all_well = all_well && failed == 0;
    }
    return all_well ? cli::exit_done : cli::exit_no;
}

}  // namespace

void declare_conformance(CLI::App& root, cli::Invocation& invocation) {
    auto arguments = std::make_shared<ConformanceArguments>();
    CLI::App& backend = cli::command_group(root, "backend", cli::backend_group_description);
    CLI::App& app = cli::add_command(backend, invocation, "conformance",
                                     "check a backend's stores against RFC 2033; stores nothing",
                                     [&invocation, arguments] { return run(invocation, *arguments); });
    app.add_option("NAME", arguments->backend, "the backend")->required();
    app.add_option("--recipient", arguments->recipient, "an address that the store should accept")
        ->type_name("ADDRESS");
    app.add_flag("--json", arguments->json, "print JSON");
}

}  // namespace postern::gateway
