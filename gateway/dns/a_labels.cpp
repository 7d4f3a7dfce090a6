#include <idn2.h>

#include <algorithm>

#include "gateway/dns/names.hpp"

namespace postern::dns {

std::optional<std::string> to_a_labels(const std::string& domain) {
    const auto in_lower_case = [](std::string text) {
        std::transform(text.begin(), text.end(), text.begin(),
                       [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
        return text;
    };
    std::string name;
    if (std::all_of(domain.begin(), domain.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; })) {
        name = in_lower_case(domain);
    } else {
        char* ascii = nullptr;
        if (idn2_to_ascii_8z(domain.c_str(), &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK) {
            return std::nullopt;
        }
        name = in_lower_case(ascii);
        idn2_free(ascii);
    }
    return is_name(name) ? std::optional(std::move(name)) : std::nullopt;
}

}  // namespace postern::dns
