// The configuration reader: a snapshot or problems, never both and never neither; nothing that a stranger's file holds
// reaches a terminal raw.
#include <algorithm>

#include "gateway/config/config.hpp"
#include "tests/fuzz/expect.hpp"

using namespace postern::config;

namespace {

bool is_safe(const std::string& text) {
    return std::none_of(text.begin(), text.end(),
                        [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

void check_told(const std::vector<Problem>& problems) {
    int line = 0;
    for (const Problem& problem : problems) {
        POSTERN_EXPECT(is_safe(problem.to_string()));
        POSTERN_EXPECT(problem.to_string().size() < 4000);
        POSTERN_EXPECT(problem.line >= line);  // in the file's order
        line = problem.line;
    }
}

/// What a configuration promises to those who use it.
void check_taken(const Config& config) {
    POSTERN_EXPECT(!config.hostname.empty() && !config.listeners.empty() && !config.domains.empty() &&
                   !config.backends.empty());
    for (const Listener& listener : config.listeners) {
        POSTERN_EXPECT(listener.address.host.empty() != listener.address.unix_path.empty());
        POSTERN_EXPECT(listener.protocol == Listener::Protocol::smtp || listener.address.port != 25);
    }
    for (const Domain& domain : config.domains) {
        POSTERN_EXPECT(!domain.pattern.empty() && config.backends.count(domain.backend) == 1);
    }
    for (const auto& [name, backend] : config.backends) {
        POSTERN_EXPECT(!name.empty() && backend.name == name && !backend.endpoints.empty() && backend.connections > 0);
        for (const Address& endpoint : backend.endpoints) {
            POSTERN_EXPECT(endpoint.port != 25 && (endpoint.port != 0) == endpoint.unix_path.empty());
        }
    }
    POSTERN_EXPECT(config.retry.first <= config.retry.maximum && config.retry.first <= config.retry.expire &&
                   config.retry.factor >= 1);
    POSTERN_EXPECT(config.queue.path.is_absolute() && config.control.socket.is_absolute());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string text(reinterpret_cast<const char*>(data), size);
    const Loaded loaded = load_text(text, "fuzz.yaml", [] { return std::string("mx.example.com"); });
    POSTERN_EXPECT((loaded.config == nullptr) == !loaded.problems.empty());
    check_told(loaded.problems);
    check_told(loaded.warnings);
    if (loaded.config) {
        check_taken(*loaded.config);
    }
    return 0;
}
