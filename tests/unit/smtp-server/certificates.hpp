// Certificates made for a test, signed by themselves, in a folder that goes away with it.
#pragma once

#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "smtp-server/detail/openssl.hpp"
#include "smtp-server/tls.hpp"

namespace postern::smtp_server {

class CertificateFolder {
public:
    CertificateFolder() {
        std::string pattern = std::filesystem::temp_directory_path() / "postern-certificates-XXXXXX";
        path_ = ::mkdtemp(pattern.data());
    }
    ~CertificateFolder() { std::filesystem::remove_all(path_); }
    CertificateFolder(const CertificateFolder&) = delete;
    CertificateFolder& operator=(const CertificateFolder&) = delete;

    enum class Kind { rsa, ecdsa };

    /// FILE.pem and FILE.key, for these names.
    KeyPair make(const std::string& file, Kind kind, const std::vector<std::string>& names) const {
        const detail::KeyPtr key(kind == Kind::rsa ? ::EVP_RSA_gen(2048) : ::EVP_EC_gen("P-256"));
        const detail::X509Ptr certificate(::X509_new());
        ::X509_set_version(certificate.get(), 2);
        ::ASN1_INTEGER_set(::X509_get_serialNumber(certificate.get()), 1);
        ::X509_gmtime_adj(::X509_getm_notBefore(certificate.get()), -3600);
        ::X509_gmtime_adj(::X509_getm_notAfter(certificate.get()), 86400L * 30);
        ::X509_set_pubkey(certificate.get(), key.get());
        X509_NAME* const subject = ::X509_get_subject_name(certificate.get());
        ::X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(file.c_str()),
                                     -1, -1, 0);
        ::X509_set_issuer_name(certificate.get(), subject);
        std::string alternatives;
        for (const std::string& name : names) {
            alternatives += (alternatives.empty() ? "DNS:" : ",DNS:") + name;
        }
        if (!alternatives.empty()) {
            X509_EXTENSION* const extension =
                ::X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, alternatives.c_str());
            ::X509_add_ext(certificate.get(), extension, -1);
            ::X509_EXTENSION_free(extension);
        }
        EXPECT_GT(::X509_sign(certificate.get(), key.get(), ::EVP_sha256()), 0);
        const KeyPair pair(path_ / (file + ".pem"), path_ / (file + ".key"));
        const detail::BioPtr certificate_file(::BIO_new_file(pair.certificate.c_str(), "w"));
        EXPECT_EQ(::PEM_write_bio_X509(certificate_file.get(), certificate.get()), 1);
        const detail::BioPtr key_file(::BIO_new_file(pair.key.c_str(), "w"));
        EXPECT_EQ(::PEM_write_bio_PrivateKey(key_file.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr), 1);
        return pair;
    }
    std::string write(const std::string& file, const std::string& content) const {
        std::ofstream(path_ / file, std::ios::binary) << content;
        return path_ / file;
    }
    [[nodiscard]] std::string file(const std::string& name) const { return path_ / name; }

private:
    std::filesystem::path path_;
};

inline TlsOptions tls_options(std::vector<KeyPair> pairs, const std::string& service = "test") {
    TlsOptions options;
    options.pairs = std::move(pairs);
    options.service = service;
    options.tickets = std::make_shared<TicketKeys>();
    return options;
}

}  // namespace postern::smtp_server
