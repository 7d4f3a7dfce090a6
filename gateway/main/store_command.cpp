#include "gateway/main/store_command.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <limits>

#include "gateway/log/log.hpp"
#include "gateway/maildir/mailbox_folder.hpp"
#include "gateway/maildir/maildir_store.hpp"
#include "gateway/main/signals.hpp"
#include "lmtp-client/transaction.hpp"
#include "smtp-server/server.hpp"

namespace postern::gateway {

namespace {

struct StoreOptions {
    std::vector<std::string> listen;
    std::string maildir;
    std::string quota;
    bool create = false;
};

smtp_server::ListenerOptions listener_for(const std::string& name, const lmtp_client::Endpoint& address,
                                          std::shared_ptr<const smtp_server::SessionOptions> session) {
    smtp_server::ListenerOptions listener;
    listener.name = name;
    listener.host = address.host;
    listener.port = address.port;
    listener.unix_path = address.unix_path;
    listener.session = std::move(session);
    return listener;
}

std::string this_host() {
    std::string name(256, '\0');
    if (::gethostname(name.data(), name.size() - 1) != 0) {
        return "localhost";
    }
    name.resize(std::char_traits<char>::length(name.c_str()));
    return mail::is_domain(name, mail::Utf8::refused) ? name : "localhost";
}

int run_store(const cli::Invocation& invocation, const StoreOptions& options) {
    SignalWaiter signals;
    const queue::Clock& clock = invocation.context.clock;
    log::Log log(clock, log::Format::logfmt, log::Level::info);
    log.start();

    maildir::MaildirOptions maildir;
    maildir.root = options.maildir;
    maildir.create = options.create;
    maildir.hostname = this_host();
    maildir.unique_prefix = std::to_string(clock.wall().time_since_epoch().count()) + ".P" + std::to_string(::getpid());
    if (!options.quota.empty()) {
        const auto quota = maildir::parse_size(options.quota);
        if (!quota) {
            invocation.complain("--quota: expected a size such as 64KiB, 10MiB or 1000, not \"" + options.quota + '"');
            return cli::exit_usage;
        }
        maildir.quota = *quota;
    }

    auto session = std::make_shared<smtp_server::SessionOptions>();
    session->protocol = smtp_server::Protocol::lmtp;
    session->hostname = maildir.hostname;
    session->limits.connections_per_client = session->limits.connections;  // its only client is a gateway
    session->limits.connections_per_minute = session->limits.messages_per_minute = 0;
    session->limits.recipients_per_minute = session->limits.errors_per_minute = 0;
    session->limits.commands_without_mail = std::numeric_limits<std::uint32_t>::max();
    session->limits.stress_timeout = std::chrono::milliseconds(0);
    std::vector<smtp_server::ListenerOptions> listeners;
    for (const std::string& name : options.listen) {
        const auto address = lmtp_client::parse_endpoint(name);
        if (!address || address->protocol != lmtp_client::Protocol::lmtp) {
            invocation.complain("--listen " + name + ": expected HOST:PORT, \"[::1]:2424\" or unix:/path");
            return cli::exit_usage;
        }
        if (address->unix_path.empty() && address->port == 25) {
            invocation.complain("--listen " + name + ": LMTP is not spoken on port 25 (RFC 2033 section 5)");
            return cli::exit_usage;
        }
        listeners.push_back(listener_for(name, *address, session));
    }

    maildir::MaildirStore store(std::move(maildir), [&log](const std::string& recipient, const mail::Reply& reply) {
        log.info("filed", {{"to", recipient}, {"reply", reply.to_string()}});
    });
    smtp_server::ServerOptions server_options;
    server_options.threads = 1;
    server_options.session_id_prefix = "store";
    server_options.on_problem = [&log](const std::string& problem) { log.error("problem", {{"text", problem}}); };
    smtp_server::Server server(store, server_options);
    if (const auto error = server.open(listeners)) {
        invocation.complain(*error);
        return cli::exit_unreachable;
    }
    server.start();
    log.info("ready", {{"role", "store"}, {"maildir", options.maildir}});
    while (signals.wait() == Signal::reload) {}
    server.stop(std::chrono::seconds(2));
    server.wait();
    return cli::exit_done;
}

}  // namespace

void declare_store(CLI::App& root, cli::Invocation& invocation) {
    auto options = std::make_shared<StoreOptions>();
    CLI::App& app =
        cli::add_command(root, invocation, "store", "a small LMTP store that files into Maildirs, to try things out",
                         [&invocation, options] { return run_store(invocation, *options); });
    app.add_option("--listen", options->listen, "HOST:PORT or unix:/path; may be given again")->required();
    app.add_option("--maildir", options->maildir, "folder of the mailboxes: DIR/DOMAIN/LOCAL-PART, which must exist")
        ->required();
    app.add_flag("--create", options->create, "make mailboxes as they are asked for");
    app.add_option("--quota", options->quota,
                   "a mailbox's size limit (64KiB); a file `quota` in a mailbox goes before it");
}

}  // namespace postern::gateway
