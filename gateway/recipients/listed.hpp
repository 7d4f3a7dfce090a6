// Recipients that are listed: in the configuration, or in a file of their own that is read again when it changes.
//
// A line of a file, or an item of a list, is an address, a local part alone ("info": in every domain of the rule), or a
// domain behind an at-sign ("@example.com": all of it). In a file, "#" begins a comment that takes a whole line.
//
// Threads: any.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "gateway/recipients/check.hpp"
#include "queue/mail/result.hpp"
#include "queue/mail/snapshot.hpp"

namespace postern::recipients {

/// Immutable once it is made.
class AddressSet {
public:
    /// False: `entry` is none of the three forms.
    [[nodiscard]] bool add(std::string_view entry);
    [[nodiscard]] bool contains(const mail::Mailbox& address) const;
    [[nodiscard]] std::size_t size() const { return entries_.size(); }

private:
    std::unordered_set<std::string> entries_;  // folded
};

/// The error names the file, and the line if one is to blame.
[[nodiscard]] Result<std::shared_ptr<const AddressSet>, std::string> read_address_file(
    const std::filesystem::path& file);
/// The same on a text; `name` stands in the error.
[[nodiscard]] Result<std::shared_ptr<const AddressSet>, std::string> read_addresses(std::string_view text,
                                                                                    const std::string& name);

class ListCheck final : public Check {
public:
    explicit ListCheck(std::shared_ptr<const AddressSet> addresses) : addresses_(std::move(addresses)) {}

    /// From now on these.
    void replace(std::shared_ptr<const AddressSet> addresses) { addresses_.store(std::move(addresses)); }

    [[nodiscard]] std::optional<Verdict> look(const mail::Mailbox& address) override;
    void ask(const mail::Mailbox& address, const Ahead& ahead, Done done) override;

private:
    Snapshot<AddressSet> addresses_;
};

}  // namespace postern::recipients
