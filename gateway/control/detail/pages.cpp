#include "gateway/control/detail/pages.hpp"

#include "gateway/control/metrics.hpp"

namespace postern::control::detail {
namespace {

Answer metrics_page(const PageSources& sources) {
    auto text = sources.metrics();
    if (!text) {
        return {503, "another scrape is being answered, and takes long\n"};
    }
    return {200, std::move(*text), metrics_content_type};
}

Answer readiness_page(const PageSources& sources) {
    const std::string obstacle = sources.obstacle();
    if (!obstacle.empty()) {
        return {503, obstacle + '\n'};
    }
    return {200, "ready: mail is accepted\n"};
}

}  // namespace

Answer answer_page(std::string_view method, std::string_view target, const PageSources& sources) {
    if (method != "GET" && method != "HEAD") {
        return {405, "only GET and HEAD: nothing can be changed here\n"};
    }
    const std::string_view path = target.substr(0, target.find('?'));
    if (path == "/metrics") {
        return metrics_page(sources);
    }
    if (path == "/healthz") {
        return {200, "alive\n"};
    }
    if (path == "/readyz") {
        return readiness_page(sources);
    }
    if (path == "/") {
        return {200, "postern tells /metrics, /healthz and /readyz\n"};
    }
    return {404, "no such path: there are /metrics, /healthz and /readyz\n"};
}

}  // namespace postern::control::detail
