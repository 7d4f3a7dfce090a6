#include "smtp-server/ticket_keys.hpp"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <utility>

namespace postern::smtp_server {

TicketKey::~TicketKey() {
    ::OPENSSL_cleanse(cipher.data(), cipher.size());
    ::OPENSSL_cleanse(mac.data(), mac.size());
}

TicketKeys::TicketKeys(std::function<Instant()> now) : now_(std::move(now)) {}

std::optional<TicketKey> TicketKeys::current() {
    const std::lock_guard lock(mutex_);
    const Instant now = now_();
    forget_old(now);
    if (keys_.empty() || now - keys_.front().since >= rotation) {
        Aged fresh{{}, now};
        const auto fill = [](auto& octets) {
            return ::RAND_priv_bytes(octets.data(), static_cast<int>(octets.size())) == 1;
        };
        if (!fill(fresh.key.name) || !fill(fresh.key.cipher) || !fill(fresh.key.mac)) {
            return std::nullopt;
        }
        keys_.push_front(std::move(fresh));
    }
    return keys_.front().key;
}

std::optional<TicketKeys::Found> TicketKeys::find(const std::array<unsigned char, 16>& name) {
    const std::lock_guard lock(mutex_);
    const Instant now = now_();
    forget_old(now);
    for (const Aged& aged : keys_) {
        if (aged.key.name == name) {
            return Found{aged.key, &aged == &keys_.front() && now - aged.since < rotation};
        }
    }
    return std::nullopt;
}

void TicketKeys::forget_old(Instant now) {
    while (!keys_.empty() && now - keys_.back().since >= rotation + ticket_age_max) {
        keys_.pop_back();
    }
}

}  // namespace postern::smtp_server
