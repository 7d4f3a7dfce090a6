#include "gateway/threads/batched_post.hpp"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <memory>
#include <thread>
#include <vector>

namespace postern::threads {
namespace {

TEST(BatchedPost, RunsNothingBeforeTheFlush) {
    boost::asio::io_context io;
    BatchedPost post(io.get_executor());
    int runs = 0;
    post.add([&runs]() { ++runs; });
    EXPECT_EQ(io.poll(), 0U);
    EXPECT_EQ(runs, 0);
    EXPECT_FALSE(post.empty());
}

TEST(BatchedPost, RunsABatchInOrderAsOneHandler) {
    boost::asio::io_context io;
    BatchedPost post(io.get_executor());
    std::vector<int> order;
    for (int i = 0; i < 5; ++i) {
        post.add([&order, i]() { order.push_back(i); });
    }
    post.flush();
    EXPECT_TRUE(post.empty());
    EXPECT_EQ(io.poll(), 1U);
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
}

TEST(BatchedPost, FlushOfNothingWakesNobody) {
    boost::asio::io_context io;
    BatchedPost post(io.get_executor());
    post.flush();
    EXPECT_EQ(io.poll(), 0U);
}

TEST(BatchedPost, WhatWasPostedOutlivesIt) {
    boost::asio::io_context io;
    bool ran = false;
    {
        BatchedPost post(io.get_executor());
        post.add([&ran]() { ran = true; });
        post.flush();
    }
    io.run();
    EXPECT_TRUE(ran);
}

TEST(BatchedPost, KeepsTheOrderAcrossThreads) {
    boost::asio::io_context io;
    BatchedPost post(io.get_executor());
    std::vector<int> order;
    std::thread writer([&]() {
        for (int i = 0; i < 1000; ++i) {
            post.add([&order, i]() { order.push_back(i); });
            if (i % 7 == 0) {
                post.flush();
            }
        }
        post.flush();
    });
    writer.join();
    io.run();
    ASSERT_EQ(order.size(), 1000U);
    for (int i = 0; i < 1000; ++i) {
        EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
    }
}

}  // namespace
}  // namespace postern::threads
