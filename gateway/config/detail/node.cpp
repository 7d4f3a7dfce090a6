// How parts of the file are named in messages; see the header.
#include "gateway/config/detail/node.hpp"

#include "queue/mail/printable.hpp"

namespace postern::config::detail {
namespace {
constexpr std::size_t shown_octets_max = 80;
}

std::string quote(const std::string& text) { return '`' + mail::printable(text, shown_octets_max) + '`'; }

std::string describe(const Node& node) {
    switch (node.kind) {
        case Node::Kind::scalar:
            return node.quoted ? "the text \"" + mail::printable(node.text, shown_octets_max) + '"' : quote(node.text);
        case Node::Kind::sequence:
            return "a list";
        case Node::Kind::mapping:
            return "a mapping";
        case Node::Kind::nothing:
        case Node::Kind::refused:
            break;
    }
    return "nothing";
}

}  // namespace postern::config::detail
