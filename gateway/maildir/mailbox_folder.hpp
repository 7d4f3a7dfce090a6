// One Maildir on disk: where it lies, whether it has room, how a message gets in.
// Source: the maildir convention of tmp/, new/ and cur/: written whole in tmp/, flushed, then renamed into new/.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "queue/mail/mailbox.hpp"
#include "queue/mail/result.hpp"

namespace postern::maildir {

/// ROOT/DOMAIN/LOCAL-PART, both as single names in lower case. nullopt: a part that cannot be the name of a folder
/// ("..", a slash, a control character, over 200 octets): such a mailbox does not exist.
[[nodiscard]] std::optional<std::filesystem::path> folder_of(const std::filesystem::path& root,
                                                             const mail::Mailbox& mailbox);

/// Octets of all messages in new/ and cur/.
[[nodiscard]] std::uint64_t used_octets(const std::filesystem::path& folder);

/// The limit in octets that the file `quota` in the folder gives ("64KiB", "1000"), else `standard`; 0: none.
[[nodiscard]] std::uint64_t quota_of(const std::filesystem::path& folder, std::uint64_t standard);

/// "64KiB", "2MiB", "1GiB" or a bare number. nullopt: none of these.
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text);

/// Makes tmp/, new/ and cur/ where they are missing. The error: what the system said.
[[nodiscard]] Result<void, std::string> make_folder(const std::filesystem::path& folder);

/// Files `header` and `content` under the name `unique`, safe on disk when it returns. The error: what the system said.
[[nodiscard]] Result<void, std::string> file_message(const std::filesystem::path& folder, const std::string& unique,
                                                     std::string_view header, std::string_view content);

}  // namespace postern::maildir
