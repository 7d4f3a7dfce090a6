// The world of one run: who is in it, what happens to them and when, and who watches.
//   world.cpp        life and death of the gateway, the end of a run, the patterns
//   world_plans.cpp  who is there, and what will go wrong
//   world_watch.cpp  what is looked at from outside while it runs
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "process.hpp"
#include "world.hpp"

namespace postern::simulation {

constexpr Timeline::Milliseconds minute = 60'000;
constexpr Timeline::Milliseconds hour = 60 * minute;

class World {
public:
    explicit World(const RunOptions& options)
        : run_(options),
          random_(options.seed * 0x2545F4914F6CDD1DULL + 1),
          disk_(random_.next()),
          truth_(timeline_),
          lanes_(timeline_),
          around_{timeline_,
                  disk_,
                  truth_,
                  lanes_,
                  random_,
                  {},
                  {},
                  options.folder + "/queue.db",
                  [this](const std::string& line) { trace(line); }} {}

    RunResult run();
    RunResult run_pattern(int pattern, int count, bool crash);

private:
    enum class Way : std::uint8_t { by_domain, relay, none };  ///< to the domains of others

    void trace(const std::string& line);
    RunResult guarded(const std::function<void()>& what);
    void make_peers();
    void make_elsewhere();
    Peer& add_peer(const std::string& endpoint);
    void set_way(Way way);
    void set_mood(Peer& peer, Mood mood);
    void plan_moods();
    void plan_names();
    void plan_clients();
    void plan_a_hung_domain();
    void plan_orders();
    void plan_orders_for_all();
    void plan_backend_orders();
    void plan_reloads();
    void plan_disk_trouble();
    void plan_crashes();
    void boot();
    void crash(bool power_cut);
    /// Runs until `end`, and lets the gateway die when its disk does.
    void live_until(Timeline::Milliseconds end);
    void reload();
    void look_around();
    /// Invariants 13 and 20.
    void check_what_waits(Timeline::Milliseconds calm);
    void check_lane(const MessageFact& message, const Fact& fact, Timeline::Milliseconds calm);
    [[nodiscard]] bool is_behind_its_own(const MessageFact& message) const;
    [[nodiscard]] bool is_well(const std::string& endpoint, Timeline::Milliseconds since) const;
    /// DNS tells of it, and all of its exchangers are well.
    [[nodiscard]] bool is_reached(const std::string& domain, Timeline::Milliseconds since) const;
    void check_connects();
    [[nodiscard]] bool has_a_next(const std::string& exchanger) const;
    void make_all_well();
    void finish();
    [[nodiscard]] std::vector<queue::QueuedMessage> what_is_left();
    [[nodiscard]] delivery::Route route() const;
    [[nodiscard]] delivery::Route way_to() const;
    struct Sender {
        std::string domain = "sender.test";
        queue::Origin origin = queue::Origin::client;
    };
    void client_sends(const Sender& sender, const std::vector<std::string>& addresses, std::size_t parts,
                      std::size_t size);
    void somebody_sends();
    [[nodiscard]] std::string some_domain_elsewhere();
    /// Of a domain of our own; nullopt: of others.
    [[nodiscard]] std::optional<std::string> backend_of(const std::string& domain) const;

    const RunOptions run_;
    Random random_;
    Timeline timeline_;
    Disk disk_;
    Truth truth_;
    Lanes lanes_;
    Surroundings around_;
    delivery::Options options_;
    delivery::BackendOptions by_domain_;  ///< the way out, when it is by domain
    Way way_ = Way::by_domain;
    std::vector<std::string> away_;    ///< domains of others with exchangers of their own
    std::vector<std::string> hosted_;  ///< domains of others whose exchangers are the same
    std::string hung_;                 ///< one of those, whose exchangers are in trouble all the time
    std::map<std::string, std::unique_ptr<Peer>> peers_;
    std::unique_ptr<Process> process_;
    std::deque<std::string> lines_;
    Timeline::Milliseconds end_of_trouble_ = 0;
    Timeline::Milliseconds reloaded_at_ = 0;
    Timeline::Milliseconds calm_since_ = 0;  ///< no trouble of disk or clock
    bool third_is_first_ = false;            ///< where the third domain is routed
    bool power_cut_next_ = false;
    bool booting_ = false;
};

}  // namespace postern::simulation
