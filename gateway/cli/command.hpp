// How commands are composed: each declares itself below the root, and run() runs the one that the command line names.
// gateway/main adds `serve` and `store` the same way:
//
//     void declare_serve(CLI::App& root, cli::Invocation& invocation) {
//         auto options = std::make_shared<ServeOptions>();
//         CLI::App& app = cli::add_command(root, invocation, "serve", "run the gateway in the foreground",
//                                          [&invocation, options] { return serve(invocation, *options); });
//         app.add_option(...);
//     }
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gateway/cli/exit_status.hpp"
#include "gateway/cli/terminal.hpp"
#include "gateway/cli/versions.hpp"
#include "gateway/config/config.hpp"
#include "gateway/control/connect.hpp"
#include "queue/other_writers.hpp"
#include "queue/reporter.hpp"

namespace CLI {
class App;
}

namespace postern::cli {

/// Where mail for an address goes, and why, as `postern route` tells it.
struct Route {
    std::string rule;   ///< the domain pattern that decides: "*.example.com"
    std::string check;  ///< how its recipients are checked: "any"
    std::string backend;
    std::vector<std::string> endpoints;  ///< in the order in which they would be tried
};
/// nullopt: the domain is not ours.
using FindRoute = std::function<std::optional<Route>(const config::Config&, const mail::Mailbox&)>;

/// Decides what senders are told when a command returns mail and no gateway runs.
using MakeReporter =
    std::function<std::unique_ptr<queue::Reporter>(std::shared_ptr<const config::Config>, const queue::Clock&)>;

/// What is wrong with the files that a configuration names: certificates, passwords, lists of recipients.
using CheckFiles = std::function<std::vector<std::string>(const config::Config&, const queue::Clock&)>;

/// What the program's parts do for the commands.
struct Parts {
    FindRoute find_route;
    MakeReporter make_reporter;
    CheckFiles check_files;
};

/// What the commands work with; tests put their own in.
struct Context {
    Terminal terminal;
    const queue::Clock& clock;
    std::filesystem::path config_file = "/etc/postern/postern.yaml";  ///< unless -c says another
    std::function<config::Loaded(const std::filesystem::path&)> load_config = config::load;
    std::function<Result<std::unique_ptr<control::Operations>, control::Failure>(const control::ConnectOptions&,
                                                                                 const queue::Clock&)>
        connect = control::connect;
    FindRoute find_route = nullptr;        ///< set by gateway/main from routing
    MakeReporter make_reporter = nullptr;  ///< set by gateway/main from bounce; without it nobody is told
    CheckFiles check_files = nullptr;      ///< set by gateway/main; without it files are not read
    int sqlite_version = cli::sqlite_version();
    std::function<std::vector<long>(const std::filesystem::path&)> other_writers = queue::other_writers;
};

/// One run of the program.
struct Invocation {
    Context& context;
    std::filesystem::path config_file;
    std::function<int()> chosen;  ///< the command, once the command line was read

    explicit Invocation(Context& what) : context(what), config_file(what.config_file) {}

    void say(std::string_view line) const;       ///< to standard output
    void complain(std::string_view line) const;  ///< to standard error, behind "postern: "
    /// Loads the configuration; nullptr when it is bad: all problems were printed, and exit_config is due.
    [[nodiscard]] std::shared_ptr<const config::Config> load_config() const;
    /// What is wrong with the configuration, a line each.
    void complain(const std::vector<config::Problem>& problems) const;
};

using Declare = std::function<void(CLI::App& root, Invocation& invocation)>;

/// Adds a command with -c/--config. `run` returns the exit status.
CLI::App& add_command(CLI::App& parent, Invocation& invocation, const std::string& name, const std::string& description,
                      std::function<int()> run);

/// The command `name` that only holds others ("queue"): made when it is not there yet.
CLI::App& command_group(CLI::App& parent, const std::string& name, const std::string& description);
inline constexpr const char* backend_group_description = "look at the stores behind the gateway";

/// Reads the command line (without the program's name) and runs its command. `others`: what gateway/main declares.
[[nodiscard]] int run(const std::vector<std::string>& arguments, Context& context, const std::vector<Declare>& others);

/// The whole of main(): standard streams, $POSTERN_CONFIG, run(), and the exit status, also when standard output is
/// gone.
[[nodiscard]] int main(int count, char** arguments, const std::vector<Declare>& others, Parts parts);

}  // namespace postern::cli
