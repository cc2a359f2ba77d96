#!/usr/bin/env bash
# Install the real servers the tests run against. What can't be installed here is named and left out:
# the tests that need it then skip by name (or fail, with STAYBOLT_REQUIRE_SERVERS=1).
set -u
cd "$(dirname "$0")/../.."
export DEBIAN_FRONTEND=noninteractive

declare -A program_of=(
  [mosquitto]=mosquitto [influxdb]=influxd [chromium]=chromium [postgresql-15]=/usr/lib/postgresql/15/bin/postgres [nodejs]=node [npm]=npm [strace]=strace
)
missing=()
# Without a Chinese font the pages' Chinese is boxes in the pictures of the README.
fc-list :lang=zh 2>/dev/null | grep -q . || missing+=(fonts-wqy-microhei)
for package in mosquitto influxdb postgresql-15 chromium nodejs npm strace; do
  command -v "${program_of[$package]}" >/dev/null 2>&1 || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing ${missing[*]} for the tests (Debian packages) ..."
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >.servers-install.log 2>&1 \
      || { echo "could not install all of: ${missing[*]}; the tests that need them will skip"; tail -3 .servers-install.log; }
    rm -f .servers-install.log
    # The packages start services of their own; the tests start private ones on free ports instead.
    for service in mosquitto influxdb postgresql; do
      command -v systemctl >/dev/null 2>&1 && systemctl disable --now "$service" >/dev/null 2>&1
    done
  else
    echo "not installed and no right to install: ${missing[*]}; the tests that need them will skip"
  fi
fi

# Second opinions on OPC UA and Sparkplug B that were not written with our libraries.
if command -v npm >/dev/null 2>&1 && ! cmp -s tests/servers/package.json .servers/node/installed.json; then
  echo "installing node-opcua, sparkplug-client and sparkplug-payload for the tests (npm) ..."
  mkdir -p .servers/node
  cp tests/servers/package.json .servers/node/
  (cd .servers/node && npm install --silent --no-audit --no-fund --ignore-scripts >install.log 2>&1) \
    && cp tests/servers/package.json .servers/node/installed.json \
    || { echo "could not install them; the tests that need them will skip"; tail -3 .servers/node/install.log; }
fi
exit 0
