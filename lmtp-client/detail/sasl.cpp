#include "lmtp-client/detail/sasl.hpp"

#include <gsasl.h>

namespace postern::lmtp_client::detail {

struct SaslClient::Impl {
    Gsasl* context = nullptr;
    Gsasl_session* session = nullptr;

    Impl() = default;
    ~Impl() {
        if (session != nullptr) {
            ::gsasl_finish(session);
        }
        if (context != nullptr) {
            ::gsasl_done(context);
        }
    }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;
};

SaslClient::SaslClient(std::string_view mechanism, const Security::Login& login) : impl_(std::make_unique<Impl>()) {
    int status = ::gsasl_init(&impl_->context);
    if (status == GSASL_OK) {
        status = ::gsasl_client_start(impl_->context, std::string(mechanism).c_str(), &impl_->session);
    }
    if (status == GSASL_OK) {
        status = ::gsasl_property_set(impl_->session, GSASL_AUTHID, login.user.c_str());
    }
    if (status == GSASL_OK) {
        status = ::gsasl_property_set(impl_->session, GSASL_PASSWORD, login.password.c_str());
    }
    if (status != GSASL_OK) {
        problem_ = ::gsasl_strerror(status);
    }
}

SaslClient::~SaslClient() = default;

std::optional<std::string> SaslClient::step(const std::string& challenge) {
    if (!problem_.empty()) {
        return std::nullopt;
    }
    char* output = nullptr;
    const int status = ::gsasl_step64(impl_->session, challenge.empty() ? nullptr : challenge.c_str(), &output);
    if (status != GSASL_OK && status != GSASL_NEEDS_MORE) {
        problem_ = ::gsasl_strerror(status);
        return std::nullopt;
    }
    done_ = status == GSASL_OK;
    std::string answer = output == nullptr ? "" : output;
    ::gsasl_free(output);
    return answer;
}

}  // namespace postern::lmtp_client::detail
