#include "gateway/maildir/mailbox_folder.hpp"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <system_error>

namespace postern::maildir {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t name_octets_max = 200;

class File {
public:
    File(const fs::path& path, int flags) : descriptor_(::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0600)) {}
    ~File() {
        if (descriptor_ >= 0) {
            ::close(descriptor_);
        }
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    [[nodiscard]] bool is_open() const { return descriptor_ >= 0; }
    [[nodiscard]] bool write(std::string_view bytes) const {
        while (!bytes.empty()) {
            const ssize_t count = ::write(descriptor_, bytes.data(), bytes.size());
            if (count < 0 && errno == EINTR) {
                continue;
            }
            if (count <= 0) {
                return false;
            }
            bytes.remove_prefix(static_cast<std::size_t>(count));
        }
        return true;
    }
    [[nodiscard]] bool flush() const { return ::fsync(descriptor_) == 0; }

private:
    int descriptor_;
};

std::string system_error(const fs::path& path) { return path.string() + ": " + std::generic_category().message(errno); }

std::optional<std::string> folder_name(std::string_view text) {
    if (text.empty() || text.size() > name_octets_max || text.front() == '.') {
        return std::nullopt;
    }
    std::string name;
    for (const char c : text) {
        const auto octet = static_cast<unsigned char>(c);
        if (octet <= ' ' || octet == 0x7f || c == '/') {
            return std::nullopt;
        }
        name += c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
    }
    return name;
}

}  // namespace

std::optional<fs::path> folder_of(const fs::path& root, const mail::Mailbox& mailbox) {
    const auto domain = folder_name(mailbox.domain());
    const auto local = folder_name(mailbox.unquoted_local_part());
    if (!domain || !local) {
        return std::nullopt;
    }
    return root / *domain / *local;
}

std::uint64_t used_octets(const fs::path& folder) {
    std::uint64_t sum = 0;
    for (const char* part : {"new", "cur"}) {
        std::error_code error;
        for (fs::directory_iterator entry(folder / part, error), end; !error && entry != end; entry.increment(error)) {
            std::error_code gone;  // a reader may take it away meanwhile
            const auto size = entry->file_size(gone);
            sum += gone ? 0 : size;
        }
    }
    return sum;
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
    unsigned shift = 0;
    if (unit == "KiB") {
        shift = 10;
    } else if (unit == "MiB") {
        shift = 20;
    } else if (unit == "GiB") {
        shift = 30;
    } else if (!unit.empty()) {
        return std::nullopt;
    }
    if (error != std::errc() || number > (UINT64_MAX >> shift)) {
        return std::nullopt;
    }
    return number << shift;
}

std::uint64_t quota_of(const fs::path& folder, std::uint64_t standard) {
    std::ifstream file(folder / "quota");
    std::string text;
    if (!(file >> text)) {
        return standard;
    }
    return parse_size(text).value_or(standard);
}

Result<void, std::string> make_folder(const fs::path& folder) {
    for (const char* part : {"tmp", "new", "cur"}) {
        std::error_code error;
        fs::create_directories(folder / part, error);
        if (error) {
            return (folder / part).string() + ": " + error.message();
        }
    }
    return {};
}

Result<void, std::string> file_message(const fs::path& folder, const std::string& unique, std::string_view header,
                                       std::string_view content) {
    const fs::path draft = folder / "tmp" / unique;
    const fs::path place = folder / "new" / unique;
    const File file(draft, O_WRONLY | O_CREAT | O_EXCL);
    if (!file.is_open()) {
        return system_error(draft);
    }
    const bool written = file.write(header) && file.write(content) && file.flush();
    if (!written || ::rename(draft.c_str(), place.c_str()) != 0) {
        std::string what = system_error(draft);
        ::unlink(draft.c_str());
        return what;
    }
    const File directory(folder / "new", O_RDONLY | O_DIRECTORY);
    if (!directory.is_open() || !directory.flush()) {
        return system_error(place);
    }
    return {};
}

}  // namespace postern::maildir
