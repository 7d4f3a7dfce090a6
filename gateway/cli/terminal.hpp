// Where a command writes: standard output and error, a terminal or not.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace postern::cli {

class Output {
public:
    virtual ~Output() = default;
    virtual void write(std::string_view text) = 0;
    /// Nobody reads any more (a closed pipe, a full disk): a command may stop.
    [[nodiscard]] virtual bool closed() const = 0;
};

enum class Buffering : bool { none, full };

/// Output to a file descriptor. Threads: one.
class DescriptorOutput final : public Output {
public:
    DescriptorOutput(int descriptor, Buffering buffering) : descriptor_(descriptor), buffering_(buffering) {}
    ~DescriptorOutput() override { flush(); }
    DescriptorOutput(const DescriptorOutput&) = delete;
    DescriptorOutput& operator=(const DescriptorOutput&) = delete;

    void write(std::string_view text) override;
    [[nodiscard]] bool closed() const override { return error_ != 0; }
    void flush();
    /// errno of the first write that failed; 0: none. EPIPE is no failure of ours: the reader (`head`) had enough.
    [[nodiscard]] int error() const noexcept { return error_; }

private:
    int descriptor_;
    Buffering buffering_;
    int error_ = 0;
    std::string buffer_;
};

/// Output kept in memory, for tests.
class StringOutput final : public Output {
public:
    void write(std::string_view text) override { text_ += text; }
    [[nodiscard]] bool closed() const override { return false; }
    [[nodiscard]] const std::string& text() const noexcept { return text_; }

private:
    std::string text_;
};

struct Terminal {
    Output& out;
    Output& err;
    std::size_t columns = 0;  ///< of standard output; 0: it is not a terminal, and nothing is cut
    /// Asks the operator; nullopt: there is nobody to ask.
    std::function<std::optional<bool>(const std::string& question)> ask;
};

/// Columns of the terminal on `descriptor`; 0: it is none.
[[nodiscard]] std::size_t columns_of(int descriptor);
/// Asks on the controlling terminal by way of standard error and input; nullopt when one of them is no terminal.
[[nodiscard]] std::optional<bool> ask_operator(const std::string& question);

}  // namespace postern::cli
