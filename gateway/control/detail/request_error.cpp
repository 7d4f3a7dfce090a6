#include "gateway/control/detail/request_error.hpp"

#include <boost/asio/error.hpp>
#include <boost/beast/http/error.hpp>

namespace postern::control::detail {

std::optional<unsigned> status_for(const boost::system::error_code& error) {
    namespace http = boost::beast::http;
    if (error == http::error::body_limit || error == http::error::buffer_overflow) {
        return 413;
    }
    if (error == http::error::header_limit) {
        return 431;
    }
    if (error == boost::asio::error::timed_out) {
        return 408;
    }
    if (error == http::error::end_of_stream || error.category() == boost::system::system_category()) {
        return std::nullopt;
    }
    return 400;
}

}  // namespace postern::control::detail
