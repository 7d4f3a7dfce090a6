// One dead name keeps no other waiting, and no name is asked for twice at once.
#include "lmtp-client/detail/name_lookups.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <future>

namespace postern::lmtp_client::detail {
namespace {

namespace asio = boost::asio;
using Found = NameLookups::Found;

class NameLookupsTest : public testing::Test {
protected:
    NameLookupsTest()
        : lookups_(std::make_shared<NameLookups>(context_.get_executor(), [this](const std::string& host) {
              ++asked_;
              if (host.starts_with("dead")) {
                  released_.wait();
                  return Found{asio::error::host_not_found, {}};
              }
              return Found{{}, {asio::ip::make_address("192.0.2.1")}};
          })) {}
    ~NameLookupsTest() override { release(); }

    void release() {
        if (!std::exchange(is_released_, true)) {
            release_.set_value();
        }
    }
    /// Runs until `waits` is over; true: it has an answer.
    bool wait(const std::shared_ptr<NameLookups::Waiting>& waits) {
        bool over = false;
        waits->timer.async_wait([&over](const boost::system::error_code&) { over = true; });
        context_.restart();
        while (!over) {
            context_.run_one();
        }
        return waits->found.has_value();
    }

    asio::io_context context_;
    std::promise<void> release_;
    std::shared_future<void> released_{release_.get_future()};
    bool is_released_ = false;
    std::atomic<int> asked_ = 0;
    std::shared_ptr<NameLookups> lookups_;
};

TEST_F(NameLookupsTest, ADeadNameKeepsNoOtherWaiting) {
    const auto dead = lookups_->begin("dead.example");
    const auto alive = lookups_->begin("alive.example");
    ASSERT_TRUE(wait(alive));
    EXPECT_EQ(alive->found->addresses.at(0).to_string(), "192.0.2.1");
    EXPECT_FALSE(dead->found);
    release();
    ASSERT_TRUE(wait(dead));
    EXPECT_EQ(dead->found->error, asio::error::host_not_found);
}

TEST_F(NameLookupsTest, ANameIsLookedUpOnceHoweverManyWaitForIt) {
    std::vector<std::shared_ptr<NameLookups::Waiting>> all;
    for (int i = 0; i < 50; ++i) {
        all.push_back(lookups_->begin("dead.example"));
    }
    EXPECT_TRUE(wait(lookups_->begin("alive.example"))) << "fifty look-ups would take all threads";
    release();
    for (const auto& waits : all) {
        EXPECT_TRUE(waits->found || wait(waits));
    }
    EXPECT_EQ(asked_, 2);
    EXPECT_TRUE(wait(lookups_->begin("dead.example")));
    EXPECT_EQ(asked_, 3) << "nothing is remembered";
}

TEST_F(NameLookupsTest, WhoGivesUpHasNoAnswerAndTheOthersGetTheirs) {
    const auto patient = lookups_->begin("dead.example");
    auto hasty = lookups_->begin("dead.example");
    hasty->timer.cancel();
    hasty->timer.expires_after(std::chrono::seconds(0));
    EXPECT_FALSE(wait(hasty));
    hasty.reset();
    release();
    EXPECT_TRUE(wait(patient));
}

TEST_F(NameLookupsTest, MayEndWhileOneIsAtWork) {
    const auto waits = lookups_->begin("dead.example");
    release();
    lookups_.reset();
    context_.poll();
    EXPECT_FALSE(waits->found);
}

TEST(NameLookupsOfTheSystem, FindThisMachine) {
    asio::io_context context;
    const auto lookups = std::make_shared<NameLookups>(context.get_executor());
    const auto waits = lookups->begin("localhost");
    waits->timer.async_wait([](const boost::system::error_code&) {});
    context.run();
    ASSERT_TRUE(waits->found);
    EXPECT_FALSE(waits->found->error) << waits->found->error.message();
    ASSERT_FALSE(waits->found->addresses.empty());
    EXPECT_TRUE(waits->found->addresses.front().is_loopback());
}

}  // namespace
}  // namespace postern::lmtp_client::detail
