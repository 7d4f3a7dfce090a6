// Recipients that an SQLite database of the operator's knows: a query with one parameter, which is given the address in
// lower case; a row means that there is such a mailbox.
//
// The database is read on a thread of its own, for reading only, and no question takes longer than a second or so. One
// that cannot be answered is `cannot_tell()`: 451, never 550.
//
// Threads: any.
#pragma once

#include <condition_variable>
#include <deque>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "gateway/recipients/check.hpp"

namespace postern::recipients {

class DatabaseCheck final : public Check {
public:
    struct Source {
        std::filesystem::path file;
        std::string query;  ///< "SELECT 1 FROM mailbox WHERE address = ?"
        friend auto operator<=>(const Source&, const Source&) = default;
    };
    /// What goes wrong is told on its own thread, once until something has gone well again.
    using Warn = std::function<void(const std::string&)>;

    DatabaseCheck(Source source, Warn warn);
    /// Answers what still waits with `cannot_tell()`.
    ~DatabaseCheck() override;
    DatabaseCheck(const DatabaseCheck&) = delete;
    DatabaseCheck& operator=(const DatabaseCheck&) = delete;

    [[nodiscard]] std::optional<Verdict> look(const mail::Mailbox&) override { return std::nullopt; }
    void ask(const mail::Mailbox& address, const Ahead& ahead, Done done) override;

    /// Whether the query can be put to the file; what is wrong. Blocks.
    [[nodiscard]] static std::optional<std::string> fault_of(const Source& source);
    /// One answer, on the caller's thread. The error: why there is none.
    [[nodiscard]] static Result<bool, std::string> answer_now(const Source& source, const mail::Mailbox& address);

private:
    struct Question {
        mail::Mailbox address;
        Done done;
    };
    void run();

    const Source source_;
    const Warn warn_;
    std::mutex mutex_;
    std::condition_variable work_;
    std::deque<Question> waiting_;
    bool stopping_ = false;
    std::thread thread_;  // last: it uses all of the above
};

}  // namespace postern::recipients
