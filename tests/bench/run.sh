#!/bin/bash
# Measures Postern beside Postfix and beside the bare tools, all on this machine; tests/bench/README.md says what the figures mean.
# Needs root: Postfix does.
#
#   tests/bench/run.sh             five alternating pairs, some minutes
#   tests/bench/run.sh --quick     one pair
#   tests/bench/run.sh --help      the other options
#   POSTERN_BUILD_DIR=DIR          a release build (default build/ in the repository)
#   TMPDIR=DIR                     where the queues lie: a real disk (default /var/tmp)
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
build=${POSTERN_BUILD_DIR:-$root/build}
mkdir -p "$(dirname "$build")"

"$root/deploy/packages.sh" test
cmake -G Ninja -S "$root" -B "$build" -DPOSTERN_TESTS=ON -DPOSTERN_UNITY=ON > "$build.cmake.log" 2>&1 || { cat "$build.cmake.log" >&2; exit 1; }
grep -q '^CMAKE_BUILD_TYPE:.*=\(Release\)\?$' "$build/CMakeCache.txt" && grep -q '^POSTERN_SANITIZE:.*=$' "$build/CMakeCache.txt" || {
  echo "run.sh: $build is not a plain release build" >&2
  exit 1
}
ninja -C "$build" --quiet postern bench_latency
exec env PYTHONDONTWRITEBYTECODE=1 TMPDIR="${TMPDIR:-/var/tmp}" python3 "$root/tests/bench/bench.py" \
  --postern "$build/gateway/main/postern" --latency "$build/tests/bench/bench_latency" "$@"
