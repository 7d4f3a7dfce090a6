// The PROXY header: what is taken, what is not, and the same however it is cut.
#include "smtp-server/detail/proxy_header.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <vector>

namespace postern::smtp_server::detail {
namespace {

using Status = ProxyHeaderReader::Status;

struct HeaderRead {
    Status status = Status::need_more;
    std::size_t consumed = 0;
    std::string address;
    std::uint16_t port = 0;
    friend bool operator==(const HeaderRead&, const HeaderRead&) = default;
    friend std::ostream& operator<<(std::ostream& out, const HeaderRead& outcome) {
        return out << static_cast<int>(outcome.status) << ' ' << outcome.consumed << ' ' << outcome.address << ' '
                   << outcome.port;
    }
};

HeaderRead read(const std::vector<std::string>& pieces) {
    ProxyHeaderReader reader;
    HeaderRead outcome;
    for (const std::string& piece : pieces) {
        const auto fed = reader.feed(piece);
        outcome.consumed += fed.consumed;
        outcome.status = fed.status;
        if (fed.status != Status::need_more) {
            break;
        }
    }
    outcome.address = reader.client_address();
    outcome.port = reader.client_port();
    if (outcome.status == Status::bad) {
        outcome = {Status::bad, 0, "", 0};
    }
    return outcome;
}

/// The outcome, which must be the same at every cut.
HeaderRead outcome_of(const std::string& input) {
    const HeaderRead whole = read({input});
    for (std::size_t cut = 0; cut <= input.size(); ++cut) {
        EXPECT_EQ(read({input.substr(0, cut), input.substr(cut)}), whole) << cut;
    }
    std::vector<std::string> octets;
    for (const char octet : input) {
        octets.emplace_back(1, octet);
    }
    EXPECT_EQ(read(octets), whole);
    return whole;
}

std::string v2(unsigned char command, unsigned char family, const std::string& rest) {
    std::string header("\r\n\r\n\0\r\nQUIT\n", 12);
    header += static_cast<char>(command);
    header += static_cast<char>(family);
    header += static_cast<char>(rest.size() / 256);
    header += static_cast<char>(rest.size() % 256);
    return header + rest;
}
const std::string four("\xc0\x00\x02\x01\xc6\x33\x64\x02\x04\xd2\x00\x19", 12);
const std::string six = std::string("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16) + std::string(16, '\x01') +
                        std::string("\x04\xd2\x00\x19", 4);
const std::string behind = "EHLO client\r\n";

TEST(ProxyHeader, LineNamesTheClient) {
    const std::string line4 = "PROXY TCP4 192.0.2.1 198.51.100.2 1234 25\r\n";
    EXPECT_EQ(outcome_of(line4 + behind), (HeaderRead{Status::done, line4.size(), "192.0.2.1", 1234}));
    const std::string line6 = "PROXY TCP6 2001:db8::1 2001:DB8::2 65535 25\r\n";
    EXPECT_EQ(outcome_of(line6), (HeaderRead{Status::done, line6.size(), "2001:db8::1", 65535}));
    const std::string mapped = "PROXY TCP6 ::ffff:192.0.2.1 ::1 1 25\r\n";
    EXPECT_EQ(outcome_of(mapped), (HeaderRead{Status::done, mapped.size(), "192.0.2.1", 1}));
}

TEST(ProxyHeader, UnknownNamesNobody) {
    for (const std::string line :
         {"PROXY UNKNOWN\r\n", "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", "PROXY UNKNOWN x y\r\n"}) {
        EXPECT_EQ(outcome_of(line + behind), (HeaderRead{Status::done, line.size(), "", 0}));
    }
}

TEST(ProxyHeader, ABadLineIsNoHeader) {
    for (const std::string line : {"PROXY TCP4 192.0.2.1 198.51.100.2 1234 25\n",
                                   "PROXY TCP4 192.0.2.1 198.51.100.2 1234\r\n",
                                   "PROXY TCP4  192.0.2.1 198.51.100.2 1 25\r\n",
                                   "PROXY TCP4 192.0.2.1 198.51.100.2 1234 25 x\r\n",
                                   "PROXY TCP4 2001:db8::1 198.51.100.2 1234 25\r\n",
                                   "PROXY TCP6 192.0.2.1 ::1 1234 25\r\n",
                                   "PROXY TCP4 192.0.2.256 198.51.100.2 1234 25\r\n",
                                   "PROXY TCP4 192.0.2.1 198.51.100.2 65536 25\r\n",
                                   "PROXY TCP4 192.0.2.1 198.51.100.2 01 25\r\n",
                                   "PROXY TCP4 192.0.2.1 198.51.100.2 -1 25\r\n",
                                   "PROXY TCP4 192.0.2.1 198.51.100.2  25\r\n",
                                   "PROXY TCP5 192.0.2.1 198.51.100.2 1234 25\r\n",
                                   "PROXY UDP4 192.0.2.1 198.51.100.2 1234 25\r\n",
                                   "PROXY \r\n",
                                   "proxy TCP4 192.0.2.1 198.51.100.2 1234 25\r\n",
                                   "PROXY  TCP4 192.0.2.1 198.51.100.2 1234 25\r\n",
                                   "EHLO x\r\n",
                                   "\r\n\r\n",
                                   "PROXY\r\n",
                                   "\n",
                                   "PPROXY UNKNOWN\r\n"}) {
        EXPECT_EQ(outcome_of(line + behind).status, Status::bad) << line;
    }
    EXPECT_EQ(outcome_of("PROXY UNKNOWN " + std::string(200, 'x') + "\r\n").status, Status::bad);
    EXPECT_EQ(outcome_of(std::string("PROXY TCP4 192.0.2.1\0 198.51.100.2 1 25\r\n", 41)).status, Status::bad);
}

TEST(ProxyHeader, TheLongestLineIsTaken) {
    const std::string line =
        "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    ASSERT_EQ(line.size(), 107U);
    EXPECT_EQ(outcome_of(line).status, Status::done);
}

TEST(ProxyHeader, OctetsNameTheClient) {
    EXPECT_EQ(outcome_of(v2(0x21, 0x11, four) + behind), (HeaderRead{Status::done, 28, "192.0.2.1", 1234}));
    EXPECT_EQ(outcome_of(v2(0x21, 0x21, six) + behind), (HeaderRead{Status::done, 52, "2001:db8::1", 1234}));
    const std::string mapped = std::string("\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\x02\x01", 16) + six.substr(16);
    EXPECT_EQ(outcome_of(v2(0x21, 0x21, mapped)), (HeaderRead{Status::done, 52, "192.0.2.1", 1234}));
    const std::string extras(1000, 'x');  // type-length-values, which nobody reads
    EXPECT_EQ(outcome_of(v2(0x21, 0x11, four + extras) + behind), (HeaderRead{Status::done, 1028, "192.0.2.1", 1234}));
}

TEST(ProxyHeader, OctetsThatNameNobody) {
    EXPECT_EQ(outcome_of(v2(0x20, 0x00, "") + behind), (HeaderRead{Status::done, 16, "", 0}));
    EXPECT_EQ(outcome_of(v2(0x20, 0x11, four) + behind), (HeaderRead{Status::done, 28, "", 0}));
    EXPECT_EQ(outcome_of(v2(0x21, 0x00, "abc") + behind), (HeaderRead{Status::done, 19, "", 0}));
    EXPECT_EQ(outcome_of(v2(0x21, 0x31, std::string(216, '/')) + behind), (HeaderRead{Status::done, 232, "", 0}));
}

TEST(ProxyHeader, BadOctetsAreNoHeader) {
    for (const auto& header : {v2(0x11, 0x11, four), v2(0x22, 0x11, four), v2(0x21, 0x41, four),
                               v2(0x21, 0x11, "short"), v2(0x21, 0x21, four), v2(0x31, 0x11, four)}) {
        EXPECT_EQ(outcome_of(header + behind).status, Status::bad);
    }
    std::string wrong = v2(0x21, 0x11, four);
    wrong[11] = 'X';
    EXPECT_EQ(outcome_of(wrong).status, Status::bad);
}

TEST(ProxyHeader, APartAsksForMore) {
    const std::string header = v2(0x21, 0x11, four + "extra");
    for (std::size_t length = 0; length < header.size(); ++length) {
        EXPECT_EQ(read({header.substr(0, length)}).status, Status::need_more) << length;
    }
}

}  // namespace
}  // namespace postern::smtp_server::detail
