// A resolver that answers what the test has told it, at once. What it was not told does not exist.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "gateway/dns/resolver.hpp"

namespace postern::dns::tests {

class ScriptedResolver final : public Resolver {
public:
    enum class Proof : std::uint8_t { insecure, secure };

    void found(const std::string& name, RecordType type, std::vector<Record> records, Proof proof = Proof::insecure) {
        Answer& answer = answers_[{name, type}];
        answer.status = Status::found;
        answer.records = std::move(records);
        answer.secure = proof == Proof::secure;
        answer.canonical_name = name;
    }
    /// Anything else: no data, bogus, failed, reached through an alias.
    void answer(const std::string& name, RecordType type, Answer answer) { answers_[{name, type}] = std::move(answer); }
    void answer(const std::string& name, RecordType type, Status status, Proof proof = Proof::insecure) {
        Answer answer;
        answer.status = status;
        answer.secure = proof == Proof::secure;
        answer.canonical_name = name;
        answer.why = "as the test says";
        answers_[{name, type}] = std::move(answer);
    }

    boost::asio::awaitable<Answer> lookup(std::string name, RecordType type) override {
        asked.emplace_back(name, type);
        const auto known = answers_.find({name, type});
        if (known != answers_.end()) {
            co_return known->second;
        }
        Answer none;
        none.status = Status::no_such_name;
        none.canonical_name = name;
        co_return none;
    }

    std::vector<std::pair<std::string, RecordType>> asked;  ///< in order

private:
    std::map<std::pair<std::string, RecordType>, Answer> answers_;
};

}  // namespace postern::dns::tests
