// What a store says, cut anyhow, into a transcript: it stays within its bounds, has no control character but its own
// line feeds, and each line is marked as what it is, so that no stranger's line passes for another's.
#include "lmtp-client/detail/transcript.hpp"

#include <cstdint>

#include "queue/mail/printable.hpp"
#include "tests/fuzz/cuts.hpp"
#include "tests/fuzz/expect.hpp"

using namespace postern;
using lmtp_client::detail::Transcript;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    fuzz::Cuts cuts(input);
    Transcript transcript;
    Transcript::Instant now{};
    transcript.begin(now);
    std::size_t turn = 0;
    for (std::string_view rest = fuzz::Cuts::content(input); !rest.empty(); ++turn) {
        const std::string_view piece = cuts.next(rest);
        rest.remove_prefix(piece.size());
        now += std::chrono::milliseconds(piece.size());
        switch (turn % 5) {
            case 0:
                transcript.sent(piece, now);
                break;
            case 3:
                transcript.note(piece, now);
                break;
            case 4:
                transcript.content(piece.size(), now);
                break;
            default:
                transcript.received(piece, now);
        }
    }
    const std::string text = transcript.text("before");
    // One line may stand behind the bound: 2 KiB of a stranger's, each octet written as four.
    POSTERN_EXPECT(text.size() <= Transcript::text_octets_max + std::size_t{4} * 4096 + 64);
    POSTERN_EXPECT(text.ends_with('\n'));
    for (std::string_view rest = text; !rest.empty();) {
        const std::size_t end = rest.find('\n');
        const std::string_view line = rest.substr(0, end);
        const std::string_view who = line.substr(std::min<std::size_t>(line.size(), 9), 3);
        POSTERN_EXPECT(mail::is_printable(line));
        POSTERN_EXPECT(who == "S: " || who == "C: " || who == "-- ");
        rest.remove_prefix(end + 1);
    }
    return 0;
}
