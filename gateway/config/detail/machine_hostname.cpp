// gethostname and the resolver; see the header.
#include "gateway/config/detail/machine_hostname.hpp"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>

#include "gateway/config/detail/names.hpp"

namespace postern::config::detail {
namespace {

struct FreeAddresses {
    void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};

std::string canonical_name(const std::string& name) {
    addrinfo hints{};
    hints.ai_flags = AI_CANONNAME;
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (::getaddrinfo(name.c_str(), nullptr, &hints, &found) != 0) {
        return {};
    }
    const std::unique_ptr<addrinfo, FreeAddresses> list(found);
    return list->ai_canonname == nullptr ? std::string() : std::string(list->ai_canonname);
}

}  // namespace

std::string machine_hostname() {
    std::array<char, 256> buffer{};
    if (::gethostname(buffer.data(), buffer.size() - 1) != 0 || !is_host_name(buffer.data())) {
        return "localhost";
    }
    const std::string name = buffer.data();
    if (name.find('.') != std::string::npos) {
        return name;
    }
    const std::string full = canonical_name(name);
    // A machine that is its own "localhost.localdomain" has said nothing.
    const bool is_useful =
        is_host_name(full) && full.find('.') != std::string::npos && full.substr(0, 10) != "localhost.";
    return is_useful ? full : name;
}

}  // namespace postern::config::detail
