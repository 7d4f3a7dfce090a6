#include "gateway/delivery/balance.hpp"

namespace postern::delivery {

namespace {

constexpr std::uint64_t fnv_offset = 0xCBF29CE484222325ULL;
constexpr std::uint64_t fnv_prime = 0x100000001B3ULL;

std::uint64_t fnv(std::uint64_t hash, std::string_view text) {
    for (const char c : text) {
        hash = (hash ^ static_cast<unsigned char>(c)) * fnv_prime;
    }
    return hash;
}

/// The finish of splitmix64: spreads what FNV leaves alike.
std::uint64_t mixed(std::uint64_t value) {
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9ULL;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBULL;
    return value ^ (value >> 31);
}

}  // namespace

std::uint64_t sticky_weight(std::uint64_t recipient, std::string_view endpoint) {
    return mixed(fnv(recipient, endpoint));
}

std::uint64_t sticky_key(const mail::Mailbox& recipient) {
    return mixed(fnv(fnv(fnv(fnv_offset, recipient.local_part()), "@"), recipient.domain_key()));
}

}  // namespace postern::delivery
