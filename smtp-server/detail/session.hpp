// One session: reads top to bottom like the dialogue of RFC 5321. Decides nothing itself: the grammar says what was
// said, the Dialogue what may be done, the hooks whether it is welcome.
//
// Replies to commands that came together leave in one write (RFC 2920 section 3.2): output is held until no whole
// command is left. A small content is held until its end; a larger one goes to the sink in parts, so that a session's
// memory is bounded by a part.
//
// Deadlines are for a whole command line and a whole message, not for reads; the I/O thread's sweep asks for them
// (overdue()), so that no read costs a timer.
//
// Threads: that of its executor, all of it.
#pragma once

#include <array>
#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <string>

#include "smtp-server/detail/bdat_reader.hpp"
#include "smtp-server/detail/client_table.hpp"
#include "smtp-server/detail/data_reader.hpp"
#include "smtp-server/detail/dialogue.hpp"
#include "smtp-server/detail/line_reader.hpp"
#include "smtp-server/detail/tls_channel.hpp"
#include "smtp-server/hooks.hpp"
#include "smtp-server/listener_options.hpp"

namespace postern::smtp_server::detail {

class Session {
public:
    using Socket = boost::asio::generic::stream_protocol::socket;
    using SteadyClock = std::chrono::steady_clock;

    /// What is counted of all sessions.
    struct Counters {
        std::atomic<std::uint64_t> messages{0};  ///< answered with 2xx
        std::atomic<std::uint64_t> tls_full{0};  ///< handshakes
        std::atomic<std::uint64_t> tls_resumed{0};
        std::atomic<std::uint64_t> tls_failed{0};
    };

    /// What sessions of a thread share. Outlives them.
    struct Surroundings {
        Hooks& hooks;
        Counters& counters;
        ClientTable& clients;
        std::string& scratch;  ///< for reads of large contents; of the thread
    };

    /// Who is at the other end, and what that end is allowed.
    struct Client {
        SessionInfo info;
        ClientTable::Place place;
        bool behind_balancer = false;  ///< the header with the true client comes first
    };

    Session(Socket socket, Client client, std::shared_ptr<const SessionOptions> options, Surroundings surroundings);

    /// The whole session; `refusal`: said in place of the greeting.
    boost::asio::awaitable<void> run(Refusal refusal);

    /// Called by the sweep: past its deadline, the session says 421 and closes. `stressed`: room is short.
    void expire_if_overdue(SteadyClock::time_point now, bool stressed);
    /// No further command is taken; a content under way goes on to its end.
    void drain();
    /// Cuts the connection.
    void abort();

    [[nodiscard]] const SessionInfo& info() const { return info_; }

private:
    enum class Doing : std::uint8_t { awaiting_command, shaking_hands, receiving, writing, asking };
    struct Chunks;  // a message that comes by BDAT

    // session_opening.cpp
    boost::asio::awaitable<void> open(Refusal refusal);
    boost::asio::awaitable<void> meet_balancer();
    void meet_client(const std::string& address);
    boost::asio::awaitable<void> await_greeting();
    void greet(Refusal refusal);

    boost::asio::awaitable<void> talk();
    boost::asio::awaitable<void> take_line();
    boost::asio::awaitable<void> take_command(const Command& command);
    boost::asio::awaitable<void> take_mail(const MailCommand& command);
    boost::asio::awaitable<void> take_rcpt(const RcptCommand& command);

    // session_tls.cpp
    boost::asio::awaitable<void> take_starttls();
    boost::asio::awaitable<void> shake_hands();
    boost::asio::awaitable<void> fill_tls(Doing doing);
    boost::asio::awaitable<boost::system::error_code> send_tls();
    boost::asio::awaitable<boost::system::error_code> await_socket(TlsChannel::Need need, Doing doing);
    [[nodiscard]] bool more_lies_in_the_socket();
    boost::asio::awaitable<boost::system::error_code> await_readable(Doing doing);

    // session_content.cpp
    boost::asio::awaitable<void> take_data();
    boost::asio::awaitable<void> receive_data(MessageSink& sink);
    boost::asio::awaitable<void> take_chunk(Bdat command);
    boost::asio::awaitable<void> receive_chunk(std::uint64_t size);
    boost::asio::awaitable<void> discard_chunk(std::uint64_t size, mail::Reply reply);
    boost::asio::awaitable<void> hand_on(MessageSink& sink, std::string& held, Refusal& refusal);
    boost::asio::awaitable<void> finish_content(std::unique_ptr<MessageSink> sink, std::string last_part,
                                                ContentFacts facts, Refusal refusal);

    boost::asio::awaitable<void> fill(Doing doing);  ///< reads until there is input or the connection is over
    void filled(const boost::system::error_code& error, std::size_t count);
    boost::asio::awaitable<void> send();                     ///< writes what is held
    [[nodiscard]] std::size_t read_more(std::string& into);  ///< what is there already; 0: nothing
    [[nodiscard]] std::size_t read_socket(std::string& into);
    [[nodiscard]] std::string_view input() const { return {block_.data() + begin_, end_ - begin_}; }
    void consume(std::size_t octets) { begin_ += octets; }
    void unread(std::string_view rest);
    void forget_out();
    void close_gently();

    void say(const mail::Reply& reply);
    void say_and_close(const mail::Reply& reply);
    void count_error(const mail::Reply& reply);
    void refuse(const mail::Reply& reply);
    [[nodiscard]] Envelope envelope() const { return {&dialogue_.mail(), dialogue_.recipients()}; }
    void refuse_for_rate(const Envelope& about, const mail::Reply& reply);
    [[nodiscard]] std::vector<mail::Mailbox> recipients_ahead() const;
    [[nodiscard]] bool is_too_early_for(const Command& command) const;
    [[nodiscard]] static bool brings_mail_nearer(const Command& command);
    [[nodiscard]] bool is_one_command_too_many();
    void hang_up_on_idler();
    [[nodiscard]] bool may(ClientTable::What what);
    void set_command_deadline();
    void wait_at_most(std::chrono::milliseconds patience);
    void wait_for_chunks();
    [[nodiscard]] std::chrono::milliseconds patience_under_stress() const;
    void extend_content_deadline(std::size_t octets, std::uint64_t octets_so_far);
    void end(std::string_view reason);

    Socket socket_;
    std::unique_ptr<TlsChannel> tls_;  // nullptr: in clear
    SessionInfo info_;
    ClientTable::Place place_;
    const bool behind_balancer_;
    std::unique_ptr<boost::asio::steady_timer> delay_;  // of the greeting, while it waits
    const std::shared_ptr<const SessionOptions> options_;
    Surroundings around_;
    Dialogue dialogue_;
    LineReader lines_;
    std::unique_ptr<Chunks> chunks_;
    std::vector<char> block_;  // input
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    std::string out_;
    bool over_ = false;  // nothing more is read
    bool gone_ = false;  // the connection is dead: nothing more is written either
    bool expired_ = false;
    bool draining_ = false;
    bool at_first_octet_ = true;
    Doing doing_ = Doing::asking;
    SteadyClock::time_point deadline_ = SteadyClock::time_point::max();
    std::chrono::milliseconds patience_{};  // that deadline_ began with
    std::uint32_t errors_ = 0;
    std::uint32_t commands_without_mail_ = 0;
    std::uint64_t recipients_refused_ = 0;  // for now, behind an accepted one, since the last message
    bool told_of_rate_ = false;             // since the last message
    std::uint32_t messages_ = 0;
    std::string reason_ = "closed by client";
};

/// A message that comes by BDAT, over several commands.
struct Session::Chunks {
    BdatReader reader;
    std::unique_ptr<MessageSink> sink;
    std::string held;
    Refusal refusal;
    std::uint64_t octets = 0;
    SteadyClock::time_point deadline;  // of the whole message, however many chunks it has
};

}  // namespace postern::smtp_server::detail
