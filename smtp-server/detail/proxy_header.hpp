// The header that a load balancer puts before all else: who the client is in truth. Version 1 (a line) and version 2
// (octets). Pure.
//
// Source: "The PROXY protocol", HAProxy, version 2.x, sections 2.1 and 2.2.
//
// Invariants: 1. at most 107 octets are kept. 2. What is reported does not depend on how the input was cut. 3. Not one
// octet behind the header is consumed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace postern::smtp_server::detail {

class ProxyHeaderReader {
public:
    enum class Status : std::uint8_t { need_more, done, bad };
    struct Fed {
        std::size_t consumed = 0;  ///< after `bad`: without meaning
        Status status = Status::need_more;
    };
    /// Not to be called after `done` or `bad`.
    [[nodiscard]] Fed feed(std::string_view in);

    /// After `done`: the client's IP address as text, IPv4-mapped ones as IPv4. Empty: the header names none (the
    /// balancer's own check, an unknown family): what the connection itself says holds.
    [[nodiscard]] const std::string& client_address() const noexcept { return address_; }
    [[nodiscard]] std::uint16_t client_port() const noexcept { return port_; }

private:
    [[nodiscard]] Status judge();
    [[nodiscard]] Status read_line();
    [[nodiscard]] Status read_fixed_part();
    [[nodiscard]] Status read_addresses();
    [[nodiscard]] bool take_address(int family, std::string_view octets);

    std::string kept_;
    std::size_t wanted_ = 0;   // octets of version 2 that `kept_` is to have; 0: not known yet
    std::size_t to_skip_ = 0;  // octets of version 2 behind them
    std::string address_;
    std::uint16_t port_ = 0;
};

}  // namespace postern::smtp_server::detail
