// The screen over a resolver that says what the test wants: who is refused, and what no answer means.
#include "gateway/screening/screen.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <filesystem>

#include "tests/unit/gateway/dns/scripted_resolver.hpp"

namespace postern::screening {
namespace {

namespace asio = boost::asio;
using dns::Address;
using dns::DomainName;
using dns::MailExchanger;
using dns::RecordType;
using dns::Status;
using dns::Text;
using smtp_server::Refusal;

class StoppedClock final : public queue::Clock {
public:
    [[nodiscard]] queue::Instant wall() const override { return queue::Instant(queue::Duration(1'800'000'000'000)); }
    [[nodiscard]] queue::SteadyInstant steady() const override { return {}; }
};

class ScreenTest : public testing::Test {
protected:
    ScreenTest() {
        session_.client_address = "192.0.2.7";
        session_.helo = "mail.example.org";
        rules_.hostname = "mx.example.com";
        resolver_.found("example.org", RecordType::mx, {MailExchanger{10, {"mail.example.org"}}});
    }

    /// What MAIL is answered: "550 5.1.8", or "" for yes.
    std::string mail(const std::string& sender = "a@example.org") {
        smtp_server::MailCommand command;
        if (!sender.empty()) {
            command.sender = mail::ReversePath(*mail::Mailbox::parse(sender, mail::Utf8::allowed));
        }
        mail_ = command;
        renew();
        return run(screen_->mail(session_, command));
    }
    std::string rcpt(const std::string& recipient = "u@example.com") {
        const smtp_server::RcptCommand command{*mail::Mailbox::parse(recipient, mail::Utf8::refused), false, {}};
        return run(screen_->rcpt(session_, command));
    }
    std::string come_again(const std::string& recipient = "u@example.com") {
        const smtp_server::RcptCommand command{*mail::Mailbox::parse(recipient, mail::Utf8::refused), false, {}};
        return code_of(screen_->come_again(session_, mail_, command));
    }
    std::string run(asio::awaitable<Refusal> question) {
        Refusal refusal;
        asio::io_context context(1);
        asio::co_spawn(context, std::move(question), [&](const std::exception_ptr& problem, Refusal answer) {
            ASSERT_FALSE(problem);
            refusal = std::move(answer);
        });
        context.run();
        said_ = refusal ? refusal->to_string() : "";
        return code_of(refusal);
    }
    static std::string code_of(const Refusal& refusal) {
        return refusal ? std::to_string(refusal->code()) + ' ' + refusal->status()->to_string() : "";
    }
    void renew() { screen_.emplace(resolver_, greylist_, std::make_shared<const Rules>(rules_)); }

    dns::tests::ScriptedResolver resolver_;
    StoppedClock clock_;
    Greylist greylist_{std::filesystem::temp_directory_path() / "postern-no-such-folder" / "x", clock_,
                       [](const std::string&) {}};
    Rules rules_;
    smtp_server::SessionInfo session_;
    smtp_server::MailCommand mail_;
    std::optional<Screen> screen_;
    std::string said_;
};

class SenderDomain : public ScreenTest {
protected:
    SenderDomain() { rules_.sender_domains = true; }
};

TEST_F(SenderDomain, MustExistAndTakeMail) {
    resolver_.answer("address.example", RecordType::mx, Status::no_data);
    resolver_.answer("address.example", RecordType::a, Status::no_data);
    resolver_.found("address.example", RecordType::aaaa, {Address{"2001:db8::1"}});
    resolver_.answer("empty.example", RecordType::mx, Status::no_data);
    resolver_.answer("empty.example", RecordType::a, Status::no_data);
    resolver_.answer("empty.example", RecordType::aaaa, Status::no_data);
    resolver_.found("null.example", RecordType::mx, {MailExchanger{0, {""}}});
    resolver_.found("odd.example", RecordType::mx, {MailExchanger{0, {""}}, MailExchanger{5, {"mx.odd.example"}}});
    EXPECT_EQ(mail("a@EXAMPLE.org"), "");
    EXPECT_EQ(mail("a@address.example"), "");
    EXPECT_EQ(mail("a@odd.example"), "") << "not a null MX: it is not the only one";
    EXPECT_EQ(mail("a@none.example"), "550 5.1.8");
    EXPECT_EQ(mail("a@empty.example"), "550 5.1.8");
    EXPECT_EQ(mail("a@null.example"), "550 5.7.27");
    EXPECT_EQ(mail("a@none.example"), "550 5.1.8") << "each message has its own";
    EXPECT_EQ(mail(""), "");
    EXPECT_EQ(mail("a@[192.0.2.1]"), "");
    EXPECT_EQ(mail("a@b\xc3\xbc.example"), "550 5.1.8") << "asked for as xn--b-eha.example, which is not there";
    resolver_.found("xn--b-eha.example", RecordType::mx, {MailExchanger{10, {"mail.example.org"}}});
    EXPECT_EQ(mail("a@b\xc3\xbc.example"), "");
    EXPECT_EQ(mail("a@\xe2\x80\x8b.example"), "") << "not asked for: it is no name of the DNS";
}

TEST_F(SenderDomain, IsNotRefusedForWantOfAnAnswer) {
    for (const Status status : {Status::failed, Status::bogus}) {
        resolver_.answer("slow.example", RecordType::mx, status);
        EXPECT_EQ(mail("a@slow.example"), "");
        resolver_.answer("slow2.example", RecordType::mx, Status::no_data);
        resolver_.answer("slow2.example", RecordType::a, status);
        EXPECT_EQ(mail("a@slow2.example"), "");
    }
}

TEST_F(SenderDomain, IsNotAskedForOfWhoIsTrustedOrOfThisMachine) {
    session_.trusted = true;
    EXPECT_EQ(mail("a@none.example"), "");
    session_.trusted = false;
    for (const char* address : {"127.0.0.1", "127.0.0.9", "::1", ""}) {
        session_.client_address = address;
        EXPECT_EQ(mail("a@none.example"), "") << address;
    }
    EXPECT_THAT(resolver_.asked, testing::IsEmpty());
}

class ClientName : public ScreenTest {
protected:
    ClientName() { rules_.reverse_names = true; }
    std::string name_of(const std::string& address) {
        session_.client_address = address;
        session_.client_name.clear();
        session_.notes.reset();
        EXPECT_EQ(mail(), "");
        return session_.client_name;
    }
};

TEST_F(ClientName, CountsWhenItLeadsBack) {
    resolver_.found("7.2.0.192.in-addr.arpa", RecordType::ptr,
                    {DomainName{"liar.example"}, DomainName{"not a host"}, DomainName{"mail.example.org"}});
    resolver_.found("liar.example", RecordType::a, {Address{"198.51.100.1"}});
    resolver_.found("mail.example.org", RecordType::a, {Address{"192.0.2.6"}, Address{"192.0.2.7"}});
    EXPECT_EQ(name_of("192.0.2.7"), "mail.example.org");
    resolver_.found("8.2.0.192.in-addr.arpa", RecordType::ptr, {DomainName{"liar.example"}});
    EXPECT_EQ(name_of("192.0.2.8"), "");
    EXPECT_EQ(name_of("192.0.2.9"), "");
    resolver_.found("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", RecordType::ptr,
                    {DomainName{"six.example.org"}});
    resolver_.found("six.example.org", RecordType::aaaa, {Address{"2001:db8::1"}});
    EXPECT_EQ(name_of("2001:db8::1"), "six.example.org");
}

TEST_F(ClientName, IsAskedForOnceASession) {
    EXPECT_EQ(name_of("192.0.2.9"), "");
    const std::size_t asked = resolver_.asked.size();
    EXPECT_EQ(mail(), "");
    EXPECT_EQ(resolver_.asked.size(), asked);
}

TEST_F(ClientName, OfWhichNothingIsKnownMakesNobodySuspicious) {
    rules_.greylist.suspicious = true;
    resolver_.answer("9.2.0.192.in-addr.arpa", RecordType::ptr, Status::failed);
    EXPECT_EQ(name_of("192.0.2.9"), "");
    EXPECT_EQ(come_again(), "");
    resolver_.found("10.2.0.192.in-addr.arpa", RecordType::ptr, {DomainName{"slow.example"}});
    resolver_.answer("slow.example", RecordType::a, Status::failed);
    EXPECT_EQ(name_of("192.0.2.10"), "");
    EXPECT_EQ(come_again(), "");
    EXPECT_EQ(name_of("192.0.2.11"), "");
    EXPECT_EQ(come_again(), "450 4.7.1") << "that one has none";
    EXPECT_EQ(come_again("Postmaster@example.com"), "");
    EXPECT_EQ(name_of("192.0.2.12"), "");
    rules_.greylist.suspicious = false;
    renew();
    EXPECT_EQ(come_again(), "");
}

class Lists : public ScreenTest {
protected:
    Lists() {
        rules_.block = {{"bad.example", 6, {}}, {"worse.example", 7, {"127.0.0.4"}}};
        rules_.allow = {{"good.example", 5, {}}};
    }
    void listed(const std::string& zone, const std::string& code) {
        resolver_.found("7.2.0.192." + zone, RecordType::a, {Address{code}});
    }
    /// The answer to RCPT in a session of its own.
    std::string verdict() {
        session_.notes.reset();
        EXPECT_EQ(mail(), "");
        return rcpt();
    }
};

TEST_F(Lists, RefuseFromTheThresholdOn) {
    EXPECT_EQ(verdict(), "");
    listed("bad.example", "127.0.0.2");
    EXPECT_EQ(verdict(), "") << "6 of 10";
    listed("worse.example", "127.0.0.2");
    EXPECT_EQ(verdict(), "") << "a code that does not count";
    listed("worse.example", "127.0.0.4");
    resolver_.found("7.2.0.192.worse.example", RecordType::txt,
                    {Text{"see http://worse.example/?192.0.2.7\r\n250 no"}});
    EXPECT_EQ(verdict(), "554 5.7.1");
    EXPECT_EQ(said_, "554 5.7.1 [192.0.2.7] is listed at worse.example: see http://worse.example/?192.0.2.7??250 no");
    EXPECT_EQ(rcpt("postmaster@example.com"), "") << "who is to hear of it";
    listed("good.example", "127.0.0.2");
    EXPECT_EQ(verdict(), "") << "somebody speaks for it";
}

TEST_F(Lists, AreNotBelievedOutsideTheirNetworkOrWhenTheyRefuseToAnswer) {
    rules_.refuse_at = 1;
    for (const char* code : {"192.0.2.1", "127.0.0.1", "127.255.255.254", "10.0.0.1"}) {
        listed("bad.example", code);
        EXPECT_EQ(verdict(), "") << code;
    }
    resolver_.answer("7.2.0.192.bad.example", RecordType::a, Status::failed);
    EXPECT_EQ(verdict(), "");
    listed("bad.example", "127.0.0.10");
    EXPECT_EQ(verdict(), "554 5.7.1");
    EXPECT_EQ(said_, "554 5.7.1 [192.0.2.7] is listed at bad.example");
}

TEST_F(Lists, CostNoMailForGoodWhenOneThatMaySpeakForItIsSilent) {
    rules_.refuse_at = 5;
    listed("bad.example", "127.0.0.2");
    for (const Status status : {Status::failed, Status::bogus}) {
        resolver_.answer("7.2.0.192.good.example", RecordType::a, status);
        EXPECT_EQ(verdict(), "451 4.7.1");
    }
    listed("worse.example", "127.0.0.4");
    EXPECT_EQ(verdict(), "554 5.7.1") << "13, and it would take 5";
}

TEST_F(Lists, AreNotBelievedWhenTheyListTheWorld) {
    rules_.refuse_at = 1;
    listed("bad.example", "127.0.0.2");
    resolver_.found("1.0.0.127.bad.example", RecordType::a, {Address{"127.0.0.2"}});
    EXPECT_EQ(verdict(), "");
    resolver_.answer("1.0.0.127.bad.example", RecordType::a, Status::failed);
    EXPECT_EQ(verdict(), "554 5.7.1");
}

TEST_F(Lists, MakeSuspiciousBelowTheThreshold) {
    rules_.greylist.suspicious = true;
    rules_.suspect_at = 5;
    EXPECT_EQ(verdict(), "");
    EXPECT_EQ(come_again(), "");
    listed("bad.example", "127.0.0.2");
    EXPECT_EQ(verdict(), "");
    EXPECT_EQ(come_again(), "450 4.7.1");
}

}  // namespace
}  // namespace postern::screening
