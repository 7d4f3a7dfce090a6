#!/bin/sh
# How the gateway fares with a million waiting recipients (or as many as the first argument says): start, memory, the
# commands of an operator, acceptance meanwhile, and draining. Prints the figures; needs a release build.
#
#     ninja -C build postern postern_fill_queue && tests/bench/million.sh
#
# POSTERN and FILL name other binaries, SECONDS_EACH how long the memory is watched, FOLDER where the queue lies.
here=$(cd "$(dirname "$0")" && pwd)
exec python3 "$here/million.py" "$@"
