#include "gateway/recipients/listed.hpp"

#include <fstream>
#include <sstream>

namespace postern::recipients {

namespace {

constexpr std::string_view white_space = " \t\r";

std::string_view trimmed(std::string_view text) {
    const std::size_t begin = text.find_first_not_of(white_space);
    if (begin == std::string_view::npos) {
        return {};
    }
    return text.substr(begin, text.find_last_not_of(white_space) - begin + 1);
}

}  // namespace

bool AddressSet::add(std::string_view entry) {
    // A stand-in for the half that is missing lets one grammar judge them all.
    std::string whole(entry);
    if (entry.starts_with('@')) {
        whole.insert(0, "x");
    } else if (entry.find('@') == std::string_view::npos) {
        whole += "@x";
    }
    const auto address = mail::Mailbox::parse(whole, mail::Utf8::allowed);
    if (!address) {
        return false;
    }
    std::string key = folded(*address);
    if (entry.starts_with('@')) {
        key.erase(0, 1);
    } else if (whole.size() != entry.size()) {
        key.erase(key.size() - 2);
    }
    entries_.insert(std::move(key));
    return true;
}

bool AddressSet::contains(const mail::Mailbox& address) const {
    const std::string key = folded(address);
    const std::size_t at = key.size() - address.domain_key().size() - 1;
    return entries_.contains(key) || entries_.contains(key.substr(0, at)) || entries_.contains(key.substr(at));
}

Result<std::shared_ptr<const AddressSet>, std::string> read_addresses(std::string_view text, const std::string& name) {
    auto addresses = std::make_shared<AddressSet>();
    std::size_t number = 0;
    while (!text.empty()) {
        ++number;
        const std::size_t end = text.find('\n');
        const std::string_view line = trimmed(text.substr(0, end));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        if (line.empty() || line.starts_with('#')) {
            continue;
        }
        if (!addresses->add(line)) {
            return name + ":" + std::to_string(number) +
                   ": expected an address, a local part or @domain, one a line (`#` begins a comment)";
        }
    }
    if (addresses->size() == 0) {
        // More likely a generator that failed than a domain without a mailbox.
        return name + ": lists nobody: all mail of the domain would be refused for good";
    }
    return std::shared_ptr<const AddressSet>(std::move(addresses));
}

Result<std::shared_ptr<const AddressSet>, std::string> read_address_file(const std::filesystem::path& file) {
    std::ifstream stream(file, std::ios::binary);
    std::ostringstream text;
    text << stream.rdbuf();
    // An empty file gives nothing to read, which the stream takes for a failure of `text`.
    std::error_code error;
    const auto size = std::filesystem::file_size(file, error);
    if (!stream.is_open() || stream.bad() || error || (text.fail() && size != 0)) {
        return file.string() + ": " + (error ? error.message() : std::string("cannot be read"));
    }
    return read_addresses(text.str(), file.string());
}

std::optional<Verdict> ListCheck::look(const mail::Mailbox& address) {
    const auto addresses = addresses_.load();
    return addresses->contains(address) ? Verdict() : no_such_mailbox(address);
}

void ListCheck::ask(const mail::Mailbox& address, const Ahead&, Done done) { done(*look(address)); }

}  // namespace postern::recipients
