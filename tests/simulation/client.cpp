#include "client.hpp"

#include <algorithm>
#include <utility>

#include "lmtp-client/detail/capabilities.hpp"
#include "lmtp-client/detail/dialogue.hpp"
#include "lmtp-client/detail/dot_stuffing.hpp"

namespace postern::simulation {

using lmtp_client::TransactionEnd;
using lmtp_client::Trouble;
using lmtp_client::detail::Dialogue;

namespace {

constexpr Timeline::Milliseconds connect_timeout = 30'000;
constexpr Timeline::Milliseconds rested_after = 250;

}  // namespace

/// The gateway's end of a connection. What the store says arrives here in order.
struct Client::Wire {
    std::string endpoint;
    std::unique_ptr<Session> session;
    lmtp_client::detail::Capabilities capabilities;
    std::string arrived;
    bool closed = false;
    Timeline::Milliseconds last_arrival = 0;
    Timeline::Milliseconds last_sending = 0;
    Timeline::Milliseconds idle_since = 0;
    std::function<void()> wake;  ///< something has arrived
};

struct Client::Flight {
    lmtp_client::Endpoint endpoint;
    lmtp_client::Transaction transaction;
    std::shared_ptr<Content> content;
    lmtp_client::OutcomeSink* outcomes = nullptr;
    ClientOptions options;
    Done done;  ///< keeps `outcomes` alive
    std::shared_ptr<Wire> wire;
    std::unique_ptr<Dialogue> dialogue;
    bool may_be_dead = false;
    bool sending_content = false;
    bool over = false;
    std::uint64_t waits = 0;
    std::size_t replies_seen = 0;
    bool awaiting = false;
};

/// Its end gives the connection back to the idle ones.
struct Client::Lease {
    Lease(Client& its_owner, std::shared_ptr<Wire> of)
        : owner(its_owner), goes_on(its_owner.life_.goes_on()), wire(std::move(of)) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() {
        if (*goes_on) {
            wire->idle_since = owner.around_.timeline.now();
            owner.idle_[wire->endpoint].push_back(wire);
        }
    }
    Client& owner;
    std::shared_ptr<const bool> goes_on;
    std::shared_ptr<Wire> wire;
};

void Client::run(const lmtp_client::Endpoint& endpoint, lmtp_client::Transaction transaction,
                 std::shared_ptr<Content> content, lmtp_client::OutcomeSink& outcomes, ClientOptions options,
                 Done done) {
    auto flight = std::make_shared<Flight>();
    flight->endpoint = endpoint;
    flight->transaction = std::move(transaction);
    flight->content = std::move(content);
    flight->outcomes = &outcomes;
    flight->options = options;
    flight->done = std::move(done);
    auto& idle = idle_[endpoint.to_string()];
    while (!idle.empty()) {
        std::shared_ptr<Wire> wire = std::move(idle.back());
        idle.pop_back();
        const Timeline::Milliseconds rested = around_.timeline.now() - wire->idle_since;
        if (wire->closed || !wire->arrived.empty() || rested > options.idle_max) {
            continue;
        }
        flight->wire = std::move(wire);
        return begin_dialogue(flight, true, rested > rested_after);
    }
    on_a_new_connection(flight);
}

void Client::on_a_new_connection(const std::shared_ptr<Flight>& flight) {
    connect(flight->endpoint, [this, flight](std::shared_ptr<Wire> wire, Trouble trouble) {
        if (trouble != Trouble::none) {
            for (std::size_t slot = 0; slot < flight->transaction.recipients.size(); ++slot) {
                flight->outcomes->outcome(slot, lmtp_client::Outcome());
            }
            TransactionEnd end;
            end.trouble = trouble;
            end.detail = "no connection";
            return flight->done(std::move(end));
        }
        flight->wire = std::move(wire);
        begin_dialogue(flight, false, false);
    });
}

void Client::connect(const lmtp_client::Endpoint& endpoint, Connected then) {
    Peer& peer = *around_.peers.at(endpoint.to_string());
    peer.connects.push_back(around_.timeline.now());
    ++around_.truth.counts.connects;
    if (peer.mood == Mood::black_hole) {
        return life_.later(connect_timeout, [then] { then(nullptr, Trouble::connect); });
    }
    if (!peer.is_up()) {
        return life_.later(around_.random.between(0, 3), [then] { then(nullptr, Trouble::connect); });
    }
    auto wire = std::make_shared<Wire>();
    wire->endpoint = endpoint.to_string();
    std::weak_ptr<Wire> weak = wire;
    const auto arrive = [this, goes_on = life_.goes_on(), weak](Timeline::Milliseconds delay,
                                                                std::function<void(Wire&)> what) {
        const auto strong = weak.lock();
        if (!strong || !*goes_on) {
            return;
        }
        strong->last_arrival = std::max(strong->last_arrival, around_.timeline.now() + delay);
        life_.later(strong->last_arrival - around_.timeline.now(), [weak, what = std::move(what)] {
            if (const auto here = weak.lock()) {
                what(*here);
                if (here->wake) {
                    const auto wake = here->wake;
                    wake();
                }
            }
        });
    };
    wire->session = std::make_unique<Session>(
        peer,
        [arrive](Timeline::Milliseconds delay, std::string bytes) {
            arrive(delay, [bytes = std::move(bytes)](Wire& here) { here.arrived += bytes; });
        },
        [arrive](Timeline::Milliseconds delay) { arrive(delay, [](Wire& here) { here.closed = true; }); });
    // Greeting and LHLO, as in Connection::greet().
    auto stage = std::make_shared<int>(0);
    auto parser = std::make_shared<lmtp_client::detail::ReplyParser>();
    const auto finish = [weak, stage, then](Trouble trouble) {
        const auto here = weak.lock();
        *stage = 2;
        here->wake = nullptr;
        then(trouble == Trouble::none ? here : nullptr, trouble);
    };
    const bool is_smtp = endpoint.protocol == lmtp_client::Protocol::smtp;
    wire->wake = [this, weak, stage, parser, finish, is_smtp] {
        const auto here = weak.lock();
        if (!here || *stage == 2) {
            return;
        }
        std::string bytes = std::exchange(here->arrived, {});
        std::string_view rest = bytes;
        const bool ready = parser->feed(rest);
        if (parser->fault() != lmtp_client::detail::ReplyFault::none) {
            return finish(Trouble::protocol);
        }
        if (!ready) {
            if (here->closed) {
                finish(*stage == 0 ? Trouble::connect : Trouble::broken);
            }
            return;
        }
        const mail::Reply reply = parser->take();
        if (!rest.empty() && reply.code() != 421) {
            return finish(Trouble::protocol);
        }
        if (reply.code() == 421) {
            return finish(Trouble::shutting_down);
        }
        if (!reply.is_success()) {
            return finish(Trouble::greeting);
        }
        if (*stage == 1) {
            here->capabilities = lmtp_client::detail::Capabilities::read(reply);
            return finish(Trouble::none);
        }
        *stage = 1;
        life_.later(1, [here, is_smtp] { here->session->feed(is_smtp ? "EHLO gateway\r\n" : "LHLO gateway\r\n"); });
    };
    life_.later(connect_timeout, [stage, finish, wire] {
        if (*stage != 2) {
            finish(*stage == 0 ? Trouble::connect : Trouble::broken);
        }
    });
    around_.timeline.at(1, [wire] { wire->session->begin(); });
}

void Client::begin_dialogue(const std::shared_ptr<Flight>& flight, bool may_be_dead, bool rested) {
    lmtp_client::detail::DialogueOptions options;
    options.protocol = flight->endpoint.protocol;
    options.envelope_first = rested || flight->options.envelope_first;
    flight->may_be_dead = may_be_dead;
    flight->content->is_begun = false;
    flight->dialogue =
        std::make_unique<Dialogue>(flight->wire->capabilities, flight->transaction, options, *flight->outcomes);
    flight->dialogue->start();
    flight->wire->wake = [this, weak = std::weak_ptr(flight)] {
        if (const auto here = weak.lock()) {
            converse(here);
        }
    };
    // It holds itself up while it runs.
    life_.later(0, [this, flight] { converse(flight); });
}

void Client::broke(const std::shared_ptr<Flight>& flight) {
    if (flight->may_be_dead && flight->dialogue->is_untouched() && !flight->content->is_begun) {
        // Found dead: a new connection takes over.
        flight->wire->wake = nullptr;
        flight->wire->session->closed_by_gateway();
        flight->dialogue.reset();
        ++flight->waits;
        on_a_new_connection(flight);
        return;
    }
    flight->dialogue->closed("closed");
}

void Client::transmit(const std::shared_ptr<Wire>& wire, std::string bytes) {
    wire->last_sending = std::max(wire->last_sending, around_.timeline.now() + around_.random.between(0, 10));
    // Not the process's: what was written reaches the store, whatever becomes of the gateway.
    around_.timeline.at(wire->last_sending - around_.timeline.now(),
                        [wire, bytes = std::move(bytes)] { wire->session->feed(bytes); });
}

void Client::converse(const std::shared_ptr<Flight>& flight) {
    while (flight->dialogue && !flight->over) {
        Dialogue& dialogue = *flight->dialogue;
        Wire& wire = *flight->wire;
        const auto action = dialogue.next();
        if (action == Dialogue::Action::finish) {
            return end(flight);
        }
        // What came is looked at before anything is sent, and when it is waited for.
        if (!wire.arrived.empty()) {
            const std::string bytes = std::exchange(wire.arrived, {});
            dialogue.received(bytes);
            continue;
        }
        if (wire.closed) {
            broke(flight);
            continue;
        }
        if (action == Dialogue::Action::send) {
            transmit(flight->wire, std::string(dialogue.output()));
            flight->awaiting = false;
            dialogue.sent();
            continue;
        }
        if (action == Dialogue::Action::send_content) {
            if (!flight->sending_content) {
                send_content(flight);
            }
            if (flight->sending_content) {
                return;
            }
            continue;
        }
        return await_reply(flight);
    }
}

/// The first write carries the commands and a part of the content; the rest takes its time.
void Client::send_content(const std::shared_ptr<Flight>& flight) {
    Dialogue& dialogue = *flight->dialogue;
    flight->sending_content = true;
    flight->content->is_begun = true;
    std::string octets;
    if (dialogue.encoding() == Dialogue::Encoding::dotted) {
        lmtp_client::detail::DotStuffer stuffer;
        stuffer.append(flight->content->octets, octets);
        stuffer.finish(octets);
    } else {
        octets = flight->content->octets;
    }
    const std::size_t cut = around_.random.chance(30) ? around_.random.below(octets.size()) : octets.size();
    const bool in_one = cut == octets.size() || cut == 0;
    transmit(flight->wire, std::string(dialogue.output()) + (in_one ? octets : octets.substr(0, cut)));
    if (!dialogue.output().empty()) {
        dialogue.sent();
    }
    if (in_one) {
        flight->sending_content = false;
        flight->awaiting = false;
        dialogue.content_sent();
        return;
    }
    life_.later(around_.random.between(1, 500), [this, flight, rest = octets.substr(cut)] {
        flight->sending_content = false;
        if (flight->over || !flight->dialogue) {
            return;
        }
        Wire& wire = *flight->wire;
        if (!wire.arrived.empty()) {
            flight->dialogue->received(std::exchange(wire.arrived, {}));
        } else if (wire.closed) {
            flight->dialogue->closed("closed");
        }
        if (flight->dialogue->next() != Dialogue::Action::finish) {
            transmit(flight->wire, rest);
            flight->awaiting = false;
            flight->dialogue->content_sent();
        }
        converse(flight);
    });
}

void Client::await_reply(const std::shared_ptr<Flight>& flight) {
    if (flight->awaiting && flight->dialogue->replies() == flight->replies_seen) {
        return;
    }
    flight->awaiting = true;
    flight->replies_seen = flight->dialogue->replies();
    const std::uint64_t number = ++flight->waits;
    life_.later(flight->options.reply_timeout, [this, flight, number] {
        if (number == flight->waits && !flight->over && flight->dialogue) {
            flight->dialogue->timed_out();
            converse(flight);
        }
    });
}

void Client::end(const std::shared_ptr<Flight>& flight) {
    flight->over = true;
    ++flight->waits;
    flight->wire->wake = nullptr;
    const Dialogue& dialogue = *flight->dialogue;
    TransactionEnd end;
    end.trouble = dialogue.trouble();
    end.detail = dialogue.detail();
    if (dialogue.is_reusable()) {
        end.lease = std::make_shared<Lease>(*this, flight->wire);
    } else {
        flight->wire->closed = true;
        around_.timeline.at(flight->wire->last_sending - around_.timeline.now() + around_.random.between(0, 10),
                            [wire = flight->wire] { wire->session->closed_by_gateway(); });
    }
    flight->done(std::move(end));
}

void Client::probe(const lmtp_client::Endpoint& endpoint, std::function<void(Trouble)> done) {
    connect(endpoint, [this, done = std::move(done)](const std::shared_ptr<Wire>& wire, Trouble trouble) {
        if (wire) {
            life_.later(1, [wire] { wire->session->feed("QUIT\r\n"); });
        }
        done(trouble);
    });
}

}  // namespace postern::simulation
