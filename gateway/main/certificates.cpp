#include "gateway/main/certificates.hpp"

#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace postern::gateway {

namespace {

queue::Instant instant(std::chrono::system_clock::time_point time) {
    return std::chrono::floor<std::chrono::milliseconds>(time);
}

/// Whole days until `end`; negative once it has passed.
std::int64_t days_until(queue::Instant end, queue::Instant now) {
    return std::chrono::floor<std::chrono::days>(end - now).count();
}

std::string joined(const std::vector<std::string>& names) {
    std::string text;
    for (const std::string& name : names) {
        text += (text.empty() ? "" : ",") + name;
    }
    return text;
}

}  // namespace

std::vector<std::filesystem::path> certificate_files(const config::Config& config) {
    std::vector<std::filesystem::path> files;
    for (const config::Listener& listener : config.listeners) {
        if (!listener.tls) {
            continue;
        }
        for (const config::Tls::Pair& pair : listener.tls->pairs) {
            files.push_back(pair.certificate);
            files.push_back(pair.key);
        }
    }
    return files;
}

Certificates::Certificates(log::Log& log, const queue::Clock& clock)
    : log_(log),
      clock_(clock),
      tickets_(std::make_shared<smtp_server::TicketKeys>([&clock] { return clock.steady(); })) {}

Result<TlsContexts, std::string> Certificates::read(const config::Config& config) const {
    TlsContexts contexts;
    for (const config::Listener& listener : config.listeners) {
        auto& context = contexts.emplace_back();
        if (!listener.tls) {
            continue;
        }
        smtp_server::TlsOptions options;
        for (const config::Tls::Pair& pair : listener.tls->pairs) {
            options.pairs.emplace_back(pair.certificate.native(), pair.key.native());
        }
        options.service = listener.address.to_string();
        options.ask_client_certificate = listener.tls->ask_client_certificate;
        options.tickets = tickets_;
        auto loaded = smtp_server::TlsContext::load(options);
        if (loaded.has_error()) {
            return "tls of listener " + listener.address.to_string() + ": " + loaded.error();
        }
        context = std::move(*loaded);
    }
    return contexts;
}

void Certificates::use(const config::Config& config, const TlsContexts& contexts) {
    std::vector<InUse> in_use;
    for (std::size_t i = 0; i < contexts.size(); ++i) {
        if (!contexts[i]) {
            continue;
        }
        const std::string listener = config.listeners[i].address.to_string();
        for (const smtp_server::CertificateFacts& facts : contexts[i]->certificates()) {
            log_.info("certificate", {{"listener", listener},
                                      {"file", facts.file},
                                      {"key", facts.key_kind},
                                      {"names", joined(facts.names)},
                                      {"not_after", queue::to_rfc3339(instant(facts.not_after))}});
            in_use.push_back({listener, facts});
        }
    }
    const std::lock_guard lock(mutex_);
    in_use_ = std::move(in_use);
    warned_.clear();
}

std::vector<control::CertificateStatus> Certificates::status() const {
    const queue::Instant now = clock_.wall();
    const std::lock_guard lock(mutex_);
    std::vector<control::CertificateStatus> all;
    for (const InUse& each : in_use_) {
        control::CertificateStatus& status = all.emplace_back();
        status.listener = each.listener;
        status.file = each.facts.file;
        status.key = each.facts.key_kind;
        status.names = each.facts.names;
        status.not_after = instant(each.facts.not_after);
        status.days_left = days_until(status.not_after, now);
    }
    return all;
}

void Certificates::warn_of_the_end() {
    for (const control::CertificateStatus& each : status()) {
        if (each.days_left >= warning_time.count()) {
            continue;
        }
        {
            const std::lock_guard lock(mutex_);
            const auto [last, is_new] = warned_.emplace(each.file, each.days_left);
            if (!is_new && last->second == each.days_left) {
                continue;
            }
            last->second = each.days_left;
        }
        const bool ended = each.days_left < 0;
        log_.write(ended ? log::Level::error : log::Level::warn, ended ? "certificate_expired" : "certificate_expires",
                   {{"file", each.file},
                    {"not_after", queue::to_rfc3339(each.not_after)},
                    {"days", each.days_left},
                    {"text", "put a new one into the same files: it is taken up without a restart"}});
    }
}

void Certificates::warn_of_unreadable(const config::Config& config) {
    for (const auto& file : certificate_files(config)) {
        if (::access(file.c_str(), R_OK) != 0) {
            log_.warn("certificate_unreadable",
                      {{"file", file.native()},
                       {"error", std::generic_category().message(errno)},
                       {"text",
                        "read as root at the start; a new one is not taken up before the next start, unless the "
                        "gateway's user may read it"}});
        }
    }
}

}  // namespace postern::gateway
