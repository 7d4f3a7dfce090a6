// ProxyHeaderReader: the same client however the input is cut, an address that is one, and nothing behind it consumed.
#include <arpa/inet.h>

#include <array>

#include "smtp-server/detail/proxy_header.hpp"
#include "tests/fuzz/cuts.hpp"
#include "tests/fuzz/expect.hpp"

using namespace postern;
using postern::smtp_server::detail::ProxyHeaderReader;
using Status = ProxyHeaderReader::Status;

namespace {

struct Outcome {
    Status status = Status::need_more;
    std::size_t consumed = 0;
    std::string address;
    std::uint16_t port = 0;
};

Outcome read(std::string_view content, fuzz::Cuts cuts) {
    ProxyHeaderReader reader;
    Outcome outcome;
    while (!content.empty() && outcome.status == Status::need_more) {
        const std::string_view piece = cuts.next(content);
        content.remove_prefix(piece.size());
        const auto fed = reader.feed(piece);
        POSTERN_EXPECT(fed.consumed <= piece.size());
        POSTERN_EXPECT(fed.status != Status::need_more || fed.consumed == piece.size());
        outcome.consumed += fed.consumed;
        outcome.status = fed.status;
    }
    if (outcome.status == Status::done) {
        outcome.address = reader.client_address();
        outcome.port = reader.client_port();
    }
    return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    const std::string_view content = fuzz::Cuts::content(input);
    const Outcome cut = read(content, fuzz::Cuts(input));
    const Outcome whole = read(content, fuzz::Cuts({}));
    POSTERN_EXPECT(cut.status == whole.status && cut.address == whole.address && cut.port == whole.port);
    POSTERN_EXPECT(cut.status == Status::bad || cut.consumed == whole.consumed);
    if (!whole.address.empty()) {
        std::array<unsigned char, 16> octets{};
        POSTERN_EXPECT(::inet_pton(AF_INET, whole.address.c_str(), octets.data()) == 1 ||
                       ::inet_pton(AF_INET6, whole.address.c_str(), octets.data()) == 1);
    }
    return 0;
}
