// The operator's database: what is refused as a query, and what an answer may cost.
#include "gateway/recipients/database.hpp"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <future>

#include "tests/unit/gateway/recipients/words.hpp"

namespace postern::recipients::tests {
namespace {

class DatabaseTest : public ::testing::Test {
protected:
    DatabaseTest() : file_(std::filesystem::temp_directory_path() / ("postern-db-" + std::to_string(::getpid()))) {
        std::filesystem::remove(file_);
        EXPECT_EQ(sqlite3_open(file_.c_str(), &writer_), SQLITE_OK);
        execute("CREATE TABLE m (a TEXT); INSERT INTO m VALUES ('ann@example.com')");
    }
    ~DatabaseTest() override {
        sqlite3_close(writer_);
        std::filesystem::remove(file_);
    }
    void execute(const char* sql) {
        EXPECT_EQ(sqlite3_exec(writer_, sql, nullptr, nullptr, nullptr), SQLITE_OK) << sql;
    }
    std::string fault(const std::string& query) { return DatabaseCheck::fault_of({file_, query}).value_or("none"); }

    std::filesystem::path file_;
    sqlite3* writer_ = nullptr;
};

TEST_F(DatabaseTest, TakesOneSelectWithOneParameter) {
    EXPECT_EQ(fault("SELECT 1 FROM m WHERE a = ?"), "none");
    EXPECT_EQ(fault("SELECT 1 FROM m WHERE a = :address;"), "none");
    EXPECT_NE(fault("SELECT 1 FROM m").find("needs one `?`"), std::string::npos);
    EXPECT_NE(fault("SELECT 1 FROM m WHERE a = ? OR a = ?").find("needs one `?`"), std::string::npos);
    EXPECT_NE(fault("DELETE FROM m WHERE a = ?").find("is not a SELECT"), std::string::npos);
    EXPECT_NE(fault("SELECT 1 FROM m WHERE a = ?; DROP TABLE m").find("more than one statement"), std::string::npos);
    EXPECT_NE(fault("SELECT 1 FROM nowhere WHERE a = ?").find("no such table"), std::string::npos);
    EXPECT_NE(fault(""), "none");
    EXPECT_NE(DatabaseCheck::fault_of({file_.string() + "-not-there", "SELECT ?"}), std::nullopt);
}

TEST_F(DatabaseTest, AnswersOnItsThread) {
    DatabaseCheck check({file_, "SELECT 1 FROM m WHERE a = ?"}, [](const std::string& text) { FAIL() << text; });
    const auto ask = [&](const char* address) {
        std::promise<Verdict> answer;
        auto future = answer.get_future();
        check.ask(mailbox(address), {}, [&](Verdict verdict) { answer.set_value(std::move(verdict)); });
        return future.get();
    };
    EXPECT_FALSE(ask("Ann@Example.com").refusal);
    const Verdict refused = ask("bob@example.com");
    ASSERT_TRUE(refused.refusal);
    EXPECT_TRUE(refused.is_unknown);
    EXPECT_EQ(refused.refusal->code(), 550);
}

TEST_F(DatabaseTest, AQueryThatTakesTooLongIsGivenUp) {
    const auto answer = DatabaseCheck::answer_now(
        {file_, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT 1 FROM n WHERE i = ?"},
        mailbox("ann@example.com"));
    ASSERT_TRUE(answer.has_error());
    EXPECT_NE(answer.error().find("takes too long"), std::string::npos) << answer.error();
}

TEST_F(DatabaseTest, WhatStillWaitsAtTheEndIsAnswered) {
    std::vector<std::future<Verdict>> answers;
    {
        DatabaseCheck check({file_, "SELECT 1 FROM m WHERE a = ?"}, {});
        for (int i = 0; i < 100; ++i) {
            auto promise = std::make_shared<std::promise<Verdict>>();
            answers.push_back(promise->get_future());
            check.ask(mailbox("ann@example.com"), {}, [promise](Verdict verdict) { promise->set_value(verdict); });
        }
    }
    for (auto& answer : answers) {
        const Verdict verdict = answer.get();
        EXPECT_TRUE(!verdict.refusal || verdict.refusal->code() == 451);
    }
}

}  // namespace
}  // namespace postern::recipients::tests
