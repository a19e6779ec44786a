#!/usr/bin/env bash
# Fetches what the tests need beside Rust: npm packages exactly as their lock files say, and by apt what is missing of
# Chromium, of the languages of the examples, and of the proxies.
# Called by `make test`, `make interop` and `make demo`. Does nothing twice, and touches nothing outside the project but for
# apt. With folders as arguments, their npm packages are all that is fetched.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v node >/dev/null && command -v npm >/dev/null || {
  echo "setup: node (20.14 or newer) and npm are needed for the tests with real clients" >&2
  exit 1
}

folders=("$@")
[ $# -gt 0 ] || folders=(clients/* protocol-tests/peers examples/demos)

for folder in "${folders[@]}"; do
  lock=$folder/package-lock.json
  [ -e "$lock" ] || continue
  if [ ! -e "$folder/node_modules/.package-lock.json" ] || [ "$lock" -nt "$folder/node_modules/.package-lock.json" ]; then
    echo "setup: npm ci in $folder"
    (cd "$folder" && npm ci --no-audit --no-fund --loglevel=error && touch node_modules/.package-lock.json)
  fi
done

[ $# -eq 0 ] || exit 0

# The languages of examples/publish, and the proxies of docs/deploy.md. RUNLEVEL keeps apt from starting them as services.
examples/publish/setup.sh
proxies=()
for proxy in nginx haproxy; do [ -n "$(PATH=$PATH:/usr/sbin type -P $proxy)" ] || proxies+=("$proxy"); done
if [ ${#proxies[@]} -gt 0 ]; then
  echo "setup: installing ${proxies[*]}"
  as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo)
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
    apt-get install -y -qq --no-install-recommends "${proxies[@]}" >/dev/null
fi

chromium=${CHROMIUM_BIN:-/usr/bin/chromium}
if [ ! -x "$chromium" ]; then
  echo "setup: installing Chromium"
  as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo)
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
fi
