// A client whose endpoints are domains: each transaction goes to the domain's servers, one after the other, until one
// has answered for every recipient.
//
// Source: RFC 5321 section 5.1: the next address when one cannot be reached, or does not want to talk; what a server
// says of a recipient is an answer, and no other is asked about him.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <functional>
#include <memory>

#include "gateway/dns/resolver.hpp"
#include "gateway/outgoing/options.hpp"
#include "lmtp-client/client.hpp"

namespace postern::outgoing {

/// The options for what begins now. Called on the client's executor.
using OptionsSource = std::function<std::shared_ptr<const Options>()>;

using SteadyTime = std::function<std::chrono::steady_clock::time_point()>;

/// `inner`: speaks to one server. The resolver outlives it. `seed`: of the order among equal servers.
///
/// Of an endpoint the host alone counts: the domain, or an address literal in brackets. Of ClientOptions all but the
/// security. Every recipient gets an outcome with a reply, ours where no server gave one: 5xx when there is nobody to
/// ask, 4xx when nobody could be asked now. With those the end's trouble is `connect`: the domain had better rest.
/// `not_tried`, without trouble, are those for whom a server wants another transaction (too many recipients). No
/// further server is looked for, or spoken to, once a transaction has been on its way for ten minutes by `time`.
///
/// probe() asks whether DNS answers.
[[nodiscard]] std::unique_ptr<lmtp_client::Client> make_mx_client(std::unique_ptr<lmtp_client::Client> inner,
                                                                  dns::Resolver& resolver, OptionsSource options,
                                                                  std::uint64_t seed,
                                                                  SteadyTime time = std::chrono::steady_clock::now);

}  // namespace postern::outgoing
