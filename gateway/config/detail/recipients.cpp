// `recipients` of a domain: ask, any, a list, a file or a database. What files hold is for the gateway to read.
#include <fmt/format.h>

#include "gateway/config/detail/nearest.hpp"
#include "gateway/config/detail/section.hpp"
#include "gateway/config/detail/sections.hpp"
#include "queue/mail/mailbox.hpp"

namespace postern::config::detail {
namespace {

constexpr std::string_view forms = "ask, any, a list of addresses, { file: PATH } or { sqlite: PATH, query: SELECT }";
constexpr std::string_view any_depth = "*.";

/// Whether the rule for `pattern` covers `domain` (in lower case).
bool covers(const std::string& pattern, const std::string& domain) {
    if (!pattern.starts_with(any_depth)) {
        return domain == pattern;
    }
    const std::string_view below = std::string_view(pattern).substr(1);
    return domain.size() > below.size() && domain.ends_with(below);
}

void add_address(const Node& item, const std::string& pattern, RecipientCheck& check, Problems& problems) {
    const auto text = item_text(item, "recipients", "an address, a local part or \"@domain\"", problems);
    if (!text) {
        return;
    }
    std::string whole = *text;
    const bool has_domain = whole.find('@') != std::string::npos;
    if (!has_domain) {
        whole += "@x";
    } else if (whole.front() == '@') {
        whole.insert(0, "x");
    }
    const auto address = mail::Mailbox::parse(whole, mail::Utf8::allowed);
    if (!address) {
        problems.error(item.at, fmt::format("`recipients`: expected an address, a local part or \"@domain\", found {}",
                                            describe(item)));
        return;
    }
    if (has_domain && !covers(pattern, address->domain_key())) {
        problems.error(item.at,
                       fmt::format("`recipients`: {} is not in {}, whose rule this is", quote(*text), quote(pattern)));
        return;
    }
    check.addresses.push_back(*text);
}

void read_list(const Node& node, const std::string& pattern, RecipientCheck& check, Problems& problems) {
    check.how = RecipientCheck::How::list;
    if (node.items.empty()) {
        problems.error(node.at, "`recipients` is an empty list: all mail of the domain would be refused");
    }
    for (const Node& item : node.items) {
        add_address(item, pattern, check, problems);
    }
}

void read_source(const Node& node, RecipientCheck& check, Problems& problems) {
    Section section(node, problems);
    section.path("file", check.path);
    const bool is_file = section.has("file");
    section.path("sqlite", check.path);
    const bool is_sqlite = section.has("sqlite");
    if (const auto query = section.text("query", "a SELECT with one `?`")) {
        check.query = *query;
    }
    section.finish();
    check.how = is_sqlite ? RecipientCheck::How::sqlite : RecipientCheck::How::file;
    if (is_file == is_sqlite) {
        problems.error(
            node.at, fmt::format("`recipients`: expected either `file` or `sqlite`{}", is_file ? ", found both" : ""));
    } else if (is_sqlite && !section.has("query")) {
        problems.error(node.at,
                       "`recipients`: `sqlite` needs a `query`, as \"SELECT 1 FROM mailbox WHERE address = ?\"");
    } else if (is_file && section.has("query")) {
        problems.error(section.at("query"), "`query` is of use only with `sqlite`");
    }
}

}  // namespace

void read_recipients(const Node& node, const std::string& pattern, RecipientCheck& check, Problems& problems) {
    switch (node.kind) {
        case Node::Kind::sequence:
            return read_list(node, pattern, check, problems);
        case Node::Kind::mapping:
            return read_source(node, check, problems);
        case Node::Kind::refused:
            return;
        case Node::Kind::nothing:
        case Node::Kind::scalar:
            break;
    }
    if (node.kind == Node::Kind::scalar && node.text == "ask") {
        check.how = RecipientCheck::How::ask;
    } else if (node.kind == Node::Kind::scalar && node.text == "any") {
        check.how = RecipientCheck::How::any;
    } else {
        problems.error(node.at, fmt::format("`recipients`: expected {}, found {}{}", forms, describe(node),
                                            node.kind == Node::Kind::scalar ? proposal(node.text, {"ask", "any"})
                                                                            : std::string()));
    }
}

}  // namespace postern::config::detail
