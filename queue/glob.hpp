// Globs, as the filters of the command line and of the control API have them: '*' is any text, '?' is one character;
// every other character, '[' and '\' too, means itself. ASCII letters match in either case; nothing else is folded.
//
// No recursion and no backtracking beyond the last '*': the time is at most pattern times text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace postern::queue {

/// The whole of `text` is what `pattern` says. '?' takes a character of several octets whole where UTF-8 says so.
[[nodiscard]] bool glob_match(std::string_view pattern, std::string_view text) noexcept;

/// `needle` is somewhere in `text`, ASCII letters in either case. An empty needle is everywhere.
[[nodiscard]] bool contains_folded(std::string_view text, std::string_view needle) noexcept;

/// ASCII letters in lower case, every other octet as it is.
[[nodiscard]] std::string fold_ascii(std::string_view text);

/// Globs of which one must match. Those without '*' and '?' are looked up, so that thousands of addresses cost no more
/// than one.
class GlobSet {
public:
    explicit GlobSet(const std::vector<std::string>& patterns);
    [[nodiscard]] bool matches(std::string_view text) const;

private:
    std::vector<std::string> literals_;  ///< folded and sorted
    std::vector<std::string> globs_;
};

}  // namespace postern::queue
