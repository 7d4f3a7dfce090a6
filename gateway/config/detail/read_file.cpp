// open and read; see the header.
#include "gateway/config/detail/read_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "gateway/config/detail/text_check.hpp"

namespace postern::config::detail {
namespace {

std::string last_error() { return std::generic_category().message(errno); }

/// A file descriptor that closes itself.
class Descriptor {
public:
    explicit Descriptor(int number) : number_(number) {}
    ~Descriptor() {
        if (number_ >= 0) {
            ::close(number_);
        }
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    [[nodiscard]] int number() const noexcept { return number_; }

private:
    int number_;
};

}  // namespace

Result<std::string, std::string> read_file(const std::filesystem::path& file) {
    const Descriptor descriptor(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    if (descriptor.number() < 0) {
        return {boost::system::in_place_error, last_error()};
    }
    std::string text;
    constexpr std::size_t part = 16 * 1024;
    while (text.size() <= file_octets_max) {
        const std::size_t before = text.size();
        text.resize(before + part);
        const ssize_t count = ::read(descriptor.number(), text.data() + before, part);
        if (count < 0 && errno != EINTR) {
            return {boost::system::in_place_error, last_error()};
        }
        text.resize(before + static_cast<std::size_t>(count < 0 ? 0 : count));
        if (count == 0) {
            break;
        }
    }
    return {boost::system::in_place_value, std::move(text)};
}

}  // namespace postern::config::detail
