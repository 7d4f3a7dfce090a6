#!/bin/bash
# Postern in one command, on a fresh Debian 12: installs, builds, starts the gateway on 127.0.0.1:2525 with a small LMTP store behind it on
# 127.0.0.1:2424, sends one message to three recipients (accepted, mailbox full, unknown) and shows what became of each.
#
#   deploy/quickstart.sh          leaves the gateway running in the foreground
#   deploy/quickstart.sh --once   stops it and exits 0
set -euo pipefail

once=
case ${1:-} in
  --once) once=1 ;;
  '') ;;
  *) echo "usage: deploy/quickstart.sh [--once]" >&2; exit 64 ;;
esac
root=$(cd "$(dirname "$0")/.." && pwd)
build=${POSTERN_BUILD_DIR:-$root/build}
work=$(mktemp -d "${TMPDIR:-/tmp}/postern-quickstart.XXXXXX")
pids=()
cleanup() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

say() { printf '\n== %s\n' "$*"; }

for port in 2525 2424; do
  if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
    echo "quickstart: port 127.0.0.1:$port is taken; stop what listens there and try again" >&2
    exit 1
  fi
done

say "Installing what is missing, and building (a few minutes the first time)"
"$root/deploy/packages.sh" build
cmake -G Ninja -S "$root" -B "$build" -DPOSTERN_TESTS=OFF -DPOSTERN_UNITY=ON > "$work/cmake.log" || { cat "$work/cmake.log" >&2; exit 1; }
ninja -C "$build" postern
postern=$build/gateway/main/postern

mkdir -p "$work/mail/example.com/alice" "$work/mail/example.com/fred"
echo 100 > "$work/mail/example.com/fred/quota"
cat > "$work/postern.yaml" <<YAML
hostname: mx.example.com
listeners:
  - address: "127.0.0.1:2525"
queue: { path: $work/queue.db, minimum_free_disk: 16MiB }
domains:
  example.com: { backend: stores }
backends:
  stores: { endpoints: ["127.0.0.1:2424"] }
YAML
"$postern" check -c "$work/postern.yaml"

# Waits until a line of the log matches; fails when the program ends before.
await() {
  local log=$1 pattern=$2 pid=$3
  until grep -q "$pattern" "$log" 2>/dev/null; do
    kill -0 "$pid" 2>/dev/null || { cat "$log" >&2; echo "quickstart: the program has ended" >&2; exit 1; }
    sleep 0.05
  done
}

say "Starting the store and the gateway"
"$postern" store --listen 127.0.0.1:2424 --maildir "$work/mail" 2> "$work/store.log" &
pids+=($!)
await "$work/store.log" ' ready ' "${pids[0]}"
"$postern" serve -c "$work/postern.yaml" 2> "$work/gateway.log" &
pids+=($!)
await "$work/gateway.log" ' ready ' "${pids[1]}"

say "Sending one message to alice (has a mailbox), fred (his is full) and nobody (has none)"
python3 - <<'PYTHON'
import smtplib
with smtplib.SMTP("127.0.0.1", 2525) as client:
    refused = client.sendmail("sender@example.org", ["alice@example.com", "fred@example.com", "nobody@example.com"],
                    "From: sender@example.org\r\nTo: alice@example.com, fred@example.com, nobody@example.com\r\n"
                    "Subject: Three fates\r\n\r\nOne message, three recipients, three answers.\r\n")
for recipient, (code, text) in refused.items():
    print(f"{recipient} was refused while the sender was on the line: {code} {text.decode()}")
PYTHON
await "$work/gateway.log" ' deferred .*fred@' "${pids[1]}"
await "$work/gateway.log" ' refused .*nobody@' "${pids[1]}"
await "$work/gateway.log" ' delivered .*alice@' "${pids[1]}"
id=$(sed -n 's/.* accepted id=\([^ ]*\) .*/\1/p' "$work/gateway.log" | head -n 1)

say "alice: delivered, a file in her Maildir"
file=$(find "$work/mail/example.com/alice/new" -type f | head -n 1)
[[ -n $file ]] || { echo "quickstart: alice's mailbox is empty" >&2; exit 1; }
echo "$file"
cat "$file"

say "fred: deferred, and tried again later. postern queue list:"
# The results are in the queue one flush after they are in the log.
until "$postern" queue show "$id" -c "$work/postern.yaml" > "$work/show" && grep -q waiting "$work/show"; do sleep 0.05; done
"$postern" queue list -c "$work/postern.yaml"
say "postern queue show $id"
cat "$work/show"

if [[ $once ]]; then
  say "Stopping"
  kill -TERM "${pids[1]}"
  wait "${pids[1]}"
  echo "quickstart: done"
  exit 0
fi
say "The gateway runs. Try, in another terminal:"
cat <<TEXT
  alias postern='$postern'; export POSTERN_CONFIG='$work/postern.yaml'
  postern status
  postern queue list
  postern queue show $id
  postern history
  # What is known of a recipient:
  postern route nobody@example.com
  # Make room for fred, and try his message now:
  echo 1000000 > '$work/mail/example.com/fred/quota'; postern queue retry --recipient fred@example.com
  # Send another:
  python3 -c 'import smtplib; smtplib.SMTP("127.0.0.1", 2525).sendmail("you@example.org", ["alice@example.com"], "Subject: Hello\r\n\r\nHello.\r\n")'
  ls '$work/mail/example.com/'*/new
TEXT
tail -n +1 -f "$work/gateway.log" --pid "${pids[1]}"
