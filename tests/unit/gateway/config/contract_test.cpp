// What the contract promises is understood.
#include <gtest/gtest.h>

#include "tests/unit/gateway/config/loading.hpp"

namespace postern::config::tests {
namespace {

/// The contract's own example, whole.
const std::string whole = R"(hostname: mx1.example.com
user: postern
shutdown_grace: 10s
listeners:
  - address: "0.0.0.0:25"
    protocol: smtp
    tls:
      certificate: /etc/postern/fullchain.pem
      key: /etc/postern/key.pem
      required: false
    proxy_protocol: ["127.0.0.1/32"]
    trusted: []
    bare_newline: normalize
limits:
  message_size: 50MiB
  recipients_per_message: 1000
  connections: 2000
  connections_per_client: 50
  errors_per_session: 10
  command_timeout: 5m
  data_timeout: 10m
  received_headers: 50
queue:
  path: /var/lib/postern/queue.db
  minimum_free_disk: 512MiB
  maximum_messages: 5000000
  history: 7d
domains:
  example.com: { backend: stores, recipients: any }
  "*.example.com": { backend: stores }
backends:
  stores:
    endpoints: ["127.0.0.1:24", "unix:/run/dovecot/lmtp"]
    balance: least_busy
    connections: 20
    recipients_per_transaction: 100
    tls: off
    connect_timeout: 30s
    reply_timeout: 5m
retry:
  first: 1m
  factor: 2
  maximum: 1h
  expire: 5d
  delay_notice: 4h
bounces:
  send: verified
  relay: "smtp://smarthost.example.com:25"
  from: postmaster@example.com
control:
  socket: /run/postern/control.sock
  http: "127.0.0.1:8025"
log: { format: logfmt, level: info }
)";

std::string with(std::string from, const std::string& to) {
    std::string text = whole;
    return text.replace(text.find(from), from.size(), to);
}

TEST(Contract, EveryKeyIsUnderstood) {
    for (const std::string& text :
         {whole, with("least_busy", "sticky"), with("least_busy", "failover"), with("tls: off", "tls: opportunistic"),
          with("tls: off", "tls: required"), with("recipients: any", "recipients: ask"),
          with("send: verified", "send: never")}) {
        EXPECT_THAT(errors_of(text), testing::IsEmpty());
        EXPECT_THAT(warnings_of(text), testing::IsEmpty());
    }
}

}  // namespace
}  // namespace postern::config::tests
