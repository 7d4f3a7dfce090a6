#include "lmtp-client/detail/commands.hpp"

#include <algorithm>
#include <string_view>

namespace postern::lmtp_client::detail {

namespace {

/// Parameters are passed on as they were received; one that could end the command line or begin another parameter is
/// left out.
bool is_parameter_value(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

void append_path(const mail::Mailbox& mailbox, std::string& out) {
    out += mailbox.local_part();
    out += '@';
    out += mailbox.domain();
}

}  // namespace

void append_mail(const Transaction& transaction, const Capabilities& store, bool with_utf8, std::string& out) {
    out += "MAIL FROM:<";
    if (transaction.sender.mailbox()) {
        append_path(*transaction.sender.mailbox(), out);
    }
    out += '>';
    if (store.size) {
        out += " SIZE=";
        out += std::to_string(transaction.size);
    }
    if (transaction.body_8bit && store.eight_bit_mime) {
        out += " BODY=8BITMIME";
    }
    if (with_utf8 && store.smtputf8) {
        out += " SMTPUTF8";
    }
    if (transaction.require_tls && store.require_tls) {
        out += " REQUIRETLS";
    }
    if (store.dsn) {
        if (transaction.dsn.ret != mail::DsnReturn::unspecified) {
            out += transaction.dsn.ret == mail::DsnReturn::full ? " RET=FULL" : " RET=HDRS";
        }
        if (is_parameter_value(transaction.dsn.envid)) {
            out += " ENVID=";
            out += transaction.dsn.envid;
        }
    }
    out += "\r\n";
}

void append_rcpt(const TransactionRecipient& recipient, const Capabilities& store, std::string& out) {
    out += "RCPT TO:<";
    append_path(recipient.address, out);
    out += '>';
    if (store.dsn) {
        if (recipient.dsn.notify != mail::DsnNotify::unspecified) {
            out += " NOTIFY=";
            out += mail::to_string(recipient.dsn.notify);
        }
        if (is_parameter_value(recipient.dsn.orcpt)) {
            out += " ORCPT=";
            out += recipient.dsn.orcpt;
        }
    }
    out += "\r\n";
}

}  // namespace postern::lmtp_client::detail
