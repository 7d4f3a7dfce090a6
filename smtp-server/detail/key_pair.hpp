// A certificate with its chain and its key, read from PEM files and checked against each other.
#pragma once

#include <string>

#include "queue/mail/result.hpp"
#include "smtp-server/detail/openssl.hpp"
#include "smtp-server/tls.hpp"

namespace postern::smtp_server::detail {

struct LoadedPair {
    X509Ptr certificate;
    ChainPtr chain;
    KeyPtr key;
    int key_kind = 0;  ///< EVP_PKEY_RSA and the like
    CertificateFacts facts;
};

/// The error begins with the file's name.
[[nodiscard]] Result<LoadedPair, std::string> load_pair(const KeyPair& files);

}  // namespace postern::smtp_server::detail
