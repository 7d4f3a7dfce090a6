// Message ids: they sort by time, never come twice, and can be read over a telephone.
#include "queue/message_id.hpp"

#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <vector>

namespace postern::queue {
namespace {

class HandClock final : public Clock {
public:
    Instant wall() const override { return now; }
    SteadyInstant steady() const override { return {}; }
    Instant now = *parse_rfc3339("2026-08-21T10:11:12.345Z");
};

TEST(MessageId, IsThirteenCharactersThatReadBackAsItself) {
    for (const std::int64_t value :
         {std::int64_t{1}, std::int64_t{31}, std::int64_t{32}, std::int64_t{0x123456789abcdef}, INT64_MAX}) {
        const std::string text = MessageId(value).to_string();
        EXPECT_EQ(text.size(), 13U);
        EXPECT_EQ(text.find_first_of("ilou"), std::string::npos) << text;
        EXPECT_EQ(MessageId::parse(text), MessageId(value));
    }
}

TEST(MessageId, IsReadAsItIsHeard) {
    EXPECT_EQ(MessageId::parse("0000000000ABC"), MessageId::parse("0000000000abc"));
    EXPECT_EQ(MessageId::parse("000000000011o"), MessageId::parse("OOOOOOOOOOIL0"));
}

TEST(MessageId, RefusesWhatIsNone) {
    for (const char* text : {"", "0", "000000000000", "00000000000000", "000000000000u", "000000000000-",
                             " 00000000000a", "8000000000000", "z000000000000", "00000000000\xc3\xa9"}) {
        EXPECT_FALSE(MessageId::parse(text)) << text;
    }
    EXPECT_FALSE(MessageId::parse(std::string_view("000000000000\0", 13)));
}

TEST(MessageId, TextSortsAsTheNumberDoes) {
    HandClock clock;
    MessageIdGenerator generator(clock, 3, MessageId());
    MessageId last;
    for (int i = 0; i < 2000; ++i) {
        clock.now += Duration(i % 3);
        const MessageId next = generator.next();
        EXPECT_GT(next, last);
        EXPECT_GT(next.to_string(), last.to_string());
        last = next;
    }
}

TEST(MessageId, KnowsItsTime) {
    HandClock clock;
    MessageIdGenerator generator(clock, 16383, MessageId());
    const MessageId id = generator.next();
    EXPECT_EQ(id.time(), clock.now);
    EXPECT_LE(MessageId::first_at(clock.now), id);
    EXPECT_GT(MessageId::first_at(clock.now + Duration(1)), id);
    EXPECT_EQ(MessageId::first_at(Instant()), MessageId(0));
    EXPECT_GE(MessageId::first_at(Instant::max()).value(), 0);
}

TEST(MessageId, GrowsWhenTheClockIsSetBackAndWhenAMillisecondIsFull) {
    HandClock clock;
    MessageIdGenerator generator(clock, 0, MessageId());
    MessageId last = generator.next();
    clock.now -= std::chrono::hours(24 * 365);
    for (int i = 0; i < 1000; ++i) {
        const MessageId next = generator.next();
        ASSERT_GT(next, last);
        last = next;
    }
    clock.now = Instant(Duration(-1'000'000));
    EXPECT_GT(generator.next(), last);
    EXPECT_GE(generator.next().value(), 0);
}

TEST(MessageId, GrowsOverARestartOnAnyNode) {
    HandClock clock;
    for (const int node : {0, 1, 7, 16383}) {
        for (const int before : {0, 1, 7, 16383}) {
            MessageIdGenerator first(clock, static_cast<std::uint16_t>(before), MessageId());
            MessageId last;
            for (int i = 0; i < 300; ++i) {
                last = first.next();
            }
            MessageIdGenerator second(clock, static_cast<std::uint16_t>(node), last);
            EXPECT_GT(second.next(), last) << node << " after " << before;
        }
    }
}

TEST(MessageId, IsUniqueOverNodesAndThreads) {
    const SystemClock clock;
    MessageIdGenerator here(clock, 1, MessageId());
    MessageIdGenerator there(clock, 2, MessageId());
    std::vector<std::vector<MessageId>> made(4);
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < made.size(); ++i) {
        threads.emplace_back([&, i] {
            for (int n = 0; n < 5000; ++n) {
                made[i].push_back(i % 2 == 0 ? here.next() : there.next());
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    std::set<MessageId> all;
    for (const auto& ids : made) {
        all.insert(ids.begin(), ids.end());
    }
    EXPECT_EQ(all.size(), 20'000U);
}

}  // namespace
}  // namespace postern::queue
