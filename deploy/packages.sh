#!/bin/bash
# Installs the Debian packages that Postern needs, those that are missing only. Argument: `build` (to build and run) or `test` (that, and what
# the tests and benchmarks use). Needs root only when something is missing.
set -euo pipefail

build=(build-essential cmake ninja-build ccache pkg-config libboost1.81-dev libsqlite3-dev libyaml-cpp-dev libfmt-dev
  nlohmann-json3-dev libcli11-dev libxxhash-dev libssl-dev libsystemd-dev libseccomp-dev libgsasl-dev
  libunbound-dev libidn2-dev dns-root-data python3)
test=(libgtest-dev libgmock-dev clang-14 libclang-rt-14-dev clang-format-14 swaks dovecot-core dovecot-lmtpd postfix python3-pytest python3-pytest-xdist xfsprogs sqlite3 strace linux-perf libmime-tools-perl
  openssl sslscan nsd ldnsutils python3-seccomp systemd)

wanted=("${build[@]}")
[[ ${1:-build} == test ]] && wanted+=("${test[@]}")
missing=()
for package in "${wanted[@]}"; do
  [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
done
(( ${#missing[@]} )) || exit 0

if (( EUID != 0 )); then
  echo "packages.sh: run as root, or install: ${missing[*]}" >&2
  exit 1
fi
# Debian starts a service as it is installed; the tests start their own, on their own ports.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  printf '#!/bin/sh\nexit 101\n' > $policy
  chmod +x $policy
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
