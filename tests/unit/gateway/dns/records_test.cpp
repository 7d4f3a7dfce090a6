#include "gateway/dns/records.hpp"

#include <gtest/gtest.h>

#include "gateway/dns/names.hpp"

namespace postern::dns {
namespace {

using namespace std::string_view_literals;

template <class T>
T parsed(RecordType type, std::string_view octets) {
    const auto record = parse_record(type, octets);
    if (!record || !std::holds_alternative<T>(*record)) {
        ADD_FAILURE() << "not such a record";
        return {};
    }
    return std::get<T>(*record);
}

TEST(Records, OfAddresses) {
    EXPECT_EQ(parsed<Address>(RecordType::a, "\xc0\x00\x02\x01"sv).text, "192.0.2.1");
    EXPECT_EQ(parsed<Address>(RecordType::aaaa, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"sv).text, "2001:db8::1");
    EXPECT_FALSE(parse_record(RecordType::a, "\xc0\x00\x02"sv));
    EXPECT_FALSE(parse_record(RecordType::aaaa, "\xc0\x00\x02\x01"sv));
}

// Shows: RFC 1035 3.3.9
TEST(Records, OfMailExchangers) {
    const auto mx = parsed<MailExchanger>(RecordType::mx,
                                          "\x01\x02\x03MX1\x07"
                                          "example\0"sv);
    EXPECT_EQ(mx.preference, 258);
    EXPECT_EQ(mx.host.text, "mx1.example");
    EXPECT_FALSE(parse_record(RecordType::mx, "\x01\x02"sv));
    EXPECT_FALSE(parse_record(RecordType::mx, "\x01\x02\x03mx1"sv)) << "a name without an end";
    EXPECT_FALSE(parse_record(RecordType::mx, "\x01\x02\x03mx1\0\0"sv)) << "more behind the name";
}

// Shows: RFC 7505 3
TEST(Records, OfNullMx) { EXPECT_EQ(parsed<MailExchanger>(RecordType::mx, "\0\0\0"sv).host.text, ""); }

TEST(Records, OfNamesWithOddOctetsAreWrittenButCannotBeAskedFor) {
    const std::string name = parsed<DomainName>(RecordType::ptr,
                                                "\x05"
                                                "a.b\n\xff"
                                                "\x03"
                                                "net\0"sv)
                                 .text;
    EXPECT_EQ(name, "a\\046b\\010\\255.net");
    EXPECT_FALSE(is_name(name));
    EXPECT_FALSE(parse_record(RecordType::ptr,
                              "\x40"
                              "a\0"sv))
        << "a label of 64 octets, or a pointer";
}

TEST(Records, OfNamesAreAtMost255Octets) {
    std::string octets;
    for (int i = 0; i < 4; ++i) {
        octets += '\x3f' + std::string(63, 'a');
    }
    EXPECT_FALSE(parse_record(RecordType::cname, octets + '\0'));
    octets.resize(octets.size() - 64);
    EXPECT_TRUE(parse_record(RecordType::cname, octets + '\0'));
}

// Shows: RFC 1035 3.3.14
TEST(Records, OfTextAreItsStringsInOne) {
    EXPECT_EQ(parsed<Text>(RecordType::txt,
                           "\x03"
                           "v=s\x02"
                           "pf\0"sv)
                  .text,
              "v=spf");
    EXPECT_FALSE(parse_record(RecordType::txt,
                              "\x03"
                              "ab"sv));
}

// Shows: RFC 6698 2.1
TEST(Records, OfTlsa) {
    const auto tlsa = parsed<Tlsa>(RecordType::tlsa, "\x03\x01\x01\xab\xcd"sv);
    EXPECT_EQ(tlsa, (Tlsa{3, 1, 1, "\xab\xcd"}));
    EXPECT_FALSE(parse_record(RecordType::tlsa, "\x03\x01\x01"sv));
}

}  // namespace
}  // namespace postern::dns
