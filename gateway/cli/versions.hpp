// The version of the program and of the libraries that it runs on.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace postern::cli {

[[nodiscard]] std::string version();   ///< "0.1.0"
[[nodiscard]] std::string revision();  ///< of git when the build was configured, or "unknown"
/// Name and version; of shared libraries the one that was loaded.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> library_versions();

/// Of the library that was loaded: 3040001 is 3.40.1.
[[nodiscard]] int sqlite_version();

/// What an operator must know of the libraries, SQLite being this version; empty: nothing.
[[nodiscard]] std::vector<std::string> library_warnings(int sqlite);

}  // namespace postern::cli
