// One connection to a store: opens it, carries out a Dialogue on it, keeps its deadlines. Decides nothing about mail.
//
// Deadlines are for whole replies and whole contents, not for reads: a store that sends an octet now and then gains
// nothing. There is no timer here: the pool calls expire() now and then for all connections, which costs less than a
// timer for each read.
//
// Threads: that of its executor. Coroutines keep it alive through the caller's shared_ptr.
#pragma once

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lmtp-client/client.hpp"
#include "lmtp-client/detail/capabilities.hpp"
#include "lmtp-client/detail/dialogue.hpp"
#include "lmtp-client/detail/name_lookups.hpp"
#include "lmtp-client/detail/tls_stream.hpp"
#include "lmtp-client/detail/transcript.hpp"
#include "lmtp-client/transaction.hpp"

namespace postern::lmtp_client::detail {

class Connection {
public:
    using Clock = std::chrono::steady_clock;

    /// What carrying out a transaction came to.
    struct Ended {
        Trouble trouble = Trouble::none;
        std::string detail;
        bool reusable = false;
        std::string transcript;  ///< when something failed
        bool was_dead = false;   ///< found closed before anything was answered and before the content was read: nobody
                                 ///< was told anything, the transaction can be begun anew elsewhere
    };

    Connection(boost::asio::any_io_executor executor, std::shared_ptr<NameLookups> names);

    /// Connects, waits for the greeting, says LHLO (in SMTP EHLO, or else HELO), encrypts and logs in as it is told to.
    /// nullopt: ready. Else what is wrong.
    boost::asio::awaitable<std::optional<Ended>> open(const Endpoint& endpoint, const ClientOptions& options);

    /// Carries out one transaction. With `may_be_dead`, `was_dead` can be the answer.
    boost::asio::awaitable<Ended> run(const Transaction& transaction, DialogueOptions dialogue_options,
                                      bool may_be_dead, OutcomeSink& outcomes, const ClientOptions& options);

    /// Gives up what is waited for when its time is over.
    void expire(Clock::time_point now);
    /// Nothing has come in and the store has not closed. Asks the kernel; does not wait.
    [[nodiscard]] bool is_quiet();
    /// Says QUIT without waiting, and that nothing more will come. Then close, or wait for is_closed_by_store().
    void quit();
    /// After quit(): the store has closed too. Reads and drops what it still says.
    [[nodiscard]] bool is_closed_by_store();
    void close();

    /// Of the session, as TlsStream describes it; empty: in clear.
    [[nodiscard]] std::string encryption() const { return tls_ ? tls_->description() : std::string(); }
    [[nodiscard]] const boost::asio::any_io_executor& executor() const noexcept { return executor_; }
    [[nodiscard]] Clock::time_point born() const noexcept { return born_; }
    /// As the store told them; once it is open.
    [[nodiscard]] Abilities abilities() const {
        return {capabilities_.smtputf8, capabilities_.eight_bit_mime, capabilities_.size ? capabilities_.size_max : 0};
    }

    // The pool's notes.
    Endpoint endpoint;
    Security security;
    std::chrono::milliseconds idle_max{};
    std::chrono::milliseconds age_max{};
    Clock::time_point idle_since{};

private:
    using Socket = boost::asio::generic::stream_protocol::socket;
    using SocketEndpoint = boost::asio::generic::stream_protocol::endpoint;
    using ErrorCode = boost::system::error_code;

    boost::asio::awaitable<ErrorCode> find_addresses(const Endpoint& endpoint, std::vector<SocketEndpoint>& out);
    boost::asio::awaitable<ErrorCode> connect(const Endpoint& endpoint, std::chrono::milliseconds patience);
    boost::asio::awaitable<std::optional<Ended>> connect_and_greet(const ClientOptions& options, Security::Tls tls);
    boost::asio::awaitable<std::optional<Ended>> read_reply(mail::Reply& out, Trouble when_absent,
                                                            std::string_view awaited);
    boost::asio::awaitable<std::optional<Ended>> greet(const ClientOptions& options);
    boost::asio::awaitable<std::optional<Ended>> introduce(const ClientOptions& options);
    boost::asio::awaitable<std::optional<Ended>> encrypt(const ClientOptions& options, Security::Tls tls);
    boost::asio::awaitable<std::string> shake_hands(const ClientOptions& options);
    boost::asio::awaitable<std::optional<Ended>> log_in(const ClientOptions& options);
    boost::asio::awaitable<std::optional<Ended>> ask(std::string command, std::string name,
                                                     const ClientOptions& options, mail::Reply& reply);
    boost::asio::awaitable<std::optional<Ended>> say_hello(std::string verb, const ClientOptions& options,
                                                           mail::Reply& reply);

    boost::asio::awaitable<void> converse(Dialogue& dialogue, const Transaction& transaction,
                                          const ClientOptions& options);
    boost::asio::awaitable<void> send_commands(Dialogue& dialogue, const ClientOptions& options);
    boost::asio::awaitable<void> receive(Dialogue& dialogue, const ClientOptions& options);
    boost::asio::awaitable<void> send_content(Dialogue& dialogue, const Transaction& transaction,
                                              const ClientOptions& options);
    boost::asio::awaitable<bool> flush_content(Dialogue& dialogue);
    boost::asio::awaitable<ErrorCode> write(std::string_view bytes);
    boost::asio::awaitable<ErrorCode> send_octets(std::string_view octets);

    struct Arrived {
        Arrived(ErrorCode what, std::size_t octets) : error(what), count(octets) {}
        ErrorCode error;
        std::size_t count;
    };
    /// Something of what the store says into input_: waits for it, or takes what is there. read_now() never reads on
    /// and on for records that carry no data.
    boost::asio::awaitable<Arrived> read_some();
    [[nodiscard]] Arrived read_now();

    /// See DialogueOptions::confidential.
    [[nodiscard]] bool is_confidential() const;
    void take_what_came(Dialogue& dialogue);
    void broke(Dialogue& dialogue, const ErrorCode& error);
    void set_deadline(std::chrono::milliseconds patience);

    boost::asio::any_io_executor executor_;
    Socket socket_;
    std::shared_ptr<NameLookups> names_;
    std::shared_ptr<NameLookups::Waiting> lookup_;
    Capabilities capabilities_;
    Transcript transcript_;
    Clock::time_point born_{};
    Clock::time_point deadline_ = Clock::time_point::max();
    Clock::time_point last_deadline_ = Clock::time_point::max();  ///< of the whole transaction
    std::size_t replies_seen_ = 0;
    bool reply_awaited_ = false;
    bool timed_out_ = false;
    bool content_read_ = false;
    bool has_served_ = false;
    bool may_be_dead_ = false;
    bool was_dead_ = false;
    bool tls_failed_ = false;
    std::unique_ptr<TlsStream> tls_;  ///< nullptr: in clear
    std::string buffer_;              ///< content on its way out; kept for the next transaction
    std::array<char, 4096> input_;
    std::array<char, 4096> ciphertext_;    ///< with tls_: what comes, before it is input_
    std::size_t octets_without_data_ = 0;  ///< with tls_: read since there last was input_
};

}  // namespace postern::lmtp_client::detail
