#include "gateway/sandbox/capabilities.hpp"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <system_error>

namespace postern::sandbox {

namespace {

using Data = std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3>;

constexpr std::uint32_t kept_by_root = 1U << CAP_DAC_OVERRIDE | 1U << CAP_CHOWN | 1U << CAP_FOWNER;

std::string capability_failure(const char* what) {
    return std::string("capabilities cannot be ") + what + ": " + std::generic_category().message(errno);
}

}  // namespace

void empty_bounding_set() {
    for (unsigned long capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability) {
        (void)::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    }
}

std::optional<std::string> give_up_capabilities() {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    Data held{};
    if (::syscall(SYS_capget, &header, held.data()) != 0) {
        return capability_failure("read");
    }
    Data wanted{};  // with the permitted and the inheritable ones go the ambient ones
    if (::geteuid() == 0) {
        wanted[0].permitted = held[0].permitted & kept_by_root;
        wanted[0].effective = wanted[0].permitted;
    }
    const bool has_none = (held[0].permitted | held[1].permitted | held[0].inheritable | held[1].inheritable) == 0;
    if (!has_none && ::syscall(SYS_capset, &header, wanted.data()) != 0) {
        return capability_failure("given up");
    }
    return std::nullopt;
}

}  // namespace postern::sandbox
