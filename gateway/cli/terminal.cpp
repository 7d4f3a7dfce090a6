#include "gateway/cli/terminal.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <iostream>

namespace postern::cli {
namespace {

constexpr std::size_t buffer_octets = 64 * 1024;

}  // namespace

void DescriptorOutput::write(std::string_view text) {
    if (error_ != 0) {
        return;
    }
    buffer_ += text;
    if (buffering_ == Buffering::none || buffer_.size() >= buffer_octets) {
        flush();
    }
}

void DescriptorOutput::flush() {
    std::string_view left = buffer_;
    while (!left.empty() && error_ == 0) {
        const ssize_t count = ::write(descriptor_, left.data(), left.size());
        if (count >= 0) {
            left.remove_prefix(static_cast<std::size_t>(count));
        } else if (errno != EINTR) {
            error_ = errno;
        }
    }
    buffer_.clear();
}

std::size_t columns_of(int descriptor) {
    winsize size{};
    if (::isatty(descriptor) == 0) {
        return 0;
    }
    if (::ioctl(descriptor, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) {
        return 80;
    }
    return size.ws_col;
}

std::optional<bool> ask_operator(const std::string& question) {
    if (::isatty(STDIN_FILENO) == 0 || ::isatty(STDERR_FILENO) == 0) {
        return std::nullopt;
    }
    std::cerr << question << " [y/N] " << std::flush;
    std::string answer;
    std::getline(std::cin, answer);
    return answer == "y" || answer == "Y" || answer == "yes";
}

}  // namespace postern::cli
