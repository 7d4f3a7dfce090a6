// Records results: changes of recipients, and the reports that their senders have to get, all in one transaction. Knows
// not who is told what: that is the Reporter's.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "queue/detail/history_log.hpp"
#include "queue/detail/tables.hpp"
#include "queue/detail/writer.hpp"
#include "queue/reporter.hpp"
#include "queue/store.hpp"

namespace postern::queue::detail {

class RecordCommand final : public Command {
public:
    /// What it needs of the store, which outlives it.
    struct Surroundings {
        HistoryLog& history;
        Reporter* reporter;  ///< nullptr: nobody is told
        std::function<MessageId()> next_id;
        std::function<void()> put_off;  ///< StoreListener's
        /// The content for the scheduler, when there is room in memory; else nullptr.
        std::function<std::shared_ptr<const std::string>(const std::shared_ptr<const std::string>&)> for_hand_over;
    };
    RecordCommand(std::vector<RecipientUpdate> updates, std::vector<HistoryEvent> events, StoreCompletion done,
                  const Surroundings& around);

    [[nodiscard]] Haste haste() const override { return Haste::relaxed; }
    void execute(Tables& tables, BatchEffects& effects) override;
    void finish(StoreStatus status) override;

private:
    /// The updates in the order of their messages, with the states that they have once it is decided who is told.
    [[nodiscard]] std::vector<RecipientUpdate> decided(Tables& tables, BatchEffects& effects);
    void decide(std::span<RecipientUpdate> of_message, Tables& tables, BatchEffects& effects);
    /// Of a message with a late recipient, adds the others that wait: one notice tells of all. `seen` need no adding.
    static void add_late(MessageId message, const std::set<Ordinal>& seen, std::vector<Reporter::Told>& told,
                         Tables& tables);
    void ask(Reporter::Case about, const std::vector<RecipientUpdate*>& updates, Tables& tables, BatchEffects& effects);
    void queue_report(CommittedMessage report, const Reporter::Case& about, Tables& tables, BatchEffects& effects);
    void note(const Reporter::Case& about, const Reporter::Told& told, const char* event, std::string why);

    const std::vector<RecipientUpdate> updates_;
    std::vector<HistoryEvent> events_;
    std::vector<HistoryEvent> told_;  ///< what the reports add to them
    StoreCompletion done_;
    const Surroundings& around_;
    const bool tells_;
    bool put_off_ = false;  ///< in the transaction that executed it last
};

}  // namespace postern::queue::detail
