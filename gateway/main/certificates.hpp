// The certificates of all listeners: read at the start and by a reload, read again when their files change, and watched
// for the day on which they end.
//
// Threads: any, once constructed.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "gateway/config/config.hpp"
#include "gateway/control/live_gateway.hpp"
#include "gateway/log/log.hpp"
#include "queue/mail/result.hpp"
#include "queue/time.hpp"
#include "smtp-server/tls.hpp"

namespace postern::gateway {

/// One for each listener of the configuration; nullptr: it has no TLS.
using TlsContexts = std::vector<std::shared_ptr<const smtp_server::TlsContext>>;

/// Every file that `tls` names.
[[nodiscard]] std::vector<std::filesystem::path> certificate_files(const config::Config& config);

class Certificates {
public:
    /// Both outlive it.
    Certificates(log::Log& log, const queue::Clock& clock);

    /// Reads them. The error says which listener, which file and what to do; nothing has changed then.
    [[nodiscard]] Result<TlsContexts, std::string> read(const config::Config& config) const;
    /// `contexts` are in use from now on: logged, and what facts() tells.
    void use(const config::Config& config, const TlsContexts& contexts);

    [[nodiscard]] std::vector<control::CertificateStatus> status() const;
    /// Logs each certificate that ends within `warning_time`, or has ended: once a day.
    void warn_of_the_end();
    /// Logs the files that this process cannot read: it could not take up a new certificate.
    void warn_of_unreadable(const config::Config& config);

    static constexpr std::chrono::days warning_time{14};

private:
    struct InUse {
        std::string listener;
        smtp_server::CertificateFacts facts;
    };

    log::Log& log_;
    const queue::Clock& clock_;
    const std::shared_ptr<smtp_server::TicketKeys> tickets_;
    mutable std::mutex mutex_;
    std::vector<InUse> in_use_;
    std::map<std::string, std::int64_t> warned_;  // file: days left when it was last warned of
};

}  // namespace postern::gateway
