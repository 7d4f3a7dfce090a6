// Confines the process for as long as it lives: what breaks in by a fault in a parser finds no program to run, no other
// process to look into, no file to write but the queue's, and leaves no picture of the memory behind.
//
// Each layer holds by itself; one that the kernel has not got is told of, and costs nobody his gateway.
//
// Threads: called once, before the first thread: files are confined by thread and by what it starts.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace postern::sandbox {

/// What holds from now on.
struct Confinement {
    bool no_core_dumps = false;
    bool system_calls = false;            ///< filtered by seccomp(2)
    bool files = false;                   ///< written and made in the folders below alone, by landlock(7)
    std::vector<std::string> problems{};  ///< why something of that does not
};

/// For good: no new privileges, no core dump and no reading of this process's memory by others of its user, no system
/// call of those that system_call_filter.cpp lists, no file made, written or removed but in `writable` (folders; what
/// does not exist is passed over), and none executed. Files may be read as before.
[[nodiscard]] Confinement confine(const std::vector<std::filesystem::path>& writable);

/// For good: what is executed from now on gets no more rights than this process. confine() does it as well.
void refuse_new_privileges();

}  // namespace postern::sandbox
