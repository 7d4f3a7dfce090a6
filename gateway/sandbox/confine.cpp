#include "gateway/sandbox/confine.hpp"

#include <sys/prctl.h>
#include <sys/resource.h>

#include "gateway/sandbox/detail/file_rules.hpp"
#include "gateway/sandbox/detail/system_call_filter.hpp"

namespace postern::sandbox {

namespace {

/// The limit alone does not hold where the kernel hands dumps to a program; the flag does everywhere.
bool forbid_core_dumps() {
    constexpr rlimit none{0, 0};
    const bool limited = ::setrlimit(RLIMIT_CORE, &none) == 0;
    return ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 && limited;
}

}  // namespace

void refuse_new_privileges() { (void)::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }

Confinement confine(const std::vector<std::filesystem::path>& writable) {
    Confinement confinement;
    refuse_new_privileges();
    confinement.no_core_dumps = forbid_core_dumps();
    if (!confinement.no_core_dumps) {
        confinement.problems.emplace_back("core dumps cannot be forbidden");
    }
    const auto note = [&confinement](std::optional<std::string> problem) {
        if (problem) {
            confinement.problems.push_back(std::move(*problem));
            return false;
        }
        return true;
    };
    confinement.files = note(detail::confine_files(writable));
    confinement.system_calls = note(detail::filter_system_calls());  // last: the others need calls of their own
    return confinement;
}

}  // namespace postern::sandbox
