#include "gateway/recipients/ability_board.hpp"

#include <algorithm>
#include <utility>

namespace postern::recipients {

namespace {

/// A store that has learned something new is believed at its next LHLO, and after this at the latest, also when all
/// mail for it was being refused.
constexpr std::chrono::minutes believed_for{10};

}  // namespace

void AbilityBoard::reconfigure(const std::map<std::string, std::vector<lmtp_client::Endpoint>>& backends) {
    std::map<std::string, std::vector<Told>> fresh;
    const std::lock_guard lock(mutex_);
    for (const auto& [name, endpoints] : backends) {
        const auto before = backends_.find(name);
        for (const lmtp_client::Endpoint& endpoint : endpoints) {
            Told& told = fresh[name].emplace_back();
            told.endpoint = endpoint;
            if (before == backends_.end()) {
                continue;
            }
            const auto same = std::find_if(before->second.begin(), before->second.end(),
                                           [&](const Told& old) { return old.endpoint == endpoint; });
            if (same != before->second.end()) {
                told = *same;
            }
        }
    }
    backends_ = std::move(fresh);
}

void AbilityBoard::learned(const std::string& backend, const lmtp_client::Endpoint& endpoint,
                           const Abilities& abilities, queue::SteadyInstant now) {
    const std::lock_guard lock(mutex_);
    const auto found = backends_.find(backend);
    if (found == backends_.end()) {
        return;
    }
    for (Told& told : found->second) {
        if (told.endpoint == endpoint) {
            told.abilities = abilities;
            told.at = now;
        }
    }
}

std::optional<Abilities> AbilityBoard::of(const std::string& backend, queue::SteadyInstant now) const {
    const std::lock_guard lock(mutex_);
    const auto found = backends_.find(backend);
    if (found == backends_.end() || found->second.empty()) {
        return std::nullopt;
    }
    std::optional<Abilities> all;
    for (const Told& told : found->second) {
        if (!told.abilities || now - told.at > believed_for) {
            return std::nullopt;
        }
        if (!all) {
            all = told.abilities;
            continue;
        }
        all->smtputf8 = all->smtputf8 || told.abilities->smtputf8;
        all->eight_bit_mime = all->eight_bit_mime || told.abilities->eight_bit_mime;
        const bool unlimited = all->size_max == 0 || told.abilities->size_max == 0;
        all->size_max = unlimited ? 0 : std::max(all->size_max, told.abilities->size_max);
    }
    return all;
}

}  // namespace postern::recipients
