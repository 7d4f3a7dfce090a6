// DATA and BDAT content: what ends it, what becomes of it, and that no cut of the input changes either.
#include "smtp-server/detail/content.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "smtp-server/detail/bdat_reader.hpp"
#include "smtp-server/detail/data_reader.hpp"
#include "tests/unit/smtp-server/content_oracle.hpp"

namespace postern::smtp_server::detail {
namespace {

using namespace std::string_literals;

struct Outcome {
    std::string content;
    std::size_t consumed = 0;
    bool ended = false;
    ContentFacts facts;
};

// Feeds `wire` cut at the given places.
Outcome read_data(std::string_view wire, const std::vector<std::size_t>& cuts) {
    DataReader reader;
    Outcome outcome;
    std::size_t at = 0;
    for (std::size_t i = 0; i <= cuts.size() && !outcome.ended; ++i) {
        const std::size_t end = i < cuts.size() ? cuts[i] : wire.size();
        const auto fed = reader.feed(wire.substr(at, end - at), outcome.content);
        outcome.consumed += fed.consumed;
        outcome.ended = fed.ended;
        EXPECT_TRUE(fed.ended || fed.consumed == end - at);
        at = end;
    }
    outcome.facts = reader.facts();
    return outcome;
}

Outcome read_bdat(std::string_view text, const std::vector<std::size_t>& cuts) {
    BdatReader reader;
    Outcome outcome;
    std::size_t at = 0;
    for (const std::size_t cut : cuts) {
        reader.feed(text.substr(at, cut - at), outcome.content);
        at = cut;
    }
    reader.feed(text.substr(at), outcome.content);
    reader.finish(outcome.content);
    outcome.facts = reader.facts();
    return outcome;
}

std::vector<std::size_t> every_octet(std::string_view text) {
    std::vector<std::size_t> cuts;
    for (std::size_t i = 0; i < text.size(); ++i) {
        cuts.push_back(i);
    }
    return cuts;
}

void expect_as_oracle(std::string_view wire, const std::vector<std::size_t>& cuts) {
    const Outcome outcome = read_data(wire, cuts);
    const auto whole = unstuffed(wire);
    ASSERT_EQ(outcome.ended, whole.has_value()) << testing::PrintToString(wire);
    if (whole) {
        const Expected expected = expected_content(whole->text);
        EXPECT_EQ(outcome.content, expected.content) << testing::PrintToString(wire);
        EXPECT_EQ(outcome.facts, expected.facts) << testing::PrintToString(wire);
        EXPECT_EQ(outcome.consumed, whole->consumed);
    }
    const Expected plain = expected_content(wire);
    const Outcome chunks = read_bdat(wire, cuts);
    EXPECT_EQ(chunks.content, plain.content) << testing::PrintToString(wire);
    EXPECT_EQ(chunks.facts, plain.facts) << testing::PrintToString(wire);
}

TEST(DataReader, UndoesDotStuffing) {
    const struct {
        std::string wire;
        std::string content;
    } cases[] = {
        {".\r\n", ""},
        {"\r\n.\r\n", "\r\n"},
        {"a\r\n.\r\n", "a\r\n"},
        {"..\r\n.\r\n", ".\r\n"},
        {"...\r\n.\r\n", "..\r\n"},
        {"a\r\n..b\r\n.c\r\n.\r\n", "a\r\n.b\r\nc\r\n"},
        {"a.\r\n.\r\n", "a.\r\n"},
        {"a\r\n..\r\n.\r\n", "a\r\n.\r\n"},
    };
    for (const auto& one : cases) {
        const Outcome outcome = read_data(one.wire, {});
        EXPECT_TRUE(outcome.ended);
        EXPECT_EQ(outcome.content, one.content);
        EXPECT_EQ(outcome.facts.size, one.content.size());
        EXPECT_FALSE(outcome.facts.has_bare_newline);
    }
}

TEST(DataReader, LeavesWhatFollowsTheEnd) {
    const Outcome outcome = read_data("a\r\n.\r\nMAIL FROM:<>\r\n", {});
    EXPECT_TRUE(outcome.ended);
    EXPECT_EQ(outcome.consumed, 6U);
}

// Shows: RFC 5321 section 2.3.8; each is one that some server has taken for the end of the data.
TEST(DataReader, EndsAtNoOtherSequence) {
    const std::vector<std::string> ends = {
        "\n.\n",        "\r.\r",       "\n.\r\n",     "\r\n.\n",      "\r\n.\r",      "\r.\n",        "\n.\r",
        "\r.\r\n",      "\r\n\r.\r\n", "\r\r.\r\r",   "\r\n.\r\r\n",  "\r\n.\0\r\n"s, "\r\n\0.\r\n"s, "\r\n. \r\n",
        "\r\n .\r\n",   "\r\n..\r\n",  "\r\n.\n\r\n", "\r\n.\r\0\n"s, "\r\0\n.\r\n"s, "\n\r.\r\n",    "\n\n.\r\n",
        "\r\n.\n.\r\n", "\n.\r\n.\n",  "\r\n\n.\r\n", "\r\n.\x8d\n"};
    for (const std::string& end : ends) {
        const std::string wire =
            "Subject: x\r\n\r\nbody" + end + "MAIL FROM:<smuggled@example.com>\r\nRCPT TO:<x@example.com>\r\n";
        for (std::size_t cut = 0; cut <= wire.size(); ++cut) {
            const Outcome outcome = read_data(wire, {cut});
            ASSERT_FALSE(outcome.ended) << testing::PrintToString(end);
            ASSERT_EQ(outcome.consumed, wire.size());
        }
        EXPECT_TRUE(read_data(wire + ".\r\n", {}).ended);
    }
}

TEST(DataReader, MakesBareNewlinesCrlfAndSaysSo) {
    const struct {
        std::string wire;
        std::string content;
    } cases[] = {
        {"a\nb\r\n.\r\n", "a\r\nb\r\n"},
        {"a\rb\r\n.\r\n", "a\r\nb\r\n"},
        {"\n\r\n.\r\n", "\r\n\r\n"},
        {"\r\r\n.\r\n", "\r\n\r\n"},
        {"a\n.\r\n.\r\n", "a\r\n.\r\n"},
        {"a\n..b\r\n.\r\n", "a\r\n..b\r\n"},
        {"a\r\n.\nb\r\n.\r\n", "a\r\n\r\nb\r\n"},
        {"a\r\n.\rb\r\n.\r\n", "a\r\n\r\nb\r\n"},
        {"a\r\n.\r\r\n.\r\n", "a\r\n\r\n\r\n"},
    };
    for (const auto& one : cases) {
        const Outcome outcome = read_data(one.wire, {});
        EXPECT_TRUE(outcome.ended);
        EXPECT_EQ(outcome.content, one.content) << testing::PrintToString(one.wire);
        EXPECT_TRUE(outcome.facts.has_bare_newline);
    }
}

// All strings of seven octets from those that matter: 5^7 inputs, each whole, and in single octets.
TEST(Content, IsAsTheOracleSaysForAllShortInputs) {
    static constexpr char alphabet[] = {'\r', '\n', '.', 'x', ' '};
    std::string wire(7, ' ');
    const auto cuts = every_octet(wire);
    for (int number = 0; number < 78125; ++number) {
        int rest = number;
        for (char& c : wire) {
            c = alphabet[rest % 5];
            rest /= 5;
        }
        expect_as_oracle(wire, {});
        expect_as_oracle(wire, cuts);
        if (HasFatalFailure()) {
            return;
        }
    }
}

TEST(Content, IsTheSameHoweverCut) {
    const std::string wire =
        "Received: a\r\n\tb\r\nRECEIVED : c\r\nX: y\r\n\r\nReceived: body\r\n..dots\r\n\xc3\xbc\nx\ry\r\r\n.\n.\r.\r\n"s +
        std::string(1200, 'l') + "\0\r\n.\r\n"s;
    expect_as_oracle(wire, {});
    expect_as_oracle(wire, every_octet(wire));
    for (std::size_t first = 0; first <= wire.size(); first += first < 130 || first > 1300 ? 1 : 37) {
        for (std::size_t second = first; second <= wire.size(); second += second < 130 || second > 1300 ? 1 : 41) {
            expect_as_oracle(wire, {first, second});
        }
    }
}

// Large enough for the block path, with faults strewn in, from a fixed seed.
TEST(Content, IsAsTheOracleSaysForLargeInputs) {
    std::mt19937 random(20240101);
    const std::vector<std::string> pieces = {"\r",   "\n",  ".",       "\r\n",      "\r\n.",   "\r\n..",
                                             "\xff", "\0"s, "\r\n.\n", "Received:", "\r\n\r\n"};
    for (int round = 0; round < 400; ++round) {
        std::string wire = round % 2 == 0 ? "\r\n" : "";  // half of them begin with the body
        const auto rarity = 1 + random() % 900;
        while (wire.size() < 4000) {
            wire.append(random() % rarity, 'x');
            wire += random() % 3 == 0 ? pieces[random() % pieces.size()] : "\r\n";
        }
        wire += "\r\n.\r\n";
        std::vector<std::size_t> cuts;
        for (std::size_t at = random() % 1500; at < wire.size(); at += random() % 1500) {
            cuts.push_back(at);
        }
        expect_as_oracle(wire, {});
        expect_as_oracle(wire, cuts);
    }
}

TEST(Content, KeepsNothingOfALongLine) {
    DataReader reader;
    const std::string part(65536, 'x');
    std::string out;
    for (int i = 0; i < 1000; ++i) {
        out.clear();
        EXPECT_EQ(reader.feed(part, out).consumed, part.size());
        EXPECT_EQ(out.size(), part.size());
    }
    EXPECT_EQ(reader.facts().size, 65536000U);
    EXPECT_LT(sizeof(reader), 128U);
}

TEST(Content, GrowsToTwiceTheInputAtMost) {
    for (const char* unit : {"\n", "\r", "\r.\r", "\r\n.\r\r"}) {
        std::string wire;
        while (wire.size() < 3000) {
            wire += unit;
        }
        std::string out;
        ASSERT_FALSE(DataReader().feed(wire, out).ended);
        EXPECT_LE(out.size(), 2 * wire.size() + 4);
    }
}

// Shows: RFC 5321 section 6.3
TEST(Content, CountsReceivedInTheHeaderSectionOnly) {
    const struct {
        std::string text;
        std::uint32_t received;
    } cases[] = {
        {"Received: a\r\nReceived: b\r\n\r\nReceived: c\r\n", 2},
        {"rEcEiVeD:a\r\nReceived \t: b\r\n", 2},
        {"Received-SPF: a\r\nX-Received: b\r\nReceive: c\r\nReceivedd: d\r\nReceived\r\n Received: folded\r\n", 0},
        {"\r\nReceived: a\r\n", 0},
        {"Received: a\nReceived: b\n\nReceived: c\n", 2},
        {"Received: a\rReceived: b\r\rReceived: c\r", 2},
        {"Received:", 1},
        {"ReceivedReceived: a\r\n", 0},
    };
    for (const auto& one : cases) {
        EXPECT_EQ(read_bdat(one.text, {}).facts.received_headers, one.received) << one.text;
        EXPECT_EQ(read_bdat(one.text, every_octet(one.text)).facts.received_headers, one.received) << one.text;
    }
}

TEST(Content, SeesAFirstLineThatWouldContinueAHeader) {
    EXPECT_TRUE(read_bdat(" x", {}).facts.begins_with_fold);
    EXPECT_TRUE(read_data(".\tx\r\n.\r\n", {1}).facts.begins_with_fold);
    EXPECT_FALSE(read_bdat("x\r\n y", {3}).facts.begins_with_fold);
    EXPECT_FALSE(read_bdat("", {}).facts.begins_with_fold);
}

TEST(BdatReader, LeavesDotsAlone) {
    const std::string text = ".\r\n..\r\n.\r\n.\r\nend";
    EXPECT_EQ(read_bdat(text, {}).content, text);
    EXPECT_EQ(read_bdat(text, every_octet(text)).content, text);
}

TEST(BdatReader, JoinsALineEndThatTwoChunksShare) {
    const Outcome outcome = read_bdat("a\r\nb", {2});
    EXPECT_EQ(outcome.content, "a\r\nb");
    EXPECT_FALSE(outcome.facts.has_bare_newline);
}

TEST(BdatReader, EndsALastCarriageReturn) {
    const Outcome outcome = read_bdat("a\r", {});
    EXPECT_EQ(outcome.content, "a\r\n");
    EXPECT_TRUE(outcome.facts.has_bare_newline);
    EXPECT_EQ(outcome.facts.size, 3U);
}

TEST(ContentRefusal, NamesTheFault) {
    Limits limits;
    limits.message_size = 10;
    limits.received_headers = 2;
    const auto code = [&](const ContentFacts& facts, BareNewline bare) {
        const auto reply = content_refusal(facts, limits, bare);
        return reply ? reply->to_string().substr(0, 9) : std::string();
    };
    ContentFacts facts;
    facts.size = 10;
    facts.received_headers = 2;
    facts.has_8bit = true;
    facts.has_bare_newline = true;
    EXPECT_EQ(code(facts, BareNewline::normalize), "");
    EXPECT_EQ(code(facts, BareNewline::reject), "554 5.6.0");
    facts.has_nul = true;
    EXPECT_EQ(code(facts, BareNewline::normalize), "554 5.6.0");
    facts.received_headers = 3;
    EXPECT_EQ(code(facts, BareNewline::normalize), "554 5.4.6");
    facts.size = 11;
    EXPECT_EQ(code(facts, BareNewline::normalize), "552 5.3.4");
}

}  // namespace
}  // namespace postern::smtp_server::detail
