// What people read: pure, values in and text out. A stranger's text is escaped here, and nowhere else.
#pragma once

#include <string>
#include <vector>

#include "gateway/cli/command.hpp"
#include "gateway/control/operations.hpp"

namespace postern::cli {

/// `queue list`, row by row: the first rows are kept back until the columns' widths are known.
class ListTable {
public:
    /// `columns`: the terminal's width, to which the reason is cut; 0: nothing is cut.
    ListTable(std::size_t columns, queue::Instant now) : columns_(columns), now_(now) {}

    /// What to print now; may be empty.
    [[nodiscard]] std::string add(const control::MessageView& message);
    /// What is left to print; empty when there was no row at all.
    [[nodiscard]] std::string finish();

private:
    using Row = std::vector<std::string>;
    [[nodiscard]] Row row_of(const control::MessageView& message) const;
    [[nodiscard]] std::string flush();
    [[nodiscard]] std::string line(const Row& row) const;

    std::size_t columns_;
    queue::Instant now_;
    std::vector<Row> kept_;
    std::vector<std::size_t> widths_;  ///< empty: not known yet
};

/// "2 waiting, 1 held".
[[nodiscard]] std::string recipients_by_state(const control::MessageView& message);

[[nodiscard]] std::string render_message(const control::MessageView& message, queue::Instant now);
[[nodiscard]] std::string render_status(const control::Status& status, queue::Instant now);
[[nodiscard]] std::string render_backend(const control::BackendStatus& backend, queue::Instant now);
[[nodiscard]] std::string render_why(const control::WhyView& why, queue::Instant now);
[[nodiscard]] std::string render_shape(std::vector<queue::ShapeCell> cells, const control::ShapeRequest& request);
[[nodiscard]] std::string render_event(const queue::HistoryEvent& event);  ///< one line; a transcript: several

[[nodiscard]] std::string render_route(const std::string& address, const Route& route);

}  // namespace postern::cli
