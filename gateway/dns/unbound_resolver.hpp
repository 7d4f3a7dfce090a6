// The resolver over libunbound: asks the servers that it is given (or finds itself), validates with DNSSEC, keeps a
// cache of at most some 24 MiB. A thread of libunbound's own works, another here brings its answers back.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "gateway/dns/resolver.hpp"
#include "queue/mail/result.hpp"

namespace postern::dns {

struct UnboundOptions {
    /// "ADDRESS" or "ADDRESS@PORT" of recursive servers that pass DNSSEC records on. Empty: those of `resolv_conf`; if
    /// it names none, the root servers and on from there.
    std::vector<std::string> servers;
    std::filesystem::path resolv_conf = "/etc/resolv.conf";
    /// DS or DNSKEY records, read now. Empty: nothing is validated, and nothing is secure.
    std::filesystem::path trust_anchor;
    std::chrono::milliseconds timeout = std::chrono::seconds(5);  ///< for each lookup
    std::size_t lookups_max = 1000;                               ///< at once; what is more fails
};

/// The error says what is wrong with the options. Reads its files now and none later.
[[nodiscard]] Result<std::unique_ptr<Resolver>, std::string> make_unbound_resolver(const UnboundOptions& options);

}  // namespace postern::dns
