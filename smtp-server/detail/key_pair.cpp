#include "smtp-server/detail/key_pair.hpp"

#include <openssl/pem.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <system_error>

namespace postern::smtp_server::detail {

namespace {

constexpr std::size_t file_octets_max = 1 << 20;

struct Failure {
    std::string text;
    Failure() = default;
    Failure(const std::string& file, const std::string& what) : text(file + ": " + what) {}
};

Result<std::string, Failure> read_file(const std::string& file) {
    const std::unique_ptr<std::FILE, FreedBy<std::fclose>> stream(std::fopen(file.c_str(), "rbe"));
    if (!stream) {
        const int code = errno;
        std::string text = "cannot be read: " + std::generic_category().message(code);
        if (code == EACCES) {
            text += "; give the gateway's user the right to read it";
        }
        return Failure(file, text);
    }
    std::string content(file_octets_max, '\0');
    const std::size_t count = std::fread(content.data(), 1, content.size(), stream.get());
    if (std::ferror(stream.get()) != 0 || count == content.size()) {
        return Failure(file, count == content.size() ? "is too large for a PEM file" : "cannot be read");
    }
    content.resize(count);
    return content;
}

BioPtr memory_of(const std::string& content) {
    return BioPtr(::BIO_new_mem_buf(content.data(), static_cast<int>(content.size())));
}

/// A passphrase would have to be typed at each start; nobody is there to.
int no_passphrase(char*, int, int, void* asked) {
    *static_cast<bool*>(asked) = true;
    return -1;
}

std::string lower(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return text;
}

/// What holds a NUL or a control character is no name (CVE-2009-2408).
void add_name(std::vector<std::string>& names, const unsigned char* data, int length) {
    if (data == nullptr || length <= 0) {
        return;
    }
    std::string name = lower(std::string(reinterpret_cast<const char*>(data), static_cast<std::size_t>(length)));
    const bool plain = std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c <= '~'; });
    if (plain && std::find(names.begin(), names.end(), name) == names.end()) {
        names.push_back(std::move(name));
    }
}

/// RFC 6125: the subject's alternative names, and the common name only where there are none.
std::vector<std::string> names_of(X509* certificate) {
    std::vector<std::string> names;
    const NamesPtr alternatives(
        static_cast<GENERAL_NAMES*>(::X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
    for (int i = 0; alternatives && i < sk_GENERAL_NAME_num(alternatives.get()); ++i) {
        const GENERAL_NAME* const name = sk_GENERAL_NAME_value(alternatives.get(), i);
        if (name->type == GEN_DNS) {
            add_name(names, ::ASN1_STRING_get0_data(name->d.dNSName), ::ASN1_STRING_length(name->d.dNSName));
        }
    }
    X509_NAME* const subject = ::X509_get_subject_name(certificate);
    const int at = names.empty() ? ::X509_NAME_get_index_by_NID(subject, NID_commonName, -1) : -1;
    if (at >= 0) {
        const ASN1_STRING* const common = ::X509_NAME_ENTRY_get_data(::X509_NAME_get_entry(subject, at));
        add_name(names, ::ASN1_STRING_get0_data(common), ::ASN1_STRING_length(common));
    }
    return names;
}

std::chrono::system_clock::time_point time_of(const ASN1_TIME* time) {
    std::tm broken{};
    if (::ASN1_TIME_to_tm(time, &broken) != 1) {
        return {};
    }
    return std::chrono::system_clock::from_time_t(::timegm(&broken));
}

std::string kind_of(EVP_PKEY* key) {
    if (::EVP_PKEY_get_base_id(key) == EVP_PKEY_EC) {
        std::string group(80, '\0');
        std::size_t length = 0;
        if (::EVP_PKEY_get_group_name(key, group.data(), group.size(), &length) == 1) {
            group.resize(length);
            return "ECDSA " + (group == "prime256v1" ? "P-256" : group == "secp384r1" ? "P-384" : group);
        }
        return "ECDSA";
    }
    const char* const name = ::EVP_PKEY_get0_type_name(key);
    return (name != nullptr ? name : "unknown") + (' ' + std::to_string(::EVP_PKEY_get_bits(key)));
}

Result<std::pair<X509Ptr, ChainPtr>, Failure> read_chain(const std::string& file) {
    auto content = read_file(file);
    if (content.has_error()) {
        return content.error();
    }
    const BioPtr bio = memory_of(*content);
    X509Ptr own(::PEM_read_bio_X509_AUX(bio.get(), nullptr, nullptr, nullptr));
    if (!own) {
        (void)openssl_error();
        return Failure(file, "holds no certificate in PEM (-----BEGIN CERTIFICATE-----)");
    }
    ChainPtr chain(sk_X509_new_null());
    while (X509* const next = ::PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
        if (sk_X509_push(chain.get(), next) == 0) {
            ::X509_free(next);
            return Failure(file, "out of memory");
        }
    }
    const bool at_end = ERR_GET_REASON(::ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    if (!at_end) {
        return Failure(file, "the chain behind the first certificate is damaged: " + openssl_error());
    }
    ::ERR_clear_error();
    return std::pair(std::move(own), std::move(chain));
}

Result<KeyPtr, Failure> read_key(const std::string& file) {
    auto content = read_file(file);
    if (content.has_error()) {
        return content.error();
    }
    bool asked = false;
    KeyPtr key(::PEM_read_bio_PrivateKey(memory_of(*content).get(), nullptr, no_passphrase, &asked));
    ::OPENSSL_cleanse(content->data(), content->size());
    if (!key) {
        (void)openssl_error();
        return Failure(file, asked ? "the key is protected by a passphrase; take it off (openssl pkey)"
                                   : "holds no private key in PEM");
    }
    return key;
}

}  // namespace

Result<LoadedPair, std::string> load_pair(const KeyPair& files) {
    ::ERR_clear_error();
    auto chain = read_chain(files.certificate);
    if (chain.has_error()) {
        return chain.error().text;
    }
    auto key = read_key(files.key);
    if (key.has_error()) {
        return key.error().text;
    }
    LoadedPair pair;
    pair.certificate = std::move(chain->first);
    pair.chain = std::move(chain->second);
    pair.key = std::move(*key);
    if (::X509_check_private_key(pair.certificate.get(), pair.key.get()) != 1) {
        ::ERR_clear_error();
        return files.key + ": is not the key of the first certificate in " + files.certificate +
               "; the server's own certificate comes first in the file, the issuers behind it";
    }
    pair.key_kind = ::EVP_PKEY_get_base_id(pair.key.get());
    pair.facts.file = files.certificate;
    pair.facts.key_kind = kind_of(pair.key.get());
    pair.facts.names = names_of(pair.certificate.get());
    pair.facts.not_before = time_of(::X509_get0_notBefore(pair.certificate.get()));
    pair.facts.not_after = time_of(::X509_get0_notAfter(pair.certificate.get()));
    return pair;
}

}  // namespace postern::smtp_server::detail
