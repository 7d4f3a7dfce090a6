#include "lmtp-client/detail/name_lookups.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <utility>

namespace postern::lmtp_client::detail {

namespace asio = boost::asio;

namespace {

constexpr std::size_t names_at_once = 8;

}  // namespace

NameLookups::NameLookups(asio::any_io_executor executor, LookUp look_up)
    : executor_(std::move(executor)), look_up_(std::move(look_up)) {}

NameLookups::~NameLookups() {
    if (threads_) {
        threads_->stop();
        threads_->join();
    }
}

std::shared_ptr<NameLookups::Waiting> NameLookups::begin(const std::string& host) {
    auto waits = std::make_shared<Waiting>(executor_);
    const auto [at_work, is_new] = waiting_.try_emplace(host);
    at_work->second.push_back(waits);
    if (is_new) {
        if (!threads_) {
            threads_.emplace(names_at_once);
        }
        // What is looked up outlives nobody: the destructor waits for it.
        asio::post(*threads_, [this, host, weak = weak_from_this()] {
            asio::post(executor_, [weak, host, found = look_up_(host)] {
                if (const auto self = weak.lock()) {
                    self->end(host, found);
                }
            });
        });
    }
    return waits;
}

void NameLookups::end(const std::string& host, const Found& found) {
    const auto at_work = waiting_.find(host);
    const auto all = std::exchange(at_work->second, {});
    waiting_.erase(at_work);
    for (const auto& weak : all) {
        if (const auto waits = weak.lock()) {
            waits->found = found;
            waits->timer.cancel();
        }
    }
}

NameLookups::Found NameLookups::by_the_system(const std::string& host) {
    Found found;
    asio::io_context nothing_runs_here;
    asio::ip::tcp::resolver resolver(nothing_runs_here);
    for (const auto& entry : resolver.resolve(host, "", found.error)) {
        found.addresses.push_back(entry.endpoint().address());
    }
    return found;
}

}  // namespace postern::lmtp_client::detail
