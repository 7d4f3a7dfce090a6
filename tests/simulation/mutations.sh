#!/bin/bash
# Plants faults in copies of the source, one at a time, and shows that the simulation finds each: tests/simulation/mutations.sh [SEEDS]
# Each copy is built and run until the first violation. Exit status 1: a fault was not found.
set -euo pipefail
cd "$(dirname "$0")/../.."
seeds=${1:-100}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git archive HEAD | tar -x -C "$work"
bad=0

mutate() {  # name, file, perl expression
  local name=$1 file=$2 expression=$3
  cp "$work/$file" "$work/kept"
  perl -0pi -e "$expression" "$work/$file"
  if cmp -s "$work/kept" "$work/$file"; then
    echo "$name: the source has changed, the fault cannot be planted"
    bad=1
    return
  fi
  [[ -e $work/build/build.ninja ]] || cmake -G Ninja -S "$work" -B "$work/build" > /dev/null
  ninja -C "$work/build" postern_simulation > "$work/log" 2>&1 || { tail -20 "$work/log"; exit 1; }
  local found=
  for ((seed = 1; seed <= seeds; ++seed)); do
    if ! "$work/build/tests/simulation/postern_simulation" --seed "$seed" > "$work/out" 2>&1; then
      found=1
      echo "$name: found by seed $seed: $(grep -m1 '^VIOLATION' "$work/out" || tail -1 "$work/out")"
      break
    fi
  done
  [[ $found ]] || { echo "$name: NOT FOUND in $seeds seeds"; bad=1; }
  cp "$work/kept" "$work/$file"
}

mutate "commits are not flushed" queue/detail/database_file.cpp 's/synchronous=FULL/synchronous=NORMAL/'
mutate "plans are released before their results are recorded" gateway/delivery/results_ledger.cpp \
  's/(    Recording recording = std::exchange\(gathering_, \{\}\);\n)/$1    for (auto& [plan, lease] : std::exchange(recording.releases, {})) {\n        lease.reset();\n        host_.released(plan);\n    }\n/'
mutate "who was not answered counts as delivered when another was" lmtp-client/detail/dialogue.cpp \
  's/settle\(slot, content_sent_ \? Fate::unknown : Fate::not_tried\);/settle(slot, cursor_ > 0 \&\& content_sent_ ? Fate::replied : content_sent_ ? Fate::unknown : Fate::not_tried,\n               mail::Reply(250, "ok"));/'
mutate "a full disk is answered as stored" queue/detail/writer.cpp \
  's/status = alone\.is_full\(\) \? StoreStatus::disk_full : StoreStatus::failed;/status = StoreStatus::stored;/'
mutate "a brake keeps nothing" gateway/delivery/scheduler_outcomes.cpp \
  's/if \(backend->brakes\(\)\)/if (false)/'
mutate "a start forgets who is paused" gateway/delivery/scheduler.cpp \
  's/(        )(marks_\[mark\.backend\]\[mark\.kind\] = Decision)/$1if (mark.kind != queue::BackendMark::Kind::paused) $2/'
mutate "what a clock jumps over makes mail old" gateway/delivery/clock_jumps.cpp 's/now -= jump\.by;/now -= jump.by * 0;/'
mutate "a domain without room keeps those behind it waiting" gateway/delivery/destinations.cpp \
  's/(            last_ = \*candidate;\n            return &\*found;\n        \})/$1\n        return nullptr;/'
mutate "a domain that could not be reached does not rest" gateway/delivery/destinations.hpp \
  's/return now < rests_until;/return now < rests_until \&\& false;/'
exit $bad
