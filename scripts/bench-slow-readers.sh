#!/usr/bin/env bash
# What a thousand readers that stopped cost those who read on: live readers are measured while a million messages go to a
# channel that nobody (first run) or a thousand stopped readers (second run) subscribed to.
# Called by hand. BAYEUX_LOAD names the folder of the load generator's sources. Everything stays on 127.0.0.1 and is bounded.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/broker.sh
. scripts/broker.sh

: "${BAYEUX_LOAD:?name the folder of the load generator bayeux-load in BAYEUX_LOAD}"
readonly READERS=${READERS:-1000}
readonly MESSAGES=${MESSAGES:-1000000}
readonly RATE=${RATE:-20000}
readonly LIVE=${LIVE:-100}

target=${CARGO_TARGET_DIR:-target}
cargo build --release --quiet
cargo build --release --quiet --manifest-path "$BAYEUX_LOAD/Cargo.toml" --target-dir "$target/bayeux-load"
trap stop_broker EXIT

# run NAME READERS
run() {
  local address seconds=$((MESSAGES / RATE))
  start_broker "$target/release/bayeuxd" --set log.level=warn --set broker.max_interval=10m
  address=${broker_url#http://}
  address=${address%%/*}
  printf '%s\n' "$1"
  python3 scripts/bench-slow-readers.py --addr "$address" --pid "$broker_pid" --readers "$2" --messages "$MESSAGES" \
    --rate "$RATE" &
  local flood=$!
  # The readers are there after a few seconds.
  sleep 5
  "$target/bayeux-load/release/bayeux-load" --addr "$address" --path /bayeux --pid "$broker_pid" --secs $((seconds - 8)) \
    --transport lp --clients "$LIVE" --channels 1 --rate 20
  wait "$flood"
  stop_broker
}

run "nobody stopped" 0
run "$READERS readers stopped" "$READERS"
