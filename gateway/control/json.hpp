// The JSON of the control API and of --json: pure, text in and text out. What comes out is ASCII (others are escaped),
// so it is valid UTF-8 and safe for a terminal whatever a stranger put in; octets that are no UTF-8 become U+FFFD.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/control/operations.hpp"

namespace postern::control {

/// Decoding: a value, or what is wrong in words.
template <class T>
using Decoded = Result<T, std::string>;

[[nodiscard]] std::string encode(const MessageView& message);
[[nodiscard]] Decoded<MessageView> decode_message(std::string_view json);

[[nodiscard]] std::string encode(const Status& status);
[[nodiscard]] Decoded<Status> decode_status(std::string_view json);

[[nodiscard]] std::string encode(const BackendStatus& backend);
[[nodiscard]] Decoded<BackendStatus> decode_backend(std::string_view json);

[[nodiscard]] std::string encode(const Why& why);
[[nodiscard]] Decoded<Why> decode_why(std::string_view json);
/// One recipient as --json prints it.
[[nodiscard]] std::string encode(queue::MessageId id, bool running, const WhyView& why);

[[nodiscard]] std::string encode(const BackendChange& change);
/// As --json prints it: {"backend", "verb", "changed"}.
[[nodiscard]] std::string encode(const BackendChange& change, const BackendRequest& request);
[[nodiscard]] Decoded<BackendChange> decode_backend_change(std::string_view json);
[[nodiscard]] std::string encode(const std::vector<ProbeView>& probes);
[[nodiscard]] Decoded<std::vector<ProbeView>> decode_probe(std::string_view json);
[[nodiscard]] std::string encode(const ProbeView& probe);

[[nodiscard]] std::string encode(const queue::HistoryEvent& event);
[[nodiscard]] Decoded<queue::HistoryEvent> decode_history_event(std::string_view json);

[[nodiscard]] std::string encode(const Outcome& outcome);
[[nodiscard]] Decoded<Outcome> decode_outcome(std::string_view json);

[[nodiscard]] std::string encode(const ReloadOutcome& outcome);
[[nodiscard]] Decoded<ReloadOutcome> decode_reload_outcome(std::string_view json);

[[nodiscard]] std::string encode(const std::vector<queue::ShapeCell>& cells);
[[nodiscard]] Decoded<std::vector<queue::ShapeCell>> decode_shape(std::string_view json);
/// One cell as --json prints it: {"backend": "stores", "counts": [{"up_to_seconds": 300, "recipients": 2}, ...,
/// {"up_to_seconds": null, ...}]}.
[[nodiscard]] std::string encode(const queue::ShapeCell& cell, const ShapeRequest& request);

[[nodiscard]] std::string encode(const Failure& failure);
/// nullopt: `json` is something else than an error.
[[nodiscard]] std::optional<Failure> decode_failure(std::string_view json);

/// Requests. Decoding is strict: an unknown key, a wrong type, an id, state or network that is none is an error.
[[nodiscard]] std::string encode_search(const queue::Filter& filter);
[[nodiscard]] Decoded<queue::Filter> decode_search(std::string_view json);
[[nodiscard]] std::string encode_backend_request(const BackendRequest& request);
[[nodiscard]] Decoded<BackendRequest> decode_backend_request(BackendVerb verb, std::string_view json);
[[nodiscard]] std::string encode_history_search(const queue::HistoryFilter& filter);
[[nodiscard]] Decoded<queue::HistoryFilter> decode_history_search(std::string_view json);
[[nodiscard]] std::string encode_apply(const ApplyRequest& request);
[[nodiscard]] Decoded<ApplyRequest> decode_apply(Verb verb, std::string_view json);
[[nodiscard]] std::string encode_shape(const ShapeRequest& request);
[[nodiscard]] Decoded<ShapeRequest> decode_shape_request(std::string_view json);

/// A filter as a command line has it, for the history: "--domain example.com --state held"; "--all"; or the ids. Cut
/// when it is long.
[[nodiscard]] std::string describe(const queue::Filter& filter);

/// An IP address, or a network as ADDRESS/BITS, as a filter's `clients` has it.
[[nodiscard]] bool is_client(std::string_view text);

}  // namespace postern::control
