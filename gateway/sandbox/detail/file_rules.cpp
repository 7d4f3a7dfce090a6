// By bare system calls: the C library has none for landlock, and Debian 12's headers know its first versions only.
// Reading is left to the permissions of the files: a reload may name new certificates anywhere, and libraries are
// loaded when they are first wanted.
#include "gateway/sandbox/detail/file_rules.hpp"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

#include "gateway/sandbox/detail/sanitized.hpp"

namespace postern::sandbox::detail {

namespace {

// Of versions that the headers may not know.
constexpr std::uint64_t move_between_folders = 1ULL << 13;  // LANDLOCK_ACCESS_FS_REFER, version 2
constexpr std::uint64_t truncate_file = 1ULL << 14;         // LANDLOCK_ACCESS_FS_TRUNCATE, version 3
constexpr std::uint64_t scope_signals = 1ULL << 1;          // LANDLOCK_SCOPE_SIGNAL, version 6

/// struct landlock_ruleset_attr as of version 6. An older kernel takes the longer one if what it does not know is 0.
struct Ruleset {
    std::uint64_t files = 0;
    std::uint64_t network = 0;
    std::uint64_t scoped = 0;
};

constexpr std::uint64_t ours = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |
                               LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE | truncate_file;
constexpr std::uint64_t nobodys = LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_CHAR |
                                  LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                                  LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM | move_between_folders |
                                  (is_sanitized ? 0 : LANDLOCK_ACCESS_FS_EXECUTE);
constexpr std::uint64_t on_a_file = LANDLOCK_ACCESS_FS_WRITE_FILE | truncate_file;

/// The rights that a version knows.
std::uint64_t known_to(long version) {
    if (version >= 3) {
        return ~0ULL;
    }
    return version == 2 ? ~truncate_file : ~(truncate_file | move_between_folders);
}

class Descriptor {
public:
    explicit Descriptor(long number) : number_(static_cast<int>(number)) {}
    ~Descriptor() {
        if (number_ >= 0) {
            ::close(number_);
        }
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    [[nodiscard]] int get() const { return number_; }

private:
    int number_;
};

std::string files_failure(const std::string& what) {
    return "files are not confined: " + what + ": " + std::generic_category().message(errno);
}

/// False, with errno: the rule could not be added.
bool allow(const Descriptor& ruleset, const std::filesystem::path& path, std::uint64_t access) {
    const Descriptor place(::open(path.c_str(), O_PATH | O_CLOEXEC));
    if (place.get() < 0) {
        return errno == ENOENT;
    }
    landlock_path_beneath_attr rule{};
    rule.allowed_access = access;
    rule.parent_fd = place.get();
    return ::syscall(SYS_landlock_add_rule, ruleset.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
}

}  // namespace

std::optional<std::string> confine_files(const std::vector<std::filesystem::path>& writable) {
    const long version =
        ::syscall(SYS_landlock_create_ruleset, nullptr, std::size_t{0}, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1) {
        return files_failure("the kernel has no landlock");
    }
    const std::uint64_t known = known_to(version);
    Ruleset attributes;
    attributes.files = (ours | nobodys) & known;
    attributes.scoped = version >= 6 ? scope_signals : 0;
    const Descriptor ruleset(::syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0));
    if (ruleset.get() < 0) {
        return files_failure("landlock");
    }
    for (const auto& folder : writable) {
        if (!allow(ruleset, folder, ours & known)) {
            return files_failure(folder.string());
        }
    }
    if (!allow(ruleset, "/dev/null", on_a_file & known)) {
        return files_failure("/dev/null");
    }
    if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) {
        return files_failure("landlock");
    }
    return std::nullopt;
}

}  // namespace postern::sandbox::detail
