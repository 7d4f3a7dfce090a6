#include "gateway/outgoing/hosts.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "tests/unit/gateway/dns/scripted_resolver.hpp"

namespace postern::outgoing {
namespace {

namespace asio = boost::asio;
using dns::Address;
using dns::RecordType;
using dns::Status;
using dns::tests::ScriptedResolver;
using lmtp_client::Security;
using testing::ElementsAre;
using testing::IsEmpty;
using Proof = ScriptedResolver::Proof;

const dns::Tlsa digest{3, 1, 1, std::string(32, 'x')};

class HostsTest : public testing::Test {
protected:
    HostsTest() {
        auto made = std::make_shared<Options>();
        made->is_own = [](const std::string& ip) { return ip == "192.0.2.99"; };
        made->is_forbidden = [](const std::string& ip) { return ip.starts_with("127."); };
        made->tls_required = {"strict.example"};
        options = made;
    }
    void addresses(const std::string& host, const std::vector<std::string>& v4, Proof proof = Proof::insecure) {
        std::vector<dns::Record> records;
        for (const std::string& address : v4) {
            records.emplace_back(Address{address});
        }
        resolver.found(host, RecordType::a, records, proof);
        resolver.answer(host, RecordType::aaaa, Status::no_data, proof);
    }
    void tlsa(const std::string& base, const std::vector<dns::Tlsa>& records, Proof proof = Proof::secure) {
        resolver.found("_25._tcp." + base, RecordType::tlsa, {records.begin(), records.end()}, proof);
    }
    Host find(bool is_secure, const std::string& domain = "example.org") {
        asio::io_context context(1);
        Host result;
        auto task = find_host(resolver, {domain, {"mx.example.org", 10, false}, is_secure, 25}, options);
        asio::co_spawn(context, std::move(task), [&](const std::exception_ptr& problem, Host host) {
            EXPECT_FALSE(problem);
            result = std::move(host);
        });
        context.run();
        return result;
    }
    bool was_asked_for_tlsa() const {
        return std::any_of(resolver.asked.begin(), resolver.asked.end(),
                           [](const auto& question) { return question.second == RecordType::tlsa; });
    }

    ScriptedResolver resolver;
    std::shared_ptr<const Options> options;
};

TEST_F(HostsTest, HaveAddressesOfBothKindsInTurn) {
    addresses("mx.example.org", {"192.0.2.1", "192.0.2.2"});
    resolver.found("mx.example.org", RecordType::aaaa, {Address{"2001:db8::1"}});
    EXPECT_THAT(find(false).addresses, ElementsAre("2001:db8::1", "192.0.2.1", "192.0.2.2"));
}

TEST_F(HostsTest, AreNotSoughtWhereNoMailGoes) {
    addresses("mx.example.org", {"127.0.0.1", "192.0.2.1"});
    EXPECT_THAT(find(false).addresses, ElementsAre("192.0.2.1"));
    addresses("mx.example.org", {"127.0.0.1"});
    EXPECT_THAT(find(false).addresses, IsEmpty());
}

TEST_F(HostsTest, MayBeOurselves) {
    addresses("mx.example.org", {"192.0.2.1", "192.0.2.99"});
    EXPECT_TRUE(find(false).is_own);
}

TEST_F(HostsTest, WithoutAnAddressAreNotThereOrNotKnown) {
    EXPECT_THAT(find(false).addresses, IsEmpty());
    EXPECT_EQ(find(false).problem, "");
    resolver.answer("mx.example.org", RecordType::a, Status::failed);
    EXPECT_NE(find(false).problem, "");
}

TEST_F(HostsTest, WithAForgedAddressAreNotSpokenTo) {
    addresses("mx.example.org", {"192.0.2.1"});
    resolver.answer("mx.example.org", RecordType::aaaa, Status::bogus);
    const Host host = find(false);
    EXPECT_THAT(host.addresses, IsEmpty());
    EXPECT_NE(host.problem, "");
}

TEST_F(HostsTest, AreEncryptedWhenItIsOfferedUnlessTheDomainSaysMore) {
    addresses("mx.example.org", {"192.0.2.1"});
    EXPECT_EQ(find(false).security.tls, Security::Tls::opportunistic);
    const Host strict = find(false, "strict.example");
    EXPECT_EQ(strict.security.tls, Security::Tls::required);
    EXPECT_EQ(strict.security.host, "mx.example.org");
    EXPECT_FALSE(was_asked_for_tlsa());
}

// Shows: RFC 7672 2.2, 3.1
TEST_F(HostsTest, OfASignedZoneHaveTheirCertificatesThere) {
    addresses("mx.example.org", {"192.0.2.1"}, Proof::secure);
    tlsa("mx.example.org", {digest});
    const Host host = find(true);
    EXPECT_EQ(host.security.tls, Security::Tls::required);
    ASSERT_TRUE(host.security.dane);
    EXPECT_THAT(host.security.dane->records, ElementsAre(Security::Dane::Record{3, 1, 1, digest.data}));
    EXPECT_THAT(host.security.dane->names, ElementsAre("example.org", "mx.example.org"));
}

// Shows: RFC 7672 2.2
TEST_F(HostsTest, AreAskedForNoCertificatesWithoutProofOfTheWay) {
    addresses("mx.example.org", {"192.0.2.1"}, Proof::secure);
    tlsa("mx.example.org", {digest});
    EXPECT_FALSE(find(false).security.dane);
    addresses("mx.example.org", {"192.0.2.1"}, Proof::insecure);
    EXPECT_FALSE(find(true).security.dane);
    EXPECT_FALSE(was_asked_for_tlsa());
}

// Shows: RFC 7672 2.1
TEST_F(HostsTest, WhoseCertificatesAreKeptBackGetNoMail) {
    addresses("mx.example.org", {"192.0.2.1"}, Proof::secure);
    for (const Status status : {Status::failed, Status::bogus}) {
        resolver.answer("_25._tcp.mx.example.org", RecordType::tlsa, status);
        EXPECT_NE(find(true).problem, "");
    }
    resolver.answer("_25._tcp.mx.example.org", RecordType::tlsa, Status::no_data, Proof::secure);
    const Host host = find(true);
    EXPECT_EQ(host.problem, "");
    EXPECT_EQ(host.security.tls, Security::Tls::opportunistic);
}

// Shows: RFC 7672 2.2
TEST_F(HostsTest, ThatAreAliasesHaveThemWhereTheAliasLeads) {
    addresses("mx.example.org", {"192.0.2.1"}, Proof::secure);
    dns::Answer alias;
    alias.status = Status::found;
    alias.secure = true;
    alias.records = {Address{"192.0.2.1"}};
    alias.canonical_name = "real.example.net";
    resolver.answer("mx.example.org", RecordType::a, alias);
    tlsa("real.example.net", {digest});
    Host host = find(true);
    ASSERT_TRUE(host.security.dane);
    EXPECT_EQ(host.security.host, "real.example.net");

    // What it leads to is not signed; that it is an alias is.
    alias.secure = false;
    resolver.answer("mx.example.org", RecordType::a, alias);
    resolver.found("mx.example.org", RecordType::cname, {dns::DomainName{"real.example.net"}}, Proof::secure);
    tlsa("mx.example.org", {digest});
    host = find(true);
    ASSERT_TRUE(host.security.dane);
    EXPECT_EQ(host.security.host, "mx.example.org");
}

// Shows: RFC 7672 2.1.1, 2.2
TEST_F(HostsTest, ThatArePerhapsSignedAliasesGetNoMail) {
    dns::Answer elsewhere;
    elsewhere.status = Status::found;
    elsewhere.records = {Address{"192.0.2.1"}};
    elsewhere.canonical_name = "real.example.net";
    resolver.answer("mx.example.org", RecordType::a, elsewhere);
    for (const Status status : {Status::failed, Status::bogus}) {
        resolver.answer("mx.example.org", RecordType::cname, status);
        EXPECT_THAT(find(true).problem, testing::HasSubstr("the alias mx.example.org"));
    }
    for (const Status status : {Status::no_data, Status::no_such_name}) {
        resolver.answer("mx.example.org", RecordType::cname, status);
        EXPECT_EQ(find(true).problem, "");
    }
    resolver.found("mx.example.org", RecordType::cname, {dns::DomainName{"real.example.net"}});
    const Host host = find(true);
    EXPECT_EQ(host.problem, "");
    EXPECT_EQ(host.security.tls, Security::Tls::opportunistic);
    EXPECT_FALSE(was_asked_for_tlsa());
}

// Shows: RFC 7672 3.1.3
TEST(SecuredBy, RecordsThatAreNotForMailOnlyAskForEncryption) {
    const dns::Tlsa authority{0, 0, 1, std::string(32, 'x')};
    const dns::Tlsa shortened{3, 1, 1, "x"};
    const dns::Tlsa unknown{3, 9, 1, std::string(32, 'x')};
    Security opportunistic;
    opportunistic.tls = Security::Tls::opportunistic;
    const Security security = secured_by({authority, shortened, unknown}, opportunistic);
    EXPECT_EQ(security.tls, Security::Tls::encrypted);
    EXPECT_FALSE(security.dane);
    EXPECT_EQ(secured_by({authority, digest}, opportunistic).dane->records.size(), 1U);
    Security required;
    required.tls = Security::Tls::required;
    EXPECT_EQ(secured_by({authority}, required).tls, Security::Tls::required);
}

}  // namespace
}  // namespace postern::outgoing
