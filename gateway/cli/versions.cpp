#include "gateway/cli/versions.hpp"

#include <fmt/core.h>
#include <openssl/crypto.h>
#include <sqlite3.h>

#include <boost/version.hpp>
#include <nlohmann/json.hpp>

#include <CLI/Version.hpp>

#include "queue/other_writers.hpp"

namespace postern::cli {

std::string version() { return POSTERN_VERSION; }
std::string revision() { return POSTERN_REVISION; }

std::vector<std::pair<std::string, std::string>> library_versions() {
    return {
        {"boost", fmt::format("{}.{}.{}", BOOST_VERSION / 100000, BOOST_VERSION / 100 % 1000, BOOST_VERSION % 100)},
        {"cli11", CLI11_VERSION},
        {"fmt", fmt::format("{}.{}.{}", FMT_VERSION / 10000, FMT_VERSION / 100 % 100, FMT_VERSION % 100)},
        {"nlohmann-json", fmt::format("{}.{}.{}", NLOHMANN_JSON_VERSION_MAJOR, NLOHMANN_JSON_VERSION_MINOR,
                                      NLOHMANN_JSON_VERSION_PATCH)},
        {"openssl", ::OpenSSL_version(OPENSSL_VERSION_STRING)},
        {"sqlite", ::sqlite3_libversion()},
    };
}

int sqlite_version() { return ::sqlite3_libversion_number(); }

std::vector<std::string> library_warnings(int sqlite) {
    if (!queue::has_wal_reset_bug(sqlite)) {
        return {};
    }
    return {
        fmt::format("sqlite {}.{}.{} can lose commits when two programs write to one file (the WAL-reset bug, "
                    "mended in 3.51.3); the gateway writes alone, so let no other program open the queue for "
                    "writing",
                    sqlite / 1'000'000, sqlite / 1000 % 1000, sqlite % 1000)};
}

}  // namespace postern::cli
