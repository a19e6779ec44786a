#!/usr/bin/env bash
# Installs by apt the languages of these examples that the machine lacks. Called by scripts/setup.sh. What cannot be
# installed stays missing: test.py names it.
set -uo pipefail

# command it brings, packages
readonly LANGUAGES="
curl    curl
perl    perl
ruby    ruby
php     php-cli
elixir  elixir
go      golang-go
java    default-jdk-headless
mcs     mono-mcs mono-runtime libmono-system-net-http4.0-cil
"

missing=()
while read -r command packages; do
  [ -z "$command" ] || command -v "$command" >/dev/null || missing+=("$packages")
done <<<"$LANGUAGES"
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2068 # several packages in one entry
install() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $@ >/dev/null; }

echo "setup: installing ${missing[*]}"
"${as_root[@]}" apt-get update -qq
# At once when that works, which is faster; else one after the other, so that one does not take the others with it.
install "${missing[@]}" 2>/dev/null || for packages in "${missing[@]}"; do
  install "$packages" || echo "setup: $packages could not be installed" >&2
done
exit 0
