// A list of what is refused, not of what is allowed: the C library, OpenSSL, SQLite and the resolver may use another
// call tomorrow than they do today, and a gateway must not fall over at night because a package was brought up to
// date. What is on the list is of no use to any of them: it runs programs, looks into other processes, changes the
// machine, or opens parts of the kernel in which faults are found every year. It answers EPERM, as if a right were
// missing, which every library knows to live with; nothing is killed for it.
#include "gateway/sandbox/detail/system_call_filter.hpp"

#include <linux/sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <initializer_list>
#include <memory>
#include <system_error>

#include "gateway/sandbox/detail/sanitized.hpp"

namespace postern::sandbox::detail {

namespace {

constexpr std::array new_programs = {SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(vfork)};

constexpr std::array other_processes = {
    SCMP_SYS(ptrace),          SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev),
    SCMP_SYS(process_madvise), SCMP_SYS(pidfd_getfd),      SCMP_SYS(kcmp)};

constexpr std::array refused = {
    // mounts and namespaces
    SCMP_SYS(mount), SCMP_SYS(umount), SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot), SCMP_SYS(unshare),
    SCMP_SYS(setns), SCMP_SYS(open_tree), SCMP_SYS(move_mount), SCMP_SYS(fsopen), SCMP_SYS(fsconfig), SCMP_SYS(fsmount),
    SCMP_SYS(fspick), SCMP_SYS(mount_setattr), SCMP_SYS(name_to_handle_at), SCMP_SYS(open_by_handle_at),
    SCMP_SYS(quotactl), SCMP_SYS(quotactl_fd), SCMP_SYS(swapon), SCMP_SYS(swapoff),
    // the kernel itself
    SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(delete_module), SCMP_SYS(create_module),
    SCMP_SYS(kexec_load), SCMP_SYS(kexec_file_load), SCMP_SYS(reboot), SCMP_SYS(acct), SCMP_SYS(syslog), SCMP_SYS(iopl),
    SCMP_SYS(ioperm), SCMP_SYS(modify_ldt), SCMP_SYS(vm86), SCMP_SYS(vm86old),
    // its parts that faults are found in
    SCMP_SYS(bpf), SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd), SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register), SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(keyctl), SCMP_SYS(fanotify_init),
    SCMP_SYS(vmsplice), SCMP_SYS(memfd_secret), SCMP_SYS(move_pages), SCMP_SYS(migrate_pages), SCMP_SYS(mbind),
    SCMP_SYS(set_mempolicy), SCMP_SYS(remap_file_pages), SCMP_SYS(lookup_dcookie), SCMP_SYS(_sysctl), SCMP_SYS(sysfs),
    SCMP_SYS(uselib), SCMP_SYS(ustat), SCMP_SYS(nfsservctl),
    // clock and name of the machine
    SCMP_SYS(settimeofday), SCMP_SYS(clock_settime), SCMP_SYS(stime), SCMP_SYS(sethostname), SCMP_SYS(setdomainname),
    // who the process is
    SCMP_SYS(setuid), SCMP_SYS(setgid), SCMP_SYS(setreuid), SCMP_SYS(setregid), SCMP_SYS(setresuid),
    SCMP_SYS(setresgid), SCMP_SYS(setgroups), SCMP_SYS(setfsuid), SCMP_SYS(setfsgid), SCMP_SYS(capset),
    // device files
    SCMP_SYS(mknod), SCMP_SYS(mknodat)};

struct Release {
    void operator()(void* context) const { ::seccomp_release(context); }
};
using Context = std::unique_ptr<void, Release>;

/// Collects the first error, so that the rules below read as a list.
class Rules {
public:
    explicit Rules(scmp_filter_ctx context) : context_(context) {}

    void refuse(int call) { add(call, EPERM, {}); }
    void refuse(int call, int error, std::initializer_list<scmp_arg_cmp> when) { add(call, error, when); }
    [[nodiscard]] int error() const { return error_; }

private:
    void add(int call, int error, std::initializer_list<scmp_arg_cmp> when) {
        if (error_ == 0) {
            error_ = ::seccomp_rule_add_array(context_, SCMP_ACT_ERRNO(static_cast<std::uint32_t>(error)), call,
                                              static_cast<unsigned>(when.size()), when.begin());
        }
    }
    scmp_filter_ctx context_;
    int error_ = 0;
};

scmp_arg_cmp has_bits(unsigned argument, std::uint64_t bits) { return {argument, SCMP_CMP_MASKED_EQ, bits, bits}; }

#if defined(__s390__)
constexpr unsigned clone_flags = 1;
#else
constexpr unsigned clone_flags = 0;
#endif

/// Threads are made, processes are not. What clone3 is to make lies in memory, where no filter can look: ENOSYS, as of
/// an older kernel, sends the C library to clone.
void refuse_new_processes(Rules& rules) {
    for (const int call : new_programs) {
        rules.refuse(call);
    }
    rules.refuse(SCMP_SYS(clone), EPERM, {{clone_flags, SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0}});
    rules.refuse(SCMP_SYS(clone3), ENOSYS, {});
    for (const int call : other_processes) {
        rules.refuse(call);
    }
}

/// Nothing that was written is executed. Libraries are mapped as what they are from the start, and stay possible.
void refuse_new_code(Rules& rules) {
    const scmp_arg_cmp executable = has_bits(2, PROT_EXEC);
    for (const int call : {SCMP_SYS(mmap), SCMP_SYS(mmap2)}) {
        rules.refuse(call, EPERM, {has_bits(2, PROT_EXEC | PROT_WRITE)});
    }
    rules.refuse(SCMP_SYS(mprotect), EPERM, {executable});
    rules.refuse(SCMP_SYS(pkey_mprotect), EPERM, {executable});
    rules.refuse(SCMP_SYS(shmat), EPERM, {has_bits(2, SHM_EXEC)});
}

/// Of all kinds of socket: the Internet's, Unix ones, and netlink, by which the C library asks for the machine's
/// addresses when it sorts those of a host.
void refuse_odd_sockets(Rules& rules) {
    for (unsigned family = 1; family < AF_NETLINK; ++family) {
        if (family != AF_UNIX && family != AF_INET && family != AF_INET6) {
            rules.refuse(SCMP_SYS(socket), EAFNOSUPPORT, {{0, SCMP_CMP_EQ, family, 0}});
        }
    }
    rules.refuse(SCMP_SYS(socket), EAFNOSUPPORT, {{0, SCMP_CMP_GT, AF_NETLINK, 0}});
    rules.refuse(SCMP_SYS(socket), EAFNOSUPPORT, {{0, SCMP_CMP_EQ, AF_NETLINK, 0}, {2, SCMP_CMP_NE, 0, 0}});
}

void refuse_all(Rules& rules) {
    for (const int call : refused) {
        rules.refuse(call);
    }
    // What is put into a terminal's input is executed by the shell behind it.
    rules.refuse(SCMP_SYS(ioctl), EPERM, {{1, SCMP_CMP_MASKED_EQ, 0xffffffff, TIOCSTI}});
    rules.refuse(SCMP_SYS(ioctl), EPERM, {{1, SCMP_CMP_MASKED_EQ, 0xffffffff, TIOCLINUX}});
    refuse_odd_sockets(rules);
    if (!is_sanitized) {
        refuse_new_processes(rules);
        refuse_new_code(rules);
    }
}

std::string filter_failure(const char* what, int error) {
    return std::string("system calls are not filtered: ") + what + ": " + std::generic_category().message(-error);
}

}  // namespace

std::optional<std::string> filter_system_calls() {
    const Context context(::seccomp_init(SCMP_ACT_ALLOW));
    if (!context) {
        return "system calls are not filtered: libseccomp knows no filter for this machine";
    }
    // A call by the numbers of another machine (32-bit ones, x32) would walk around the filter; nothing honest makes
    // one.
    int error = ::seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (error == 0) {
        error = ::seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_TSYNC, 1);
    }
    if (error != 0) {
        return filter_failure("the kernel is too old", error);
    }
    Rules rules(context.get());
    refuse_all(rules);
    if (rules.error() != 0) {
        return filter_failure("a rule", rules.error());
    }
    error = ::seccomp_load(context.get());
    if (error != 0) {
        return filter_failure("the kernel refuses the filter", error);
    }
    return std::nullopt;
}

}  // namespace postern::sandbox::detail
