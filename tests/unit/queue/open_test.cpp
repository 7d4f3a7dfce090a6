// Opening the queue: what is refused, and with which words; what an interrupted start leaves; who holds the lock.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <fstream>
#include <iterator>

#include "queue/detail/file_lock.hpp"
#include "queue/detail/file_system.hpp"
#include "queue/detail/schema.hpp"
#include "queue/known_recipients.hpp"
#include "tests/unit/queue/store_fixture.hpp"

namespace postern::queue {
namespace {

class OpenTest : public StoreFixture {
protected:
    OpenError refused() {
        auto opened = SqliteStore::open(options_, clock_, ears_);
        if (opened.has_value()) {
            ADD_FAILURE() << "it opened";
            return {};
        }
        EXPECT_NE(opened.error().text.find("queue"), std::string::npos) << opened.error().text;
        return opened.error();
    }
    void execute(const char* sql) { detail::Connection(options_.path, detail::OpenMode::read_write).execute(sql); }
    /// A queue with one message, as a killed process leaves it: the log is still there.
    MessageId crash_with_one_message() {
        const pid_t child = ::fork();
        if (child == 0) {
            auto opened = SqliteStore::open(options_, clock_, ears_);
            store_ = std::move(*opened);
            (void)accept({"a@example.com"}, "content");
            ::kill(::getpid(), SIGKILL);
        }
        int status = 0;
        EXPECT_EQ(::waitpid(child, &status, 0), child);
        EXPECT_TRUE(WIFSIGNALED(status));
        return MessageId(query("SELECT id FROM message"));
    }
};

TEST_F(OpenTest, TheFileIsPrivate) {
    const auto old = ::umask(0);
    open();
    (void)accept({"a@example.com"}, "content");
    ::umask(old);
    for (const char* suffix : {"", "-wal", "-shm", "-lock"}) {
        const auto mode = std::filesystem::status(options_.path.string() + suffix).permissions();
        EXPECT_EQ(mode & std::filesystem::perms(0077), std::filesystem::perms::none) << suffix;
    }
}

TEST_F(OpenTest, AnEmptyFileBecomesAQueue) {
    std::ofstream(options_.path).close();
    open();
    (void)accept({"a@example.com"}, "content");
}

TEST_F(OpenTest, RefusesANewerSchemaAndLeavesItAsItWas) {
    open();
    store_.reset();
    execute("PRAGMA user_version=1000");
    EXPECT_EQ(refused().kind, OpenError::Kind::newer_schema);
    EXPECT_EQ(open_reader(options_.path).error().kind, OpenError::Kind::newer_schema);
    EXPECT_EQ(query("PRAGMA user_version"), 1000);
}

TEST_F(OpenTest, RefusesAnotherProgramsDatabase) {
    detail::Connection(options_.path, detail::OpenMode::create)
        .execute("CREATE TABLE theirs (x); PRAGMA user_version=1");
    EXPECT_EQ(refused().kind, OpenError::Kind::damaged);
    EXPECT_EQ(open_reader(options_.path).error().kind, OpenError::Kind::damaged);
    EXPECT_EQ(query("SELECT count(*) FROM sqlite_schema"), 1);
}

TEST_F(OpenTest, RefusesWhatIsNoDatabaseAndLeavesItAsItWas) {
    const std::string text(5000, 'q');
    std::ofstream(options_.path) << text;
    EXPECT_EQ(refused().kind, OpenError::Kind::damaged);
    EXPECT_EQ(open_reader(options_.path).error().kind, OpenError::Kind::damaged);
    EXPECT_EQ(std::filesystem::file_size(options_.path), text.size());
}

TEST_F(OpenTest, RefusesATruncatedFile) {
    open();
    for (int i = 0; i < 50; ++i) {
        (void)accept({"a@example.com"}, std::string(10'000, 'x'));
    }
    store_.reset();
    std::filesystem::resize_file(options_.path, 4096 * 3);
    // Its pages are missed where they are needed; nothing is made up.
    auto opened = SqliteStore::open(options_, clock_, ears_);
    if (opened.has_error()) {
        EXPECT_EQ(opened.error().kind, OpenError::Kind::damaged) << opened.error().text;
    } else {
        const auto read = reader();
        ASSERT_TRUE(read);
        const auto listed = read->list(Filter(), clock_.wall(), [](const QueuedMessage&) { return true; });
        EXPECT_EQ(listed.error(), ReadError::damaged);
    }
}

TEST_F(OpenTest, ALogOfNoLengthIsNoHarm) {
    open();
    const MessageId id = accept({"a@example.com"}, "content");
    store_.reset();
    std::ofstream(options_.path.string() + "-wal").close();
    open();
    EXPECT_TRUE(reader()->verify(id).has_value());
}

TEST_F(OpenTest, TakesUpWhatAKilledProcessLeft) {
    const MessageId id = crash_with_one_message();
    ASSERT_TRUE(std::filesystem::exists(options_.path.string() + "-wal"));
    open();  // the lock of the dead is free
    EXPECT_TRUE(reader()->verify(id).has_value());
    EXPECT_GT(store_->begin()->id(), id);
}

TEST_F(OpenTest, ALogThatWasCutKeepsWhatIsWhole) {
    const MessageId id = crash_with_one_message();
    const auto log = options_.path.string() + "-wal";
    std::ofstream(log, std::ios::app) << std::string(10'000, 'g');  // a write that never ended
    open();
    EXPECT_TRUE(reader()->verify(id).has_value());
}

TEST_F(OpenTest, SweepsPartsOfMessagesThatNeverCame) {
    const pid_t child = ::fork();
    if (child == 0) {
        auto opened = SqliteStore::open(options_, clock_, ears_);
        store_ = std::move(*opened);
        auto message = store_->begin();
        (void)append(*message, std::string(100'000, 'x'));
        (void)append(*message, std::string(100'000, 'x'));
        (void)accept({"a@example.com"}, "kept", {std::string(50'000, 'k')});
        ::kill(::getpid(), SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(query("SELECT count(DISTINCT message) FROM chunk"), 2);
    open();
    EXPECT_EQ(query("SELECT count(DISTINCT message) FROM chunk"), 1);
    EXPECT_EQ(query("SELECT count(*) FROM incoming"), 0);
    EXPECT_TRUE(reader()->verify(MessageId(query("SELECT id FROM message"))).has_value());
}

TEST_F(OpenTest, RefusesAMissingFolder) {
    options_.path = folder_ / "nowhere" / "queue.db";
    EXPECT_EQ(refused().kind, OpenError::Kind::io);
    EXPECT_EQ(open_reader(options_.path).error().kind, OpenError::Kind::not_found);
}

TEST_F(OpenTest, RefusesAFolderInTheFilesPlace) {
    std::filesystem::create_directory(options_.path);
    EXPECT_EQ(refused().kind, OpenError::Kind::refused);
}

TEST_F(OpenTest, RefusesALinkToTheFileButNotToItsFolder) {
    open();
    const MessageId id = accept({"a@example.com"}, "content");
    store_.reset();
    std::filesystem::create_symlink(options_.path, folder_ / "queue-link.db");
    std::filesystem::create_directory_symlink(folder_, folder_.string() + "-queue-link");
    const auto real = options_.path;
    options_.path = folder_ / "queue-link.db";
    EXPECT_EQ(refused().kind, OpenError::Kind::refused);
    options_.path = std::filesystem::path(folder_.string() + "-queue-link") / "queue.db";
    open();
    EXPECT_TRUE(reader()->verify(id).has_value());
    store_.reset();
    std::filesystem::remove(folder_.string() + "-queue-link");
    options_.path = real;
}

// Whoever may write to the folder could have another's file written to, or one made where he may not.
TEST_F(OpenTest, NoLinkBesideTheQueueIsFollowed) {
    options_.minimum_free_disk = 1;  // with a reserve
    const auto victim = folder_ / "victim";
    const auto nothing = folder_ / "nothing";
    const std::string text(10'000, 'v');
    for (const char* suffix :
         {"", "-wal", "-shm", "-journal", "-lock", "-reserve", "-history", "-history-wal", "-history-shm",
          "-history-journal", "-history.aside", "-recipients", "-recipients-wal", "-recipients-unusable"}) {
        for (const auto& target : {victim, nothing}) {
            for (const bool exists : {false, true}) {
                const std::string when =
                    std::string(suffix) + " to " + target.filename().string() + (exists ? ", later" : ", at first");
                std::filesystem::remove_all(folder_);
                std::filesystem::create_directories(folder_);
                if (exists) {
                    open();
                    (void)accept({"a@example.com"}, "content");
                    drain();
                    store_.reset();
                    // What is set aside goes over what is there.
                    std::ofstream(options_.path.string() + "-history") << text;
                    std::ofstream(options_.path.string() + "-recipients") << text;
                }
                std::ofstream(victim) << text;
                const auto link = options_.path.string() + suffix;
                std::filesystem::remove(link);
                std::filesystem::create_symlink(target, link);
                auto opened = SqliteStore::open(options_, clock_, ears_);
                if (opened.has_value()) {
                    store_ = std::move(*opened);
                    (void)accept({"a@example.com"}, "content");
                    drain();
                    store_.reset();
                } else {
                    EXPECT_NE(opened.error().text.find(options_.path.string()), std::string::npos) << when;
                }
                auto known = KnownRecipientsFile::open(options_.path, [](const std::string&) {});
                if (known) {
                    known->write({KnownRecipient()});
                    known.reset();
                }
                std::ifstream read(victim);
                EXPECT_EQ(std::string(std::istreambuf_iterator<char>(read), {}), text) << when;
                EXPECT_FALSE(std::filesystem::exists(nothing)) << when;
            }
        }
    }
}

TEST_F(OpenTest, RefusesAFileWithTwoNames) {
    open();
    store_.reset();
    std::filesystem::create_hard_link(options_.path, folder_ / "other.db");
    EXPECT_EQ(refused().kind, OpenError::Kind::refused);
}

// Numbers from statfs(2), written out, as the header's names are what is tested.
TEST(FileSystem, OnesOfOtherHostsAndOfProgramsAreUnfit) {
    for (const long network : {0x6969L, 0xFF534D42L, 0xFE534D42L, 0x517BL, 0x01021997L, 0x5346414FL, 0x6B414653L,
                               0x00C36400L, 0x73757245L, 0x564CL, 0x01161970L, 0x7461636FL, 0x0BD00BD0L, 0x47504653L,
                               static_cast<long>(static_cast<std::int32_t>(0xFF534D42))}) {
        EXPECT_EQ(detail::unfit_file_system(network), "a network file system") << std::hex << network;
    }
    EXPECT_EQ(detail::unfit_file_system(0x65735546L), "a FUSE file system");
    // ext4, XFS, Btrfs, tmpfs, overlayfs, F2FS, ZFS, bcachefs
    for (const long local :
         {0xEF53L, 0x58465342L, 0x9123683EL, 0x01021994L, 0x794C7630L, 0xF2F52010L, 0x2FC12FC1L, 0xCA451A4EL}) {
        EXPECT_EQ(detail::unfit_file_system(local), "") << std::hex << local;
    }
}

TEST_F(OpenTest, RefusesAFileThatCannotBeWritten) {
    open();
    store_.reset();
    std::filesystem::remove(options_.path.string() + "-lock");
    std::filesystem::permissions(options_.path, std::filesystem::perms(0444));
    const pid_t child = ::fork();
    if (child == 0) {
        // Root may write everywhere.
        std::filesystem::permissions(folder_, std::filesystem::perms(0777));
        if (::geteuid() == 0 && ::seteuid(65534) != 0) {
            ::_exit(3);
        }
        auto opened = SqliteStore::open(options_, clock_, ears_);
        ::_exit(opened.has_error() && opened.error().kind == OpenError::Kind::refused ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(OpenTest, TheLockNamesItsOwnerAndGoesWithIt) {
    std::array<int, 2> ready{};
    ASSERT_EQ(::pipe(ready.data()), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        auto lock = detail::FileLock::take(options_.path);
        const char byte = lock.has_value() ? 'y' : 'n';
        (void)!::write(ready[1], &byte, 1);
        ::pause();
        ::_exit(0);
    }
    char byte = 0;
    ASSERT_EQ(::read(ready[0], &byte, 1), 1);
    ASSERT_EQ(byte, 'y');
    const OpenError error = refused();
    EXPECT_EQ(error.kind, OpenError::Kind::in_use);
    EXPECT_EQ(error.pid, child);
    EXPECT_NE(error.text.find(std::to_string(child)), std::string::npos);
    ::kill(child, SIGKILL);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    ::close(ready[0]);
    ::close(ready[1]);
    open();  // its pid is still in the file, which means nothing
}

// POSIX locks go when ANY descriptor of the file is closed in the process. The reader's shared lock is what keeps
// another program that closes the file last from taking the log away.
TEST_F(OpenTest, OpeningForWritingKeepsTheLocksOfThisProcessesReader) {
    open();
    (void)accept({"a@example.com"}, "content");
    store_.reset();
    const auto read = reader();
    ASSERT_TRUE(read->totals().has_value());
    open();
    const auto locked = [this] {
        struct stat file {};
        EXPECT_EQ(::stat(options_.path.c_str(), &file), 0);
        std::ifstream locks("/proc/locks");
        for (std::string line; std::getline(locks, line);) {
            if (line.find(":" + std::to_string(file.st_ino) + " ") != std::string::npos &&
                line.find(" " + std::to_string(::getpid()) + " ") != std::string::npos) {
                return true;
            }
        }
        return false;
    };
    EXPECT_TRUE(locked());
}

}  // namespace
}  // namespace postern::queue
