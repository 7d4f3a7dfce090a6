#include "queue/detail/file_system.hpp"

#include <linux/magic.h>

#include <cstdint>

namespace postern::queue::detail {

namespace {

// Not in every linux/magic.h; as in the manual page of statfs(2), and of those outside the kernel, in their sources.
constexpr std::uint32_t cifs = 0xFF534D42;
constexpr std::uint32_t smb2 = 0xFE534D42;
constexpr std::uint32_t gfs2 = 0x01161970;
constexpr std::uint32_t ocfs2 = 0x7461636F;
constexpr std::uint32_t lustre = 0x0BD00BD0;
constexpr std::uint32_t gpfs = 0x47504653;

}  // namespace

std::string_view unfit_file_system(long type) noexcept {
    switch (static_cast<std::uint32_t>(type)) {  // 32 bits of it, with or without a sign
        case NFS_SUPER_MAGIC:
        case SMB_SUPER_MAGIC:
        case smb2:
        case cifs:
        case V9FS_MAGIC:
        case AFS_SUPER_MAGIC:
        case AFS_FS_MAGIC:
        case CEPH_SUPER_MAGIC:
        case CODA_SUPER_MAGIC:
        case NCP_SUPER_MAGIC:
        case gfs2:
        case ocfs2:
        case lustre:
        case gpfs:
            return "a network file system";
        case FUSE_SUPER_MAGIC:
            return "a FUSE file system";
        default:
            return {};
    }
}

}  // namespace postern::queue::detail
