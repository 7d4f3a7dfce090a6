// The bodies of control requests and answers: whatever comes in is a value or an error in words, and a filter that was
// understood is understood again as it was written.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "gateway/control/json.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace postern::control;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto filter = decode_search(text)) {
        const std::string written = encode_search(*filter);
        const auto again = decode_search(written);
        if (!again || encode_search(*again) != written) {
            std::abort();
        }
    }
    if (const auto history = decode_history_search(text)) {
        const std::string written = encode_history_search(*history);
        const auto again = decode_history_search(written);
        if (!again || encode_history_search(*again) != written) {
            std::abort();
        }
        static_cast<void>(describe(history->filter));
    }
    static_cast<void>(decode_apply(Verb::hold, text));
    static_cast<void>(decode_shape_request(text));
    if (const auto message = decode_message(text)) {
        const std::string written = encode(*message);
        const auto again = decode_message(written);
        if (!again || encode(*again) != written) {
            std::abort();
        }
    }
    if (const auto request = decode_backend_request(BackendVerb::pause, text)) {
        const auto again = decode_backend_request(BackendVerb::pause, encode_backend_request(*request));
        if (!again || encode_backend_request(*again) != encode_backend_request(*request)) {
            std::abort();
        }
    }
    if (const auto why = decode_why(text)) {
        const auto again = decode_why(encode(*why));
        if (!again || encode(*again) != encode(*why)) {
            std::abort();
        }
    }
    if (const auto backend = decode_backend(text)) {
        const auto again = decode_backend(encode(*backend));
        if (!again || encode(*again) != encode(*backend)) {
            std::abort();
        }
    }
    static_cast<void>(decode_probe(text));
    static_cast<void>(decode_backend_change(text));
    static_cast<void>(decode_status(text));
    if (const auto event = decode_history_event(text)) {
        const auto again = decode_history_event(encode(*event));
        if (!again || encode(*again) != encode(*event)) {
            std::abort();
        }
    }
    static_cast<void>(decode_outcome(text));
    static_cast<void>(decode_failure(text));
    return 0;
}
