// What may be said when, without a session: every command in every state.
#include "smtp-server/detail/dialogue.hpp"

#include <gtest/gtest.h>

#include <optional>

#include "tests/unit/smtp-server/certificates.hpp"

namespace postern::smtp_server::detail {
namespace {

/// What is decided, in a word: the code of a reply, or what the session has to do.
std::string word_of(const Step& step) {
    if (const auto* say = std::get_if<Say>(&step)) {
        return std::to_string(say->reply.code()) + (say->close ? " close" : "");
    }
    if (const auto* discard = std::get_if<DiscardChunk>(&step)) {
        return "discard " + std::to_string(discard->reply.code());
    }
    if (std::holds_alternative<AskMail>(step)) {
        return "ask mail";
    }
    if (std::holds_alternative<AskRcpt>(step)) {
        return "ask rcpt";
    }
    if (std::holds_alternative<ReceiveData>(step)) {
        return "data";
    }
    if (std::holds_alternative<ReceiveChunk>(step)) {
        return "chunk";
    }
    return "encrypt";
}

class DialogueTest : public testing::Test {
protected:
    DialogueTest() { options_.hostname = "mx.example.com"; }

    static MailCommand mail() { return {}; }
    static RcptCommand rcpt() {
        RcptCommand command{*mail::Mailbox::parse("u@example.com", mail::Utf8::refused), false, {}};
        return command;
    }
    std::string decide(const Command& command) { return word_of(dialogue_->decide(command)); }
    /// Brings the dialogue on: "greeted", "mail", "rcpt", "chunks".
    void advance_to(const std::string& state) {
        dialogue_.emplace(options_);
        if (state == "new") {
            return;
        }
        (void)decide(Ehlo{"c"});
        if (state == "greeted") {
            return;
        }
        dialogue_->mail_accepted(mail());
        if (state == "mail") {
            return;
        }
        dialogue_->rcpt_accepted(rcpt());
        if (state == "chunks") {
            dialogue_->chunks_begin();
        }
    }
    /// The words for MAIL, RCPT, DATA, BDAT, STARTTLS in a state.
    std::vector<std::string> words_in(const std::string& state) {
        std::vector<std::string> words;
        for (const Command& command :
             {Command(mail()), Command(rcpt()), Command(Data{}), Command(Bdat{1, true}), Command(StartTls{})}) {
            advance_to(state);
            words.push_back(decide(command));
        }
        return words;
    }
    void offer_tls(TlsUse use) {
        const auto loaded = TlsContext::load(tls_options({folder_.make("mx", CertificateFolder::Kind::ecdsa, {})}));
        ASSERT_TRUE(loaded.has_value());
        options_.tls = *loaded;
        options_.tls_use = use;
    }

    using Words = std::vector<std::string>;
    CertificateFolder folder_;
    SessionOptions options_;
    std::optional<Dialogue> dialogue_{std::in_place, options_};
};

// Shows: RFC 5321 section 4.1.4, RFC 3030 section 2
TEST_F(DialogueTest, EachStateTakesWhatBelongsToIt) {
    EXPECT_EQ(words_in("new"), (Words{"503", "503", "503", "discard 503", "502"}));
    EXPECT_EQ(words_in("greeted"), (Words{"ask mail", "503", "503", "discard 503", "502"}));
    EXPECT_EQ(words_in("mail"), (Words{"503", "ask rcpt", "503", "discard 503", "502"}));
    EXPECT_EQ(words_in("rcpt"), (Words{"503", "ask rcpt", "data", "chunk", "502"}));
    EXPECT_EQ(words_in("chunks"), (Words{"503", "503", "503", "chunk", "502"}));
}

TEST_F(DialogueTest, QuestionsAreAnsweredInEveryStateAndChangeNothing) {
    for (const std::string state : {"new", "greeted", "mail", "rcpt", "chunks"}) {
        advance_to(state);
        EXPECT_EQ(decide(Noop{}), "250") << state;
        EXPECT_EQ(decide(Vrfy{"u"}), "252") << state;
        EXPECT_EQ(decide(Expn{"l"}), "502") << state;
        EXPECT_EQ(decide(Help{}), "214") << state;
        EXPECT_EQ(decide(Quit{}), "221 close") << state;
        EXPECT_EQ(dialogue_->in_chunks(), state == "chunks") << state;
        EXPECT_EQ(dialogue_->recipients().size(), state == "rcpt" || state == "chunks" ? 1U : 0U) << state;
    }
}

TEST_F(DialogueTest, EveryGreetingAndRsetEndTheTransaction) {
    for (const Command& command : {Command(Ehlo{"c"}), Command(Helo{"c"}), Command(Lhlo{"c"}), Command(Rset{})}) {
        for (const std::string state : {"mail", "rcpt", "chunks"}) {
            advance_to(state);
            EXPECT_EQ(decide(command), "250");
            EXPECT_FALSE(dialogue_->in_chunks());
            EXPECT_EQ(decide(rcpt()), "503");
            EXPECT_EQ(decide(mail()), "ask mail");
        }
    }
}

TEST_F(DialogueTest, SizeAndRecipientsAreBounded) {
    options_.limits.message_size = 1000;
    options_.limits.recipients_per_message = 2;
    advance_to("greeted");
    MailCommand large;
    large.size = 1001;
    EXPECT_EQ(decide(large), "552");
    advance_to("rcpt");
    EXPECT_EQ(decide(rcpt()), "ask rcpt");
    dialogue_->rcpt_accepted(rcpt());
    EXPECT_EQ(decide(rcpt()), "452");
    EXPECT_EQ(decide(Data{}), "data");
}

// Shows: RFC 3207 section 4
TEST_F(DialogueTest, StarttlsIsTakenBetweenTransactionsAndInThem) {
    offer_tls(TlsUse::offered);
    EXPECT_EQ(words_in("new").back(), "encrypt");
    EXPECT_EQ(words_in("greeted").back(), "encrypt");
    EXPECT_EQ(words_in("rcpt").back(), "encrypt");
    EXPECT_EQ(words_in("chunks").back(), "503");
}

// Shows: RFC 3207 section 4.2
TEST_F(DialogueTest, TheHandshakeForgetsAll) {
    offer_tls(TlsUse::offered);
    advance_to("rcpt");
    dialogue_->tls_begun();
    EXPECT_TRUE(dialogue_->helo().empty());
    EXPECT_FALSE(dialogue_->extended());
    EXPECT_EQ(decide(mail()), "503");
    EXPECT_EQ(decide(Data{}), "503");
    EXPECT_EQ(decide(StartTls{}), "503");
    const Step step = dialogue_->decide(Ehlo{"c"});
    EXPECT_EQ(std::get<Say>(step).reply.text().find("STARTTLS"), std::string::npos);
}

TEST_F(DialogueTest, IsOfferedBeforeTheHandshake) {
    const auto offers = [this] {
        const Step step = dialogue_->decide(Ehlo{"c"});
        return std::get<Say>(step).reply.text().find("STARTTLS") != std::string::npos;
    };
    EXPECT_FALSE(offers());
    offer_tls(TlsUse::offered);
    EXPECT_TRUE(offers());
}

TEST_F(DialogueTest, RequiredTakesOnlyWhatLeadsToTls) {
    offer_tls(TlsUse::required);
    advance_to("greeted");
    for (const Command& command : {Command(mail()), Command(rcpt()), Command(Data{}), Command(Rset{}),
                                   Command(Vrfy{"u"}), Command(Expn{"l"}), Command(Help{})}) {
        EXPECT_EQ(decide(command), "530");
    }
    EXPECT_EQ(decide(Bdat{5, true}), "discard 530");
    EXPECT_EQ(decide(Noop{}), "250");
    EXPECT_EQ(decide(StartTls{}), "encrypt");
    EXPECT_EQ(decide(Quit{}), "221 close");
    dialogue_->tls_begun();
    EXPECT_EQ(decide(Ehlo{"c"}), "250");
    EXPECT_EQ(decide(mail()), "ask mail");
}

}  // namespace
}  // namespace postern::smtp_server::detail
