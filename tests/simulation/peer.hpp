// A simulated mailbox store, or an exchanger of others: one server with a mood. Well, it answers by RFC 2033, or by RFC
// 5321; its other moods are the ways in which servers fail. What it says and takes goes into the Truth.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "random.hpp"
#include "timeline.hpp"
#include "truth.hpp"

namespace postern::simulation {

enum class Mood : std::uint8_t {
    well,
    slow,             ///< answers after seconds
    dead,             ///< refuses connections
    black_hole,       ///< answers no connect
    silent,           ///< accepts connections, says nothing
    bad_greeting,     ///< 554 instead of a greeting
    bad_hello,        ///< 550 to LHLO
    shutting_down,    ///< 421, anywhere
    half_closing,     ///< closes anywhere
    mute_after_data,  ///< takes the content for all, and goes silent somewhere among its replies
    once,             ///< one answer for all after the data
    one_more,         ///< a reply too many behind the last
    one_fewer,        ///< a reply too few
    garbage,          ///< something that is no reply, anywhere
    lying,            ///< takes the content and says 450; refuses MAIL as out of sequence, or DATA after all
    flapping,         ///< dead and well by turns
    deferring,        ///< 4xx for everything
    denying,          ///< knows nobody: its directory is broken
};
constexpr int moods = 18;
[[nodiscard]] const char* to_string(Mood mood);

/// A verdict that a pattern test dictates for one recipient after the data.
enum class Slot : std::uint8_t { by_mood, accept, defer, refuse, close, silence };

class Peer {
public:
    Peer(std::string its_name, Truth& truth, Timeline& timeline, Random& random)
        : name(std::move(its_name)), truth_(truth), timeline_(timeline), random_(random) {}

    std::string name;
    Mood mood = Mood::well;
    Timeline::Milliseconds well_since = 0;
    Timeline::Milliseconds mood_since = 0;
    bool pipelining = true;
    bool chunking = true;
    bool speaks_smtp = false;  ///< one reply after the data, for all
    std::size_t domains = 0;   ///< of others, that it is an exchanger of
    /// By address; for the patterns.
    std::map<std::string, Slot> dictated;
    std::vector<Timeline::Milliseconds> connects;
    std::vector<Timeline::Milliseconds> taken;  ///< transactions that brought it something

    [[nodiscard]] bool is_up() const;

private:
    friend class Session;
    Truth& truth_;
    Timeline& timeline_;
    Random& random_;
};

/// The peer's end of one connection.
class Session {
public:
    /// `say` carries bytes to the gateway after a delay; `hang_up` ends the connection behind them.
    Session(Peer& peer, std::function<void(Timeline::Milliseconds, std::string)> say,
            std::function<void(Timeline::Milliseconds)> hang_up)
        : peer_(peer), say_(std::move(say)), hang_up_(std::move(hang_up)) {}

    void begin();
    void feed(std::string_view bytes);
    void closed_by_gateway() { over_ = true; }

private:
    enum class Phase : std::uint8_t { commands, dotted, counted };

    void command(const std::string& line);
    void content_ends();
    void content_ends_for_all(const std::vector<std::string>& accepted, const std::string& content, Token token);
    void reply(const std::string& text);
    void close();
    /// The mood strikes here, instead of an answer.
    [[nodiscard]] bool strikes();
    [[nodiscard]] std::string verdict(const std::string& address);
    void refuse(const std::string& address);
    void reset();

    Peer& peer_;
    std::function<void(Timeline::Milliseconds, std::string)> say_;
    std::function<void(Timeline::Milliseconds)> hang_up_;
    std::string input_;
    std::string content_;
    std::uint64_t counted_left_ = 0;
    Phase phase_ = Phase::commands;
    static constexpr Token report_token = -1;  ///< the null sender's: its content tells which it is
    Token token_ = 0;
    bool in_mail_ = false;
    bool over_ = false;
    bool mute_ = false;
    std::vector<std::string> accepted_;
};

}  // namespace postern::simulation
