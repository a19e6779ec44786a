#!/usr/bin/env bash
# Measures the broker beside the least a server can do (`floor`), in the same minutes on the same machine.
# Called by `make bench`. BAYEUX_LOAD names the folder of the load generator's sources. Everything stays on 127.0.0.1,
# every run is bounded, and the broker is started anew for each, because a generator leaves its sessions behind.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/broker.sh
. scripts/broker.sh

: "${BAYEUX_LOAD:?name the folder of the load generator bayeux-load in BAYEUX_LOAD}"
readonly SECONDS_A_RUN=${SECONDS_A_RUN:-10}
readonly CLIENTS=${CLIENTS:-1000}
readonly IDLE_CLIENTS=${IDLE_CLIENTS:-5000}

target=${CARGO_TARGET_DIR:-target}
cargo build --release --quiet
cargo build --release --quiet --manifest-path "$BAYEUX_LOAD/Cargo.toml" --target-dir "$target/bayeux-load"
load=$target/bayeux-load/release
floor_pid=""
trap '[ -z "$floor_pid" ] || kill "$floor_pid"; stop_broker' EXIT

against_broker() {
  local name=$1 address
  shift
  start_broker "$target/release/bayeuxd" --set log.level=warn
  address=${broker_url#http://}
  printf '%-24s ' "$name"
  "$load/bayeux-load" --addr "${address%%/*}" --path /bayeux --pid "$broker_pid" --secs "$SECONDS_A_RUN" "$@"
  stop_broker
}

against_floor() {
  local name=$1 port=$((20000 + RANDOM % 10000))
  shift
  "$load/floor" "$port" &
  floor_pid=$!
  until (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do kill -0 "$floor_pid"; sleep 0.05; done
  printf '%-24s ' "$name"
  "$load/bayeux-load" --addr "127.0.0.1:$port" --sessionless --pid "$floor_pid" --secs "$SECONDS_A_RUN" "$@"
  kill "$floor_pid"
  wait "$floor_pid" 2>/dev/null || true
  floor_pid=""
}

for transport in lp ws; do
  against_floor "floor $transport" --transport $transport --clients "$CLIENTS" --channels 1 --rate 20
  against_broker "bayeuxd $transport" --transport $transport --clients "$CLIENTS" --channels 1 --rate 20
  against_broker "bayeuxd $transport idle" --transport $transport --clients "$IDLE_CLIENTS" --channels 1 --rate 0
done
