// The command lines of a transaction, with the parameters that the store knows.
// Source: RFC 5321 section 4.1.1, RFC 1870, RFC 6152, RFC 6531 section 3.4, RFC 3461 sections 4 and 5.2.1.
#pragma once

#include <string>

#include "lmtp-client/detail/capabilities.hpp"
#include "lmtp-client/transaction.hpp"

namespace postern::lmtp_client::detail {

/// Appends "MAIL FROM:<...> ..." with CRLF. SIZE, BODY, RET and ENVID go along when they are offered and needed.
void append_mail(const Transaction& transaction, const Capabilities& store, bool with_utf8, std::string& out);

/// Appends "RCPT TO:<...> ..." with CRLF. NOTIFY and ORCPT go along unchanged when DSN is offered.
void append_rcpt(const TransactionRecipient& recipient, const Capabilities& store, std::string& out);

}  // namespace postern::lmtp_client::detail
