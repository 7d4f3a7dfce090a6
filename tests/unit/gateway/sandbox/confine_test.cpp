#include "gateway/sandbox/confine.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/landlock.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

#include "gateway/sandbox/capabilities.hpp"
#include "gateway/sandbox/detail/sanitized.hpp"

namespace postern::sandbox {
namespace {

constexpr int not_refused = 0;

bool has_landlock() {
    return ::syscall(SYS_landlock_create_ruleset, nullptr, std::size_t{0}, LANDLOCK_CREATE_RULESET_VERSION) > 0;
}

/// What `act` gives (0 to 255) in a process of its own; 255 when it did not come to an end.
int in_a_process(const std::function<int()>& act) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::_exit(act());
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

/// The error of `act` in a confined process; 0 when it succeeds.
int refusal_of(const std::function<long()>& act, const std::vector<std::filesystem::path>& writable = {}) {
    return in_a_process([&] {
        const Confinement confinement = confine(writable);
        if (!confinement.system_calls || !confinement.no_core_dumps || confinement.files != has_landlock()) {
            return 254;
        }
        errno = 0;
        return act() < 0 ? errno : not_refused;
    });
}

class Folder : public testing::Test {
protected:
    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "postern-sandbox-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder = name;
        std::filesystem::create_directory(folder / "own");
        std::ofstream(folder / "others") << "words";
    }
    void TearDown() override { std::filesystem::remove_all(folder); }

    std::filesystem::path folder;
};

using ConfinedFiles = Folder;

TEST(ConfinedProcess, RunsNoProgram) {
    if (detail::is_sanitized) {
        GTEST_SKIP() << "the sanitizers start a program to name addresses";
    }
    char name[] = "/bin/true";
    char* arguments[] = {name, nullptr};
    char* environment[] = {nullptr};
    EXPECT_EQ(refusal_of([&] { return ::execve(name, arguments, environment); }), EPERM);
    EXPECT_EQ(refusal_of([&] { return ::syscall(SYS_execveat, AT_FDCWD, name, arguments, environment, 0); }), EPERM);
    EXPECT_EQ(refusal_of([] { return ::fork(); }), EPERM);
    EXPECT_EQ(refusal_of([] { return ::syscall(SYS_clone3, nullptr, 0); }), ENOSYS);
}

TEST(ConfinedProcess, LooksIntoNoOther) {
    if (detail::is_sanitized) {
        GTEST_SKIP() << "the sanitizers look for leaks so";
    }
    EXPECT_EQ(refusal_of([] { return ::ptrace(PTRACE_ATTACH, ::getppid(), nullptr, nullptr); }), EPERM);
    EXPECT_EQ(refusal_of([] { return ::syscall(SYS_process_vm_readv, ::getppid(), nullptr, 0, nullptr, 0, 0); }),
              EPERM);
}

TEST(ConfinedProcess, ExecutesNothingThatItWrote) {
    if (detail::is_sanitized) {
        GTEST_SKIP() << "not filtered beside a sanitizer";
    }
    const auto map = [](int access) { return ::mmap(nullptr, 4096, access, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); };
    EXPECT_EQ(refusal_of([&] { return map(PROT_READ | PROT_WRITE | PROT_EXEC) == MAP_FAILED ? -1L : 0L; }), EPERM);
    EXPECT_EQ(refusal_of([&] { return ::mprotect(map(PROT_READ | PROT_WRITE), 4096, PROT_READ | PROT_EXEC); }), EPERM);
    EXPECT_EQ(refusal_of([&] { return map(PROT_READ | PROT_EXEC) == MAP_FAILED ? -1L : 0L; }), not_refused);
}

TEST(ConfinedProcess, ReachesNoOddPartOfTheKernel) {
    for (const long call : {SYS_mount, SYS_unshare, SYS_bpf, SYS_keyctl, SYS_add_key, SYS_userfaultfd,
                            SYS_io_uring_setup, SYS_perf_event_open, SYS_init_module, SYS_kexec_load, SYS_setns,
                            SYS_chroot, SYS_setuid, SYS_open_by_handle_at, SYS_reboot, SYS_capset}) {
        EXPECT_EQ(refusal_of([call] { return ::syscall(call, 0, 0, 0, 0, 0); }), EPERM) << call;
    }
    for (const int family : {AF_PACKET, AF_VSOCK, AF_ALG, AF_X25}) {
        EXPECT_EQ(refusal_of([family] { return ::socket(family, SOCK_DGRAM, 0); }), EAFNOSUPPORT) << family;
    }
    EXPECT_EQ(refusal_of([] { return ::socket(AF_NETLINK, SOCK_RAW, 12); }), EAFNOSUPPORT);  // netfilter's
    for (const int family : {AF_INET, AF_INET6, AF_UNIX, AF_NETLINK}) {
        EXPECT_EQ(refusal_of([family] { return ::socket(family, SOCK_DGRAM, 0); }), not_refused) << family;
    }
}

TEST(ConfinedProcess, StartsThreadsThatAreConfinedToo) {
    const auto in_a_thread = [] {
        long result = -1;
        int error = 0;
        std::thread([&] {
            result = ::syscall(SYS_keyctl, 0, 0, 0, 0, 0);
            error = errno;
        }).join();
        errno = error;
        return result;
    };
    EXPECT_EQ(refusal_of(in_a_thread), EPERM);
}

TEST(ConfinedProcess, GainsNoPrivilegeAndLeavesNoDump) {
    EXPECT_EQ(refusal_of([] { return ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : -1; }), not_refused);
    EXPECT_EQ(refusal_of([] { return ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : -1; }), not_refused);
}

TEST_F(ConfinedFiles, AreMadeAndRemovedInTheGivenFolderAlone) {
    if (!has_landlock()) {
        GTEST_SKIP() << "no landlock in this kernel";
    }
    const auto make = [](const std::filesystem::path& file) {
        return [file] { return ::open(file.c_str(), O_WRONLY | O_CREAT, 0600); };
    };
    const auto own = folder / "own";
    EXPECT_EQ(refusal_of(make(own / "new"), {own}), not_refused);
    EXPECT_EQ(refusal_of([&] { return ::unlink((own / "new").c_str()); }, {own}), not_refused);
    EXPECT_EQ(refusal_of(make(folder / "new"), {own}), EACCES);
    EXPECT_EQ(refusal_of([&] { return ::open((folder / "others").c_str(), O_RDWR); }, {own}), EACCES);
    EXPECT_EQ(refusal_of([&] { return ::truncate((folder / "others").c_str(), 0); }, {own}), EACCES);
    EXPECT_EQ(refusal_of([&] { return ::unlink((folder / "others").c_str()); }, {own}), EACCES);
    EXPECT_EQ(refusal_of([&] { return ::symlink("/etc/shadow", (own / "link").c_str()); }, {own}), EACCES);
    EXPECT_EQ(refusal_of([&] { return ::open((folder / "others").c_str(), O_RDONLY); }, {own}), not_refused);
    EXPECT_EQ(refusal_of([&] { return ::open("/dev/null", O_RDWR); }, {own}), not_refused);
    EXPECT_EQ(refusal_of(make(own / "new"), {folder / "none", own}), not_refused) << "a folder that is not there";
}

TEST_F(ConfinedFiles, MayBeSocketsOfUnix) {
    const auto own = folder / "own";
    const auto bind_at = [](const std::filesystem::path& path) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
        return ::bind(::socket(AF_UNIX, SOCK_STREAM, 0), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    };
    EXPECT_EQ(refusal_of([&] { return bind_at(own / "socket"); }, {own}), not_refused);
    if (has_landlock()) {
        EXPECT_EQ(refusal_of([&] { return bind_at(folder / "socket"); }, {own}), EACCES);
    }
}

TEST(Capabilities, AreGoneForRootButThoseForFilesOfOthers) {
    if (::geteuid() != 0) {
        GTEST_SKIP() << "only root has some";
    }
    const auto status_of = [](const char* name) {
        std::ifstream status("/proc/self/status");
        for (std::string word; status >> word;) {
            if (word == name && status >> word) {
                return std::stoull(word, nullptr, 16);
            }
        }
        return ~0ULL;
    };
    constexpr unsigned long long files_of_others = 1U << 0 | 1U << 1 | 1U << 3;  // CHOWN, DAC_OVERRIDE, FOWNER
    EXPECT_EQ(in_a_process([&] {
                  empty_bounding_set();
                  const bool gone = !give_up_capabilities() && (status_of("CapEff:") & ~files_of_others) == 0;
                  return gone && status_of("CapBnd:") == 0 && status_of("CapInh:") == 0 ? 0 : 1;
              }),
              0);
}

TEST(Capabilities, AreAllGoneForAnybodyElse) {
    if (::geteuid() != 0) {
        GTEST_SKIP() << "only root has some to give up";
    }
    EXPECT_EQ(in_a_process([] {
                  ::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);  // as under systemd with a capability for port 25
                  if (::setresuid(65534, 65534, 65534) != 0) {
                      return 1;
                  }
                  if (give_up_capabilities()) {
                      return 2;
                  }
                  std::ifstream status("/proc/self/status");
                  for (std::string word; status >> word;) {
                      if ((word == "CapPrm:" || word == "CapEff:" || word == "CapAmb:") && status >> word &&
                          std::stoull(word, nullptr, 16) != 0) {
                          return 3;
                      }
                  }
                  return 0;
              }),
              0);
}

}  // namespace
}  // namespace postern::sandbox
