// Builds the tree from yaml-cpp's events rather than from its own tree, which hides duplicate keys and follows aliases.
#include "gateway/config/detail/yaml_reader.hpp"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <sstream>
#include <unordered_map>

#include "queue/mail/printable.hpp"

namespace postern::config::detail {
namespace {

constexpr std::size_t depth_max = 16;  // the contract's deepest value is at 5

/// Ends the reading: what follows could not be understood.
struct Stop {
    Position at;
    std::string text;
};

Position position_of(const YAML::Mark& mark) {
    return mark.line < 0 ? Position{} : Position{mark.line + 1, mark.column + 1};
}

class Builder final : public YAML::EventHandler {
public:
    explicit Builder(Problems& problems) : problems_(problems) {}

    [[nodiscard]] Node take() { return std::move(root_); }

    void OnDocumentStart(const YAML::Mark& mark) override {
        if (++documents_ > 1) {
            throw Stop{position_of(mark), "a second document begins; a configuration is one"};
        }
    }
    void OnDocumentEnd() override {}

    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        refuse_anchor(mark, anchor);
        add(begin(Node::Kind::nothing, mark));
    }
    void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
        problems_.error(position_of(mark), "aliases (*name) are not supported; write the value out");
        add(begin(Node::Kind::refused, mark));
    }
    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  const std::string& value) override {
        refuse_anchor(mark, anchor);
        refuse_tag(mark, tag);
        Node node = begin(Node::Kind::scalar, mark);
        node.quoted = tag != "?";
        node.text = value;
        add(std::move(node));
    }
    void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        open(Node::Kind::sequence, mark, tag, anchor);
    }
    void OnSequenceEnd() override { close(); }
    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        open(Node::Kind::mapping, mark, tag, anchor);
    }
    void OnMapEnd() override { close(); }

private:
    /// A list or mapping that has not ended yet.
    struct Open {
        Node node;
        bool expects_value = false;  ///< a key was read
        bool drops_value = false;    ///< and was refused
        std::unordered_map<std::string, Position> seen;
    };

    static Node begin(Node::Kind kind, const YAML::Mark& mark) {
        Node node;
        node.kind = kind;
        node.at = position_of(mark);
        return node;
    }

    void refuse_anchor(const YAML::Mark& mark, YAML::anchor_t anchor) {
        if (anchor != 0) {
            problems_.error(position_of(mark),
                            "anchors (&name) are not supported; write the value out where it is needed");
        }
    }

    void refuse_tag(const YAML::Mark& mark, const std::string& tag) {
        // "?" is what the library calls plain, "!" quoted.
        if (!tag.empty() && tag != "?" && tag != "!") {
            problems_.error(position_of(mark), fmt::format("the tag {} is not supported; remove it", quote(tag)));
        }
    }

    void open(Node::Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
        if (open_.size() >= depth_max) {
            throw Stop{position_of(mark), fmt::format("nested more than {} deep", depth_max)};
        }
        refuse_anchor(mark, anchor);
        refuse_tag(mark, tag);
        open_.push_back(Open{begin(kind, mark), false, false, {}});
    }

    void close() {
        Node node = std::move(open_.back().node);
        open_.pop_back();
        add(std::move(node));
    }

    void add(Node node) {
        if (open_.empty()) {
            root_ = std::move(node);
            return;
        }
        Open& parent = open_.back();
        if (parent.node.kind == Node::Kind::sequence) {
            parent.node.items.push_back(std::move(node));
        } else if (!parent.expects_value) {
            parent.drops_value = !add_key(parent, std::move(node));
            parent.expects_value = true;
        } else {
            if (!parent.drops_value) {
                parent.node.items.push_back(std::move(node));
            }
            parent.expects_value = false;
        }
    }

    /// False: the key was refused, and its value is to be dropped.
    bool add_key(Open& parent, Node key) {
        if (key.kind != Node::Kind::scalar) {
            if (key.kind != Node::Kind::refused) {
                problems_.error(key.at, fmt::format("expected a key, found {}", describe(key)));
            }
            return false;
        }
        const auto [first, is_new] = parent.seen.emplace(key.text, key.at);
        if (!is_new) {
            problems_.error(key.at,
                            fmt::format("{} is given twice; first in line {}", quote(key.text), first->second.line));
            return false;
        }
        parent.node.keys.push_back(Node::Key{std::move(key.text), key.at});
        return true;
    }

    Problems& problems_;
    Node root_;
    std::vector<Open> open_;
    int documents_ = 0;
};

/// The library's message, and for the two slips that addresses and patterns invite, what to do.
std::string explain(const YAML::Exception& error) {
    if (error.msg == YAML::ErrorMsg::UNKNOWN_ANCHOR || error.msg == YAML::ErrorMsg::ALIAS_NOT_FOUND ||
        error.msg == YAML::ErrorMsg::CHAR_IN_ALIAS) {
        return "not YAML: `*` begins an alias there; put a pattern in quotes: \"*.example.com\"";
    }
    // The library repeats what it stumbled over, raw.
    return fmt::format("not YAML: {}; if a value holds any of : # [ ] {{ }} * & ! @ % put it in quotes",
                       mail::printable(error.msg));
}

}  // namespace

std::optional<Node> read_yaml(std::string_view text, Problems& problems) {
    try {
        std::istringstream in{std::string(text)};
        YAML::Parser parser(in);
        Builder builder(problems);
        while (parser.HandleNextDocument(builder)) {}
        return builder.take();
    } catch (const Stop& stop) {
        problems.error(stop.at, stop.text);
    } catch (const YAML::Exception& error) {
        problems.error(position_of(error.mark), explain(error));
    }
    return std::nullopt;
}

}  // namespace postern::config::detail
