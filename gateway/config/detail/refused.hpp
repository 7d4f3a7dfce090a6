// Makes a Result whose error is a text: boost's does not convert from one by itself, and cannot when its value is a
// text too.
#pragma once

#include <string>
#include <utility>

#include "queue/mail/result.hpp"

namespace postern::config::detail {

struct Refused {
    std::string text;
    explicit Refused(std::string why) : text(std::move(why)) {}
    template <class T>
    operator Result<T, std::string>() && {  // NOLINT(google-explicit-constructor): made to be returned
        return Result<T, std::string>(boost::system::in_place_error, std::move(text));
    }
};

[[nodiscard]] inline Result<std::string, std::string> accepted(std::string text) {
    return Result<std::string, std::string>(boost::system::in_place_value, std::move(text));
}

}  // namespace postern::config::detail
