// Certificates and keys from files: what is taken, and what is said of what is not.
#include <gmock/gmock.h>

#include <iterator>

#include "tests/unit/smtp-server/certificates.hpp"

namespace postern::smtp_server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class TlsContextTest : public testing::Test {
protected:
    static std::string error_of(const KeyPair& pair) {
        const auto loaded = TlsContext::load(tls_options({pair}));
        return loaded.has_error() ? loaded.error() : "none";
    }
    static std::string content(const std::string& file) {
        std::ifstream in(file, std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    CertificateFolder folder_;
    KeyPair rsa_ = folder_.make("rsa", CertificateFolder::Kind::rsa, {"mx.example.com", "MX2.example.com"});
    KeyPair ecdsa_ = folder_.make("ecdsa", CertificateFolder::Kind::ecdsa, {"mx.example.com", "*.example.org"});
};

TEST_F(TlsContextTest, KnowsItsCertificates) {
    const auto loaded = TlsContext::load(tls_options({rsa_, ecdsa_}));
    ASSERT_TRUE(loaded.has_value()) << loaded.error();
    const auto& facts = (*loaded)->certificates();
    ASSERT_EQ(facts.size(), 2U);
    EXPECT_EQ(facts[0].file, rsa_.certificate);
    EXPECT_EQ(facts[0].key_kind, "RSA 2048");
    EXPECT_EQ(facts[1].key_kind, "ECDSA P-256");
    EXPECT_THAT(facts[0].names, ElementsAre("mx.example.com", "mx2.example.com"));
    EXPECT_GT(facts[0].not_after, std::chrono::system_clock::now() + std::chrono::hours(24 * 29));
    EXPECT_LT(facts[0].not_before, std::chrono::system_clock::now());
}

TEST_F(TlsContextTest, SaysWhichFileIsWrongAndWhy) {
    EXPECT_THAT(error_of({folder_.file("none.pem"), rsa_.key}), HasSubstr("none.pem: cannot be read: No such file"));
    EXPECT_THAT(error_of({rsa_.certificate, folder_.file("none.key")}), HasSubstr("none.key: cannot be read"));
    EXPECT_THAT(error_of({rsa_.certificate, ecdsa_.key}),
                HasSubstr("ecdsa.key: is not the key of the first certificate in"));
    EXPECT_THAT(error_of({rsa_.key, rsa_.key}), HasSubstr("holds no certificate in PEM"));
    EXPECT_THAT(error_of({rsa_.certificate, rsa_.certificate}), HasSubstr("holds no private key in PEM"));
    EXPECT_THAT(error_of({folder_.write("empty.pem", ""), rsa_.key}), HasSubstr("empty.pem: holds no certificate"));
    EXPECT_THAT(error_of({folder_.write("large.pem", std::string(2 << 20, 'x')), rsa_.key}), HasSubstr("too large"));
    const auto none = TlsContext::load(tls_options({}));
    EXPECT_TRUE(none.has_error());
}

// What a certificate client leaves behind when it is cut off.
TEST_F(TlsContextTest, RefusesAFileThatIsCutAnywhere) {
    const std::string whole = content(rsa_.certificate);
    for (std::size_t length = 0; length + 2 < whole.size(); length += 61) {
        EXPECT_NE(error_of({folder_.write("cut.pem", whole.substr(0, length)), rsa_.key}), "none") << length;
        EXPECT_NE(error_of({folder_.write("chain.pem", whole + whole.substr(0, length + 30)), rsa_.key}), "none")
            << length;
    }
    EXPECT_EQ(error_of({folder_.write("chain.pem", whole + content(ecdsa_.certificate)), rsa_.key}), "none");
    EXPECT_EQ(error_of({folder_.write("both.pem", content(rsa_.key) + whole), folder_.file("both.pem")}), "none");
}

TEST_F(TlsContextTest, NeverAsksForAPassphrase) {
    const detail::BioPtr in(::BIO_new_file(rsa_.key.c_str(), "r"));
    const detail::KeyPtr key(::PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr));
    const std::string file = folder_.file("sealed.key");
    {
        const detail::BioPtr out(::BIO_new_file(file.c_str(), "w"));
        std::string word = "secret";
        ASSERT_EQ(::PEM_write_bio_PrivateKey(out.get(), key.get(), ::EVP_aes_256_cbc(),
                                             reinterpret_cast<unsigned char*>(word.data()), 6, nullptr, nullptr),
                  1);
    }
    EXPECT_THAT(error_of({rsa_.certificate, file}), HasSubstr("sealed.key: the key is protected by a passphrase"));
}

}  // namespace
}  // namespace postern::smtp_server
