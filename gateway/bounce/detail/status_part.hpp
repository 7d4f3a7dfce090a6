// The part of a report for programs: message/delivery-status, or message/global-delivery-status when an address has
// more than ASCII. Source: RFC 3464 sections 2.1 to 2.3, RFC 3461 section 6.3, RFC 6533 sections 3 and 4.
#pragma once

#include <vector>

#include "gateway/bounce/detail/returned.hpp"
#include "gateway/bounce/report.hpp"

namespace postern::bounce::detail {

[[nodiscard]] Part status_part(Notice notice, const ReportedMessage& message,
                               const std::vector<ReportedRecipient>& recipients, const ReportOptions& options);

/// ORCPT= as Original-Recipient has it, "rfc822; user@example.com", decoded and cleaned; empty when it cannot be.
[[nodiscard]] std::string original_recipient(std::string_view orcpt, bool global);

}  // namespace postern::bounce::detail
