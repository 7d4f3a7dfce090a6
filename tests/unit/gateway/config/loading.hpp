// Loads configurations that are written in the test, with a machine name that is always the same.
#pragma once

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "gateway/config/config.hpp"

namespace postern::config::tests {

/// What every configuration needs; a test adds what it is about.
inline const std::string needed =
    "domains: { example.com: { backend: stores } }\n"
    "backends: { stores: { endpoints: ['127.0.0.1:24'] } }\n";

inline Loaded load(const std::string& yaml) {
    return load_text(yaml, "postern.yaml", [] { return std::string("mx.example.com"); });
}

inline std::vector<std::string> texts(const std::vector<Problem>& problems) {
    std::vector<std::string> result;
    for (const Problem& problem : problems) {
        result.push_back(problem.to_string());
    }
    return result;
}

inline std::vector<std::string> errors_of(const std::string& yaml) { return texts(load(yaml).problems); }
inline std::vector<std::string> warnings_of(const std::string& yaml) { return texts(load(yaml).warnings); }

/// The configuration, or a failed test that says what was wrong with it.
inline std::shared_ptr<const Config> good(const std::string& yaml) {
    Loaded loaded = load(yaml);
    EXPECT_THAT(texts(loaded.problems), testing::IsEmpty()) << yaml;
    return loaded.config != nullptr ? loaded.config : std::make_shared<const Config>();
}

}  // namespace postern::config::tests
