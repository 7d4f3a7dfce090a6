#!/bin/bash
# Fails when an include breaks the arrows between the folders, and when something stands at the top that does not belong there.
# The table is the architecture: a folder may include itself and what stands behind it.
set -euo pipefail
cd "$(dirname "$0")/.."

declare -A may_include=(
  [queue/mail]=""
  [queue]="queue/mail"
  [smtp-server]="queue/mail"
  [lmtp-client]="queue/mail"
  [gateway/sandbox]=""
  [gateway/config]="queue/mail"
  [gateway/dns]="queue/mail"
  [gateway/log]="queue"
  [gateway/threads]=""
  [gateway/routing]="gateway/config queue/mail"
  [gateway/bounce]="queue"
  [gateway/delivery]="queue lmtp-client gateway/threads"
  [gateway/outgoing]="queue/mail lmtp-client gateway/dns"
  [gateway/recipients]="queue lmtp-client"
  [gateway/screening]="queue smtp-server gateway/dns"
  [gateway/acceptance]="queue smtp-server gateway/threads gateway/recipients gateway/screening"
  [gateway/maildir]="queue/mail smtp-server"
  [gateway/control]="queue"
  [gateway/cli]="gateway/control gateway/config gateway/routing queue"
  [gateway/main]="queue smtp-server lmtp-client gateway"
)
bad=0

folder_of() {  # the longest folder of the table that holds the file
  local file=$1 best= folder
  for folder in "${!may_include[@]}"; do
    [[ $file == "$folder"/* && ${#folder} -gt ${#best} ]] && best=$folder
  done
  echo "$best"
}

while IFS=: read -r file line include; do
  target=${include#*\"}
  target=${target%\"*}
  from=$(folder_of "$file")
  to=$(folder_of "$target")
  if [[ -z $from || -z $to ]]; then
    echo "$file:$line: includes \"$target\", which is in no folder of tests/layering.sh" && bad=1
    continue
  fi
  allowed=
  [[ $from == "$to" ]] && allowed=1
  for folder in ${may_include[$from]}; do
    [[ $target == "$folder"/* ]] && allowed=1
  done
  [[ $allowed ]] || { echo "$file:$line: $from must not include $target"; bad=1; }
  if [[ $target == */detail/* && $from != "$to" && ! ( $target == queue/mail/detail/* && $from == queue/mail ) ]]; then
    echo "$file:$line: $target is $to's own" && bad=1
  fi
done < <(grep -rnE --include='*.[hc]pp' '^#include "' queue smtp-server lmtp-client gateway)

only_in() {  # header pattern, folders that may include it
  local pattern=$1 hits
  shift
  hits=$(grep -rnE --include='*.[hc]pp' "^#include <$pattern" queue smtp-server lmtp-client gateway | grep -vE "^($(IFS='|'; echo "$*"))/" || true)
  [[ -z $hits ]] || { echo "$hits"; echo "  <$pattern belongs in: $*"; bad=1; }
}
only_in 'sqlite3\.h' queue gateway/cli gateway/recipients
only_in 'yaml-cpp/' gateway/config
only_in 'seccomp\.h' gateway/sandbox
only_in 'unbound\.h' gateway/dns
only_in 'boost/asio' smtp-server lmtp-client gateway/dns gateway/outgoing gateway/threads gateway/delivery gateway/recipients gateway/screening gateway/acceptance gateway/maildir gateway/control gateway/main

for name in $(git ls-files | cut -d/ -f1 | sort -u); do
  case $name in
    .*|CMakeLists.txt|README.md|LICENSE|gateway|queue|lmtp-client|smtp-server|tests|deploy) ;;
    *) echo "$name: does not belong at the top"; bad=1 ;;
  esac
done
exit $bad
