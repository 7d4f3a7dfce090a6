// What strangers say of themselves (HELO, reverse names), what lists say of them, and the greylist's file.
#include <cstdint>

#include "gateway/screening/lists.hpp"
#include "gateway/screening/suspicion.hpp"
#include "gateway/screening/triplets.hpp"
#include "tests/fuzz/expect.hpp"

using namespace postern::screening;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string input(reinterpret_cast<const char*>(data), size);
    const std::size_t cut = std::min(input.find('\n'), input.size());
    const std::string one = input.substr(0, cut);
    const std::string other = input.substr(std::min(cut + 1, input.size()));

    for (const char* address : {"203.0.113.7", "2001:db8::1"}) {
        const bool generic = is_generic(one, address);
        const auto why = suspicion({address, other, ReverseName::confirmed, one, 0}, "mx.example.com", 1);
        POSTERN_EXPECT(!generic || why);  // a name of that kind vouches for nobody
        POSTERN_EXPECT(suspicion({address, other, ReverseName::none, one, 0}, "mx.example.com", 1));
    }
    (void)is_generic(one, other);

    postern::dns::Answer answer;
    answer.status = postern::dns::Status::found;
    answer.records = {postern::dns::Text{input}};
    const std::string reason = reason_of(answer);
    POSTERN_EXPECT(reason.size() <= 200 && reason.find_first_of("\r\n\x1b") == std::string::npos);
    answer.records = {postern::dns::Address{one}};
    POSTERN_EXPECT(!is_listed(answer, {"list.example", 1, {}}) || one.starts_with("127."));

    if (auto read = Triplets::read(input)) {
        POSTERN_EXPECT(Triplets::read(read->write())->size() == read->size());
    }
    return 0;
}
