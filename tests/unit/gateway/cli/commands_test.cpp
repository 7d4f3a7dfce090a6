// Every command over operations in memory: what it asks, what it prints, how it exits.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fstream>

#include "gateway/cli/command.hpp"
#include "gateway/control/local_operations.hpp"
#include "tests/unit/gateway/control/fakes.hpp"

namespace postern::cli {
namespace {

using control::Failure;
using control::FailureKind;
using control::Verb;
using control::test::FakeGateway;
using control::test::FakeQueue;
using control::test::FakeReader;
using control::test::FixedClock;
using control::test::message;
using control::test::recipient;
using queue::RecipientState;

std::string id(std::int64_t value) { return queue::MessageId(value).to_string(); }

struct Result {
    int status;
    std::string out;
    std::string err;
};

class CommandsTest : public ::testing::Test {
protected:
    CommandsTest() {
        queue_.messages.push_back(
            message(1, {recipient("bob@example.org", RecipientState::waiting, "452 4.2.2 Full")}));
        queue_.messages.push_back(message(2, {recipient("carol@example.org", RecipientState::held)}));
        queue_.messages.push_back(message(3, {recipient("dave@example.org", RecipientState::waiting)}));
        queue_.content = "Subject: x\r\n\r\nbody\r\n";
    }

    /// Owns what LocalOperations works with.
    class Operations final : public control::Operations {
    public:
        explicit Operations(CommandsTest& test)
            : reader_(test.queue_), local_(reader_, test.gateway_, test.clock_, "alice") {}
        postern::Result<void, Failure> list(const queue::Filter& filter,
                                            const std::function<bool(const control::MessageView&)>& each) override {
            return local_.list(filter, each);
        }
        postern::Result<control::MessageView, Failure> show(queue::MessageId which) override {
            return local_.show(which);
        }
        postern::Result<void, Failure> cat(queue::MessageId which,
                                           const std::function<bool(std::string_view)>& part) override {
            return local_.cat(which, part);
        }
        postern::Result<control::Outcome, Failure> apply(const control::ApplyRequest& request) override {
            return local_.apply(request);
        }
        postern::Result<control::Why, Failure> why(queue::MessageId which) override { return local_.why(which); }
        postern::Result<control::BackendChange, Failure> change(const control::BackendRequest& request) override {
            return local_.change(request);
        }
        postern::Result<std::vector<control::ProbeView>, Failure> probe(const std::string& backend) override {
            return local_.probe(backend);
        }
        postern::Result<control::Status, Failure> status() override { return local_.status(); }
        postern::Result<std::vector<queue::ShapeCell>, Failure> shape(const control::ShapeRequest& request) override {
            return local_.shape(request);
        }
        postern::Result<void, Failure> history(const queue::HistoryFilter& filter,
                                               const std::function<bool(const queue::HistoryEvent&)>& each) override {
            return local_.history(filter, each);
        }
        postern::Result<control::ReloadOutcome, Failure> reload() override { return local_.reload(); }

    private:
        FakeReader reader_;
        control::LocalOperations local_;
    };

    Result run_command(const std::vector<std::string>& arguments) {
        StringOutput out;
        StringOutput err;
        Terminal terminal{out, err, 0, [this](const std::string& question) {
                              question_ = question;
                              return answer_;
                          }};
        Context context{terminal, clock_};
        context.sqlite_version = sqlite_;
        context.other_writers = [this](const std::filesystem::path& file) {
            EXPECT_EQ(file, loaded_.config->queue.path);
            return writers_;
        };
        context.load_config = [this](const std::filesystem::path& file) {
            file_ = file;
            return loaded_;
        };
        context.connect = [this](
                              const control::ConnectOptions&,
                              const queue::Clock&) -> postern::Result<std::unique_ptr<control::Operations>, Failure> {
            if (failure_) {
                return *failure_;
            }
            return std::unique_ptr<control::Operations>(std::make_unique<Operations>(*this));
        };
        context.find_route = [](const config::Config&, const mail::Mailbox& address) -> std::optional<Route> {
            if (address.domain_key() != "mail.example.com") {
                return std::nullopt;
            }
            Route route;
            route.rule = "*.example.com";
            route.check = "any";
            route.backend = "stores";
            route.endpoints = {"127.0.0.1:24", "unix:/run/lmtp"};
            return route;
        };
        const int status = run(arguments, context, others_);
        return Result{status, out.text(), err.text()};
    }

    FakeQueue queue_;
    FakeGateway gateway_;
    FixedClock clock_;
    config::Loaded loaded_{std::make_shared<config::Config>(), {}, {}, {}};
    int sqlite_ = 3'051'003;  ///< a sound one
    std::vector<long> writers_;
    std::optional<Failure> failure_;
    std::optional<bool> answer_;  ///< what the operator says; nullopt: there is no terminal
    std::string question_;
    std::filesystem::path file_;
    std::vector<Declare> others_;
};

TEST_F(CommandsTest, BounceCarriesTheReason) {
    const Result result = run_command({"queue", "bounce", id(1), "--reason", "moved away"});
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_EQ(result.out.find("returned "), 0U) << result.out;
    ASSERT_EQ(gateway_.calls().size(), 1U);
    EXPECT_EQ(gateway_.calls()[0].verb, control::Verb::bounce);
    EXPECT_EQ(gateway_.calls()[0].reason, "moved away");
    EXPECT_EQ(run_command({"queue", "hold", id(1), "--reason", "moved away"}).status, 64);
}

TEST_F(CommandsTest, ListPrintsATable) {
    const Result result = run_command({"queue", "list", "--state", "waiting,held", "--limit=2"});
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 3);
    EXPECT_NE(result.out.find(id(1)), std::string::npos);
}

TEST_F(CommandsTest, ListPrintsJsonLines) {
    const Result result = run_command({"queue", "list", "--json"});
    EXPECT_EQ(result.status, 0);
    std::istringstream lines(result.out);
    int count = 0;
    for (std::string line; std::getline(lines, line); ++count) {
        const auto json = nlohmann::json::parse(line);
        for (const char* key : {"id", "received_at", "size", "sender", "client", "recipients"}) {
            EXPECT_TRUE(json.contains(key)) << key;
        }
        for (const char* key : {"address", "state", "attempts", "next_attempt_at", "backend", "last_reply"}) {
            EXPECT_TRUE(json["recipients"][0].contains(key)) << key;
        }
    }
    EXPECT_EQ(count, 3);
}

TEST_F(CommandsTest, AnEmptyQueueIsListedAsNothing) {
    queue_.messages.clear();
    const Result result = run_command({"queue", "list"});
    EXPECT_EQ(result.status, 0);
    EXPECT_EQ(result.out, "");
}

TEST_F(CommandsTest, ShowAndCat) {
    EXPECT_EQ(run_command({"queue", "show", id(1)}).status, 0);
    EXPECT_EQ(run_command({"queue", "cat", id(1)}).out, queue_.content);
    const Result missing = run_command({"queue", "show", id(99)});
    EXPECT_EQ(missing.status, 1);
    EXPECT_EQ(missing.err, "postern: " + id(99) + ": no such message in the queue; `postern history " + id(99) +
                               "` tells what became of it\n");
    EXPECT_EQ(run_command({"queue", "show", "no-id"}).status, 64);
    queue_.damaged = true;
    const Result damaged = run_command({"queue", "cat", id(1)});
    EXPECT_EQ(damaged.status, 65);
    EXPECT_EQ(damaged.out, "");
}

TEST_F(CommandsTest, AVerbOnAnIdActsWithoutAsking) {
    const Result result = run_command({"queue", "hold", id(1), id(3)});
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_EQ(result.out, "held 2 recipients of 2 messages\n");
    EXPECT_EQ(question_, "");
}

TEST_F(CommandsTest, AFilterThatHitsOneMessageActsWithoutAsking) {
    const Result result = run_command({"queue", "release", "--state", "held"});
    EXPECT_EQ(result.status, 0);
    EXPECT_EQ(result.out, "released 1 recipient of 1 message\n");
    EXPECT_EQ(question_, "");
}

TEST_F(CommandsTest, AFilterThatHitsMoreAsks) {
    answer_ = true;
    const Result result = run_command({"queue", "retry", "--state", "waiting"});
    EXPECT_EQ(question_, "retry 2 recipients of 2 messages?");
    EXPECT_EQ(result.status, 0);
    EXPECT_EQ(result.out, "retried 2 recipients of 2 messages\n");
}

TEST_F(CommandsTest, ANoChangesNothing) {
    answer_ = false;
    const Result result = run_command({"queue", "remove", "--all"});
    EXPECT_EQ(result.status, 1);
    EXPECT_EQ(result.err, "postern: nothing was changed\n");
    EXPECT_TRUE(gateway_.calls().empty());
}

TEST_F(CommandsTest, WithNobodyToAskItRefusesAndSaysWhatToDo) {
    const Result result = run_command({"queue", "remove", "--all"});
    EXPECT_EQ(result.status, 64);
    EXPECT_EQ(result.err,
              "postern: this would remove 3 recipients of 3 messages, and there is no terminal to ask on: add --yes "
              "to do it, or --dry-run to count only\n");
    EXPECT_TRUE(gateway_.calls().empty());
}

TEST_F(CommandsTest, YesAsksNothing) {
    const Result result = run_command({"queue", "remove", "--all", "--yes", "--json"});
    EXPECT_EQ(result.status, 0);
    EXPECT_EQ(result.out, "{\"messages\":3,\"recipients\":3,\"changed\":3,\"missing\":[]}\n");
}

TEST_F(CommandsTest, ADryRunCounts) {
    const Result result = run_command({"queue", "remove", "--all", "--dry-run"});
    EXPECT_EQ(result.status, 0);
    EXPECT_EQ(result.out, "would remove 3 recipients of 3 messages\n");
    EXPECT_TRUE(gateway_.calls().empty());
}

TEST_F(CommandsTest, AVerbOnNothingIsAUsageError) {
    for (const char* verb : {"retry", "hold", "release", "remove", "bounce"}) {
        EXPECT_EQ(run_command({"queue", verb}).status, 64);
        EXPECT_EQ(run_command({"queue", verb, "--limit", "5"}).status, 64);
        EXPECT_EQ(run_command({"queue", verb, "--yes"}).status, 64);
    }
    EXPECT_TRUE(gateway_.calls().empty());
}

TEST_F(CommandsTest, NothingMatchedIsANo) {
    const Result result = run_command({"queue", "retry", "--backend", "other"});
    EXPECT_EQ(result.status, 1);
    EXPECT_EQ(result.err, "postern: nothing matched that `retry` acts on\n");
}

TEST_F(CommandsTest, AnIdThatIsGoneIsNamedAndTheOthersAreDone) {
    const Result result = run_command({"queue", "hold", id(1), id(99)});
    EXPECT_EQ(result.status, 1);
    EXPECT_EQ(result.out, "held 1 recipient of 1 message\n");
    EXPECT_EQ(result.err, "postern: " + id(99) + ": no such message in the queue; `postern history " + id(99) +
                              "` tells what became of it\n");
}

TEST_F(CommandsTest, AnOptionDoesNotSwallowTheIdBehindIt) {
    const Result result = run_command({"queue", "hold", "--backend", "stores", id(1)});
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_EQ(result.out, "held 1 recipient of 1 message\n");
    EXPECT_EQ(run_command({"queue", "hold", "--state", "waiting", id(1)}).out, "held 1 recipient of 1 message\n");
    EXPECT_EQ(run_command({"queue", "list", "--sender", "", "--limit", "1"}).status, 0);
    EXPECT_EQ(run_command({"queue", "list", "--sender=<>", "--sender", "a@example.com"}).status, 0);
}

TEST_F(CommandsTest, UsageErrorsSayWhereToLook) {
    const Result unknown = run_command({"queue", "list", "--no-such"});
    EXPECT_EQ(unknown.status, 64);
    EXPECT_NE(unknown.err.find("--no-such"), std::string::npos);
    EXPECT_NE(unknown.err.find("See `postern queue list --help`.\n"), std::string::npos) << unknown.err;
    EXPECT_EQ(run_command({}).status, 64);
    EXPECT_EQ(run_command({"queue"}).status, 64);
    EXPECT_EQ(run_command({"frobnicate"}).status, 64);
    EXPECT_EQ(run_command({"queue", "show"}).status, 64);
    EXPECT_EQ(run_command({"queue", "shape", "--by", "client"}).status, 64);
    EXPECT_EQ(run_command({"queue", "list", "--older-than", "soon"}).status, 64);
    EXPECT_EQ(run_command({"queue", "bouncy", id(1)}).status, 64);
}

TEST_F(CommandsTest, HelpIsNoError) {
    const Result result = run_command({"queue", "list", "--help"});
    EXPECT_EQ(result.status, 0);
    EXPECT_NE(result.out.find("--older-than"), std::string::npos);
    EXPECT_EQ(run_command({"--help"}).status, 0);
}

TEST_F(CommandsTest, FailuresHaveTheirExitStatus) {
    const std::pair<FailureKind, int> cases[] = {
        {FailureKind::unreachable, 69}, {FailureKind::busy, 75}, {FailureKind::disk, 74}, {FailureKind::damaged, 65}};
    for (const auto& [kind, status] : cases) {
        failure_ = Failure(kind, "why");
        const Result result = run_command({"queue", "list"});
        EXPECT_EQ(result.status, status);
        EXPECT_EQ(result.err, "postern: why\n");
    }
}

TEST_F(CommandsTest, ABadConfigurationIsToldWhole) {
    config::Problem problem;
    problem.file = "/etc/x.yaml";
    problem.line = 3;
    problem.column = 5;
    problem.text = "unknown key `recipient`";
    loaded_ = config::Loaded{nullptr, {problem, problem}, {}, {}};
    const Result checked = run_command({"check", "-c", "/etc/x.yaml"});
    EXPECT_EQ(checked.status, 78);
    EXPECT_EQ(checked.err, problem.to_string() + "\n" + problem.to_string() + "\n");
    EXPECT_EQ(file_, "/etc/x.yaml");
    EXPECT_EQ(run_command({"queue", "list"}).status, 78);
}

TEST_F(CommandsTest, CheckIsSilentWhenAllIsWell) {
    const Result result = run_command({"check"});
    EXPECT_EQ(result.status, 0);
    EXPECT_EQ(result.out + result.err, "");
    EXPECT_EQ(file_, "/etc/postern/postern.yaml");
}

TEST_F(CommandsTest, StatusShapeHistoryVersion) {
    gateway_.snapshot_.version = "0.1.0";
    const auto status = nlohmann::json::parse(run_command({"status", "--json"}).out);
    EXPECT_EQ(status["version"], "0.1.0");
    EXPECT_EQ(status["queue"]["messages"], 3);
    EXPECT_EQ(status["queue"]["recipients"]["waiting"], 2);
    EXPECT_EQ(status["queue"]["oldest_seconds"], 7200);
    EXPECT_TRUE(status["backends"].is_array());
    EXPECT_EQ(run_command({"status"}).status, 0);
    EXPECT_EQ(run_command({"queue", "shape", "--by", "domain"}).status, 0);
    const auto shape = nlohmann::json::parse(run_command({"queue", "shape", "--json"}).out);
    EXPECT_EQ(shape["backend"], "stores");
    EXPECT_EQ(shape["counts"].size(), 10U);
    EXPECT_EQ(run_command({"history"}).status, 0);
    EXPECT_TRUE(run_command({"version"}).out.starts_with("postern "));
    EXPECT_TRUE(nlohmann::json::parse(run_command({"version", "--json"}).out)["libraries"].contains("sqlite"));
}

TEST_F(CommandsTest, ASqliteThatLosesCommitsIsToldOfWithWhoWritesBesideUs) {
    const auto warnings = [this] {
        return nlohmann::json::parse(run_command({"version", "--json"}).out)["warnings"].size();
    };
    writers_ = {4711};
    EXPECT_EQ(warnings(), 0U);
    EXPECT_EQ(run_command({"version"}).out.find("warning"), std::string::npos);
    EXPECT_EQ(run_command({"check"}).err, "");
    sqlite_ = 3'040'001;
    EXPECT_EQ(warnings(), 1U);
    EXPECT_NE(run_command({"version"}).out.find("warning: sqlite 3.40.1 can lose commits"), std::string::npos);
    const Result checked = run_command({"check"});
    EXPECT_EQ(checked.err.rfind("warning: process 4711 has the queue ", 0), 0U) << checked.err;
    EXPECT_EQ(checked.status, 0) << "the configuration is good";
    writers_.clear();
    EXPECT_EQ(run_command({"check"}).err, "");
}

TEST_F(CommandsTest, HistorySaysOfWhatItHasNothing) {
    queue::HistoryEvent event;
    event.message = queue::MessageId(1);
    event.event = "trouble";
    queue_.history.push_back(event);
    event.event = "transcript";
    event.transcript = "   0.000 S: 452 \\x1b[2J\n   0.001 S: \x1b raw\\\n";
    queue_.history.push_back(event);
    EXPECT_EQ(run_command({"history"}).status, 0);
    const Result found = run_command({"history", id(1)});
    EXPECT_EQ(found.status, 0);
    EXPECT_EQ(found.err, "");
    EXPECT_EQ(std::count(found.out.begin(), found.out.end(), '\n'), 1);
    const Result unknown = run_command({"history", id(1), id(99)});
    EXPECT_EQ(unknown.status, 1);
    EXPECT_EQ(unknown.out, found.out);
    EXPECT_NE(unknown.err.find(id(99) + ": the history has nothing of it"), std::string::npos) << unknown.err;
    EXPECT_EQ(run_command({"history", id(99), "--json"}).status, 1);
    const Result said = run_command({"history", id(1), "--transcript"});
    EXPECT_EQ(said.out, found.out + "    |    0.000 S: 452 \\x1b[2J\n    |    0.001 S: \\x1b raw\\\\\n");
    queue_.history.clear();
    const Result nothing = run_command({"history", "--recipient", "x@example.com"});
    EXPECT_EQ(nothing.status, 1);
    EXPECT_NE(nothing.err.find("nothing in the history matched"), std::string::npos) << nothing.err;
    EXPECT_EQ(run_command({"history"}).status, 0);
}

TEST_F(CommandsTest, RouteTellsWhereMailGoesAndWhy) {
    const Result found = run_command({"route", "bob@Mail.example.com"});
    EXPECT_EQ(found.status, 0);
    EXPECT_EQ(found.out,
              "Recipient   bob@Mail.example.com\nRule        *.example.com\nCheck       any\nBackend     stores\n"
              "Endpoints   127.0.0.1:24\n            unix:/run/lmtp\n");
    EXPECT_EQ(nlohmann::json::parse(run_command({"route", "--json", "bob@mail.example.com"}).out)["rule"],
              "*.example.com");
    EXPECT_EQ(run_command({"route", "bob@example.net"}).status, 1);
    EXPECT_EQ(run_command({"route", "nobody"}).status, 65);
}

TEST_F(CommandsTest, ReloadReportsTheOutcome) {
    gateway_.reload_.ok = true;
    const Result good = run_command({"reload"});
    EXPECT_EQ(good.status, 0);
    EXPECT_EQ(good.out, "asked by alice\n");
    gateway_.reload_.ok = false;
    const Result bad = run_command({"reload"});
    EXPECT_EQ(bad.status, 78);
    EXPECT_EQ(bad.err, "asked by alice\n");
}

TEST_F(CommandsTest, WhyTellsWhatEachRecipientWaitsFor) {
    const Result all = run_command({"queue", "why", id(1)});
    EXPECT_EQ(all.status, 0) << all.err;
    EXPECT_NE(all.out.find("as the engine says"), std::string::npos) << all.out;
    const Result json = run_command({"queue", "why", id(1), "BOB@example.org", "--json"});
    EXPECT_EQ(json.status, 0);
    const auto object = nlohmann::json::parse(json.out);
    EXPECT_EQ(object["recipient"], "bob@example.org");
    EXPECT_EQ(object["id"], id(1));
    EXPECT_EQ(object["gateway_running"], true);
    const Result other = run_command({"queue", "why", id(1), "nobody@example.org"});
    EXPECT_EQ(other.status, 1);
    EXPECT_NE(other.err.find("postern history " + id(1)), std::string::npos) << other.err;
    const Result gone = run_command({"queue", "why", id(99)});
    EXPECT_EQ(gone.status, 1);
    EXPECT_NE(gone.err.find("postern history"), std::string::npos);
    EXPECT_EQ(run_command({"queue", "why", "?"}).status, 64);
}

TEST_F(CommandsTest, BackendsAreListedPausedAndProbed) {
    gateway_.snapshot_.backends.resize(1);
    gateway_.snapshot_.backends[0].name = "stores";
    EXPECT_EQ(run_command({"backend", "list"}).status, 0);
    EXPECT_EQ(nlohmann::json::parse(run_command({"backend", "list", "stores", "--json"}).out)["name"], "stores");
    EXPECT_EQ(run_command({"backend", "list", "other"}).status, 1);

    const Result paused = run_command({"backend", "pause", "stores", "--reason", "new disk"});
    EXPECT_EQ(paused.status, 0) << paused.err;
    EXPECT_EQ(run_command({"backend", "resume", "--all"}).status, 0);
    EXPECT_EQ(gateway_.orders(), (std::vector<std::string>{"pause stores|alice: backend pause stores|new disk",
                                                           "resume stores|alice: backend resume stores|"}));
    EXPECT_EQ(run_command({"backend", "pause"}).status, 64);  // never all by accident
    EXPECT_EQ(run_command({"backend", "pause", "stores", "--all"}).status, 64);
    EXPECT_EQ(run_command({"backend", "pause", "other"}).status, 1);
    gateway_.order_result_ = control::BackendResult::nothing_to_do;
    EXPECT_EQ(run_command({"backend", "release", "stores", "--json"}).out,
              "{\"backend\":\"stores\",\"verb\":\"release\",\"changed\":false}\n");
    gateway_.order_result_ = control::BackendResult::failed;
    EXPECT_EQ(run_command({"backend", "pause", "stores"}).status, 74);

    EXPECT_EQ(run_command({"backend", "probe"}).status, 0);
    gateway_.probe_well_ = false;
    const Result probed = run_command({"backend", "probe", "stores"});
    EXPECT_EQ(probed.status, 1);
    EXPECT_EQ(probed.out.find('\x1b'), std::string::npos);
    EXPECT_EQ(run_command({"backend", "probe", "other"}).status, 1);
    gateway_.drop_ = true;
    EXPECT_EQ(run_command({"backend", "probe", "stores"}).status, 69);
}

TEST_F(CommandsTest, OtherCommandsAreAddedFromOutside) {
    others_.push_back([](CLI::App& root, Invocation& invocation) {
        add_command(root, invocation, "serve", "run", [&invocation] {
            invocation.say(invocation.config_file.string());
            return 42;
        });
    });
    const Result result = run_command({"serve", "--config", "/x"});
    EXPECT_EQ(result.status, 42);
    EXPECT_EQ(result.out, "/x\n");
}

}  // namespace
}  // namespace postern::cli
