#!/bin/bash
# Installs, builds and passes every test: unit tests, layering, integration on the real binary, the same under sanitizers, and the fuzzers.
#
#   tests/run.sh               everything
#   POSTERN_FUZZ_SECONDS=60    how long each fuzzer runs (default 5)
#   POSTERN_BUILD_DIR=DIR      where to build (default build/ in the repository)
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
build=${POSTERN_BUILD_DIR:-$root/build}
fuzz_seconds=${POSTERN_FUZZ_SECONDS:-5}
started=$SECONDS
step() { printf '\n== [%4d s] %s\n' $((SECONDS - started)) "$*"; }
trap 'echo "tests/run.sh: FAILED in: $current (after $((SECONDS - started)) s)" >&2' ERR
current=

run() {
  current=$1
  step "$1"
  shift
  "$@"
}

configure() {
  local folder=$1
  shift
  cmake -G Ninja -S "$root" -B "$folder" -DPOSTERN_TESTS=ON -DPOSTERN_UNITY=ON "$@" > "$folder.cmake.log" 2>&1 || { cat "$folder.cmake.log" >&2; return 1; }
}
build_in() { ninja -C "$1" --quiet "${@:2}"; }
# Unit tests flush a lot, and none of them asks whether the disk keeps it: they have it in memory, where there is enough.
memory=${TMPDIR:-/tmp}
if [[ -w /dev/shm ]] && (($(df --output=avail -k /dev/shm | tail -n 1) > 2000000)); then memory=/dev/shm; fi
ctest_in() { TMPDIR=$memory ctest --test-dir "$1" --output-on-failure --no-tests=error -j 2 "${@:2}" | tail -n 40; }

format_is_right() {
  cd "$root"
  git ls-files '*.cpp' '*.hpp' | xargs -r clang-format-14 --dry-run -Werror
}

fuzz() {
  local target
  for target in "$build-asan"/tests/fuzz/fuzz_*; do
    [[ -x $target && ! -d $target ]] || continue
    local name=${target##*/} corpus words=()
    [[ -f $root/tests/fuzz/dictionaries/$name.dict ]] && words=("-dict=$root/tests/fuzz/dictionaries/$name.dict")
    corpus=$(mktemp -d)
    cp -r "$root/tests/fuzz/corpus/$name/." "$corpus/" 2>/dev/null || true
    if ! "$target" -max_total_time="$fuzz_seconds" -max_len=20000 -rss_limit_mb=1024 -print_final_stats=0 -verbosity=0 "${words[@]}" "$corpus" > "$build-asan/$name.log" 2>&1; then
      tail -n 40 "$build-asan/$name.log" >&2
      return 1
    fi
    rm -rf "$corpus"
    echo "$name: $fuzz_seconds s without a finding"
  done
}

mkdir -p "$(dirname "$build")"
run "packages" "$root/deploy/packages.sh" test
# Debian's Python has Debian's pytest; another one before it on the path may have neither that nor xdist.
python=$(command -v python3)
"$python" -c 'import pytest, xdist' 2> /dev/null || python=/usr/bin/python3
# Most of an integration test is waiting: several run at once.
pytest=(-q -x -n 4 -p no:cacheprovider)
run "configure" configure "$build"
run "build" build_in "$build"
run "layering" "$root/tests/layering.sh"
run "format" format_is_right
run "unit tests" ctest_in "$build"
run "integration" env POSTERN="$build/gateway/main/postern" \
  "$python" -m pytest "${pytest[@]}" "$root/tests/integration"

# One build, of Clang's, serves the sanitizers' tests and the fuzzers; the release build is GCC's.
run "address and undefined-behaviour sanitizers: build" configure "$build-asan" -DPOSTERN_SANITIZE=address,undefined -DPOSTERN_FUZZ=ON \
  -DCMAKE_CXX_COMPILER=clang++-14
build_in "$build-asan"
run "address and undefined-behaviour sanitizers: unit tests" ctest_in "$build-asan"
run "address and undefined-behaviour sanitizers: integration" env POSTERN="$build-asan/gateway/main/postern" POSTERN_ROUNDS=3 \
  POSTERN_SANITIZED=1 "$python" -m pytest "${pytest[@]}" "$root/tests/integration"
run "fuzzers" fuzz

concurrent=(queue_tests threads_tests smtp_server_tests delivery_tests postern_lmtp_client_test control_tests dns_tests recipients_tests screening_tests postern)
run "thread sanitizer: build" configure "$build-tsan" -DPOSTERN_SANITIZE=thread -DCMAKE_CXX_COMPILER=clang++-14
mapfile -t known < <(ninja -C "$build-tsan" -t targets all | sed 's/:.*//')
wanted=()
for target in "${concurrent[@]}"; do
  for name in "${known[@]}"; do [[ $name == "$target" ]] && wanted+=("$target"); done
done
build_in "$build-tsan" "${wanted[@]}"
export TSAN_OPTIONS="suppressions=$root/tests/tsan.supp halt_on_error=1 exitcode=66"
run "thread sanitizer: unit tests" ctest_in "$build-tsan" -R '^((queue|threads|smtp_server|delivery|control|dns|recipients|screening)_tests|postern_lmtp_client_test)$'
run "thread sanitizer: integration" env POSTERN="$build-tsan/gateway/main/postern" POSTERN_ROUNDS=2 POSTERN_SANITIZED=1 \
  "$python" -m pytest "${pytest[@]}" "$root/tests/integration" -k "load or smtp"

trap - ERR
echo
echo "tests/run.sh: all passed in $((SECONDS - started)) s"
