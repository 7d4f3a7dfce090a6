#include "gateway/bounce/detail/advice.hpp"

#include <array>

namespace postern::bounce::detail {

namespace {

struct Entry {
    int subject;
    int detail;  ///< -1: any other of the subject
    Advice advice;
};

constexpr std::string_view ask_otherwise = "Reach the recipient in another way, or ask their postmaster.";

constexpr std::array entries{
    Entry{
        1, 1, {"There is no such mailbox.", "Check the part of the address before the @ and send the message again."}},
    Entry{1, 2, {"The domain of the address cannot receive mail.", "Check the part of the address after the @."}},
    Entry{1, 3, {"The address is not written as an address must be.", "Check the address and send the message again."}},
    Entry{1,
          6,
          {"The mailbox has moved, and its new address is not known here.", "Ask the recipient for the new address."}},
    Entry{1, 10, {"The domain of the address takes no mail at all.", "Check the part of the address after the @."}},
    Entry{1, -1, {"The address was not accepted.", "Check the address and send the message again."}},
    Entry{2, 1, {"The mailbox is disabled.", ask_otherwise}},
    Entry{2,
          2,
          {"The mailbox is full.", "Tell the recipient in another way; send the message again once there is room."}},
    Entry{2,
          3,
          {"The message is larger than this recipient may receive.",
           "Send it smaller, or share large files in another way."}},
    Entry{2, -1, {"The mailbox did not take the message.", ask_otherwise}},
    Entry{3,
          4,
          {"The message is larger than the recipient's system takes.",
           "Send it smaller, or share large files in another way."}},
    Entry{3, -1, {"The recipient's system could not take the message.", ask_otherwise}},
    Entry{4, 6, {"The message went in a circle.", "Nothing was wrong with it; tell the recipient's postmaster."}},
    Entry{4,
          7,
          {"The recipient's system could not take the message in all the time that it was tried.",
           "Send it again later, or reach the recipient in another way."}},
    Entry{4, -1, {"The recipient's system could not be reached.", "Send the message again later."}},
    Entry{5,
          -1,
          {"The systems did not understand each other.",
           "Nothing was wrong with the address; tell the recipient's postmaster."}},
    Entry{6,
          7,
          {"The recipient's system takes no addresses or headers with other than ASCII letters.",
           "Ask the recipient for an address in ASCII."}},
    Entry{6,
          9,
          {"The recipient's system takes no addresses or headers with other than ASCII letters.",
           "Send the message without such letters in its header."}},
    Entry{6,
          -1,
          {"The recipient's system cannot take what the message contains.",
           "Send it in another format, as plain text for example."}},
    Entry{7, 1, {"The recipient's system did not allow this message.", ask_otherwise}},
    Entry{7, -1, {"The message was refused for reasons of security or policy.", ask_otherwise}},
};

constexpr Advice other{"The recipient's system refused the message without saying why in a form known here.",
                       "Read its own words, or reach the recipient in another way."};

}  // namespace

Advice advice_for(const mail::EnhancedStatus& status) {
    for (const Entry& entry : entries) {
        if (entry.subject == status.subject && (entry.detail == status.detail || entry.detail < 0)) {
            return entry.advice;
        }
    }
    return other;
}

}  // namespace postern::bounce::detail
