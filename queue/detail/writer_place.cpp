// The writer and the place of its file: what it does when somebody takes the file away while it is open.
#include <sqlite3.h>

#include <utility>

#include "queue/detail/writer.hpp"

namespace postern::queue::detail {

void Writer::watch_place() {
    std::string wrong = place_.problem();
    const bool is_new = !wrong.empty() && !displaced();
    displaced_ = !wrong.empty();
    if (healthy()) {
        tell_problem(wrong);  // before anybody hears that he is refused
    }
    if (is_new) {
        take_back_new();
        if (healthy() && !transaction_) {
            (void)checkpoint(Checkpoint::passive);
        }
    }
}

void Writer::take_back_new() {
    if (effects_.committed.empty()) {
        return;
    }
    try {
        begin_if_needed();
        std::int64_t removed = 0;
        for (const auto& message : effects_.committed) {
            removed += tables_->delete_message(message->envelope.id) ? 1 : 0;
        }
        effects_.messages -= removed;
        write_meta();
        connection_->execute("COMMIT");
    } catch (const SqliteError& error) {
        close(error);
        return;
    }
    transaction_ = false;
    ++flushes_;
    effects_.committed.clear();
    Commands refused;
    for (auto& command : batch_) {
        if (command->haste() == Command::Haste::commit) {
            refused.push_back(std::move(command));
        }
    }
    std::erase(batch_, nullptr);
    done_ = batch_.size();
    finish(refused, refusal());
    listener_.batch_done();  // perhaps nobody else is left to answer
}

void Writer::keep_log_of_others() noexcept {
    if (!connection_ || place_.problem().empty()) {
        return;
    }
    // What only the log holds goes into the file first: that is what a moved file is found with.
    if (!transaction_) {
        sqlite3_wal_checkpoint_v2(connection_->handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
    }
    sqlite3_db_config(connection_->handle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
}

}  // namespace postern::queue::detail
