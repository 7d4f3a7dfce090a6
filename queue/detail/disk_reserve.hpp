// Room on the disk that is kept for bad days: a file beside the queue, allocated and never used. When the disk is full
// it is given up, and what it frees is for the records of deliveries alone; so a full disk stops the acceptance of
// mail, and not its delivery, which is what empties the disk again.
//
// Threads: the writer's.
#pragma once

#include <cstdint>
#include <filesystem>

namespace postern::queue::detail {

class DiskReserve {
public:
    DiskReserve() = default;
    virtual ~DiskReserve() = default;
    DiskReserve(const DiskReserve&) = delete;
    DiskReserve& operator=(const DiskReserve&) = delete;

    virtual void give_up() = 0;
    /// False: there is no room for it.
    [[nodiscard]] virtual bool restore() = 0;
};

class FileReserve final : public DiskReserve {
public:
    /// The file is `queue` + "-reserve". With 0 octets there is none, and restore() is always true.
    FileReserve(const std::filesystem::path& queue, std::uint64_t octets);
    /// The file stays: the next start finds it allocated.
    ~FileReserve() override = default;

    void give_up() override;
    [[nodiscard]] bool restore() override;

private:
    std::filesystem::path file_;
    std::uint64_t octets_;
};

}  // namespace postern::queue::detail
