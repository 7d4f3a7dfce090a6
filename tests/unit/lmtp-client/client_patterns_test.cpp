// Every pattern of answers after the data over real sockets, for up to three recipients in each way of sending.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lmtp-client/client.hpp"
#include "tests/unit/lmtp-client/scripted_store.hpp"
#include "tests/unit/lmtp-client/transactions.hpp"

namespace postern::lmtp_client::test {
namespace {

/// Runs many patterns at once, a connection each, so that waiting for the silent ones costs little.
class Patterns {
public:
    Patterns() {
        options_.hostname = "mx.example.com";
        options_.age_max = std::chrono::milliseconds(0);  // a connection each
        // Long enough that a busy machine keeps it, short enough to wait for.
        options_.reply_timeout = std::chrono::milliseconds(2500);
        options_.final_reply_timeout = options_.reply_timeout;
        for (const Mode& mode : modes) {
            for (const bool drips : {false, true}) {
                StoreOptions store;
                store.pipelining = mode.pipelining;
                store.chunking = mode.chunking;
                store.drips = drips;
                stores_.push_back({mode, drips, std::make_unique<ScriptedStore>(store)});
            }
        }
    }

    /// All patterns of `length` in each way of sending, to stores that drip or do not.
    void check(std::size_t length, bool drips) {
        std::vector<std::pair<Store*, std::string>> all;
        for (auto& store : stores_) {
            for (const auto& pattern : all_patterns(length)) {
                if (store.drips == drips) {
                    all.emplace_back(&store, pattern);
                }
            }
        }
        constexpr std::size_t at_once = 1000;
        for (std::size_t at = 0; at < all.size(); at += at_once) {
            client_ = make_client(io_.get_executor());
            left_ = std::min(at_once, all.size() - at);
            for (std::size_t i = at; i < at + left_; ++i) {
                boost::asio::co_spawn(io_, check_one(*all[i].first, all[i].second), boost::asio::detached);
            }
            io_.restart();
            io_.run();
            EXPECT_EQ(left_, 0u);
        }
        for (const auto& store : stores_) {
            EXPECT_FALSE(store.store->was_sent_ahead());
        }
    }

private:
    struct Store {
        Mode mode;
        bool drips;
        std::unique_ptr<ScriptedStore> store;
    };

    boost::asio::awaitable<void> check_one(Store& at, std::string pattern) {
        Recorder recorder(pattern.size());
        Transaction sent = transaction("pattern-" + pattern + "@example.org", recipients(pattern.size()));
        const TransactionEnd end = co_await client_->run(at.store->endpoint(), sent, recorder, options_);
        const Expected expected = expect(pattern);
        const std::string where = to_string(at.mode) + " " + pattern + " " + end.detail;
        EXPECT_EQ(recorder.words(), expected.words) << where;
        if (!at.drips) {  // else one reply too many can come too late to be told
            EXPECT_EQ(end.trouble, expected.trouble) << where;
            EXPECT_EQ(end.lease != nullptr, expected.trouble == Trouble::none) << where;
        }
        if (--left_ == 0) {
            client_.reset();
        }
    }

    std::vector<Store> stores_;
    ClientOptions options_;
    boost::asio::io_context io_;
    std::unique_ptr<Client> client_;
    std::size_t left_ = 0;
};

/// Of a thousand sockets on either side.
bool allow_many_files() {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= 4096;
}

TEST(ClientPatterns, EndAsTheyMustOverSocketsForUpToThreeRecipients) {
    ASSERT_TRUE(allow_many_files());
    Patterns patterns;
    for (std::size_t length = 1; length <= 3; ++length) {
        patterns.check(length, false);
    }
}

TEST(ClientPatterns, EndAsTheyMustWhenTheStoreDripsItsReplies) {
    ASSERT_TRUE(allow_many_files());
    Patterns patterns;
    patterns.check(2, true);
}

}  // namespace
}  // namespace postern::lmtp_client::test
