#!/usr/bin/env bash
# Runs the protocol tests against a freshly started broker in each of several configurations: the behaviours of the
# contract depend on settings, and no single broker shows them all.
# Called by `make protocol-test` and `make test`. Arguments are passed on to the program, like `--filter connect`.
set -euo pipefail -o noglob
cd "$(dirname "$0")/.."
# shellcheck source=scripts/broker.sh
. scripts/broker.sh

target=${CARGO_TARGET_DIR:-target}
cargo build --quiet --package bayeuxd --package protocol-tests
trap stop_broker EXIT

failed=()

# run NAME "SETTING…" "FEATURE…" [ARGUMENT]…: one configuration, with what the program must know of it. A setting holds no
# blanks.
run() {
  local name=$1 settings=$2 features=$3
  shift 3
  local set_flags=() have_flags=() setting feature
  for setting in $settings; do set_flags+=(--set "$setting"); done
  for feature in $features; do have_flags+=(--have "$feature"); done
  echo "== protocol tests: $name"
  start_broker "$target/debug/bayeuxd" "${set_flags[@]}"
  # What passed would bury what did not; what was left out is printed with its reason.
  "$target/debug/protocol-tests" --url "$broker_url" "${have_flags[@]}" "$@" | sed '/^pass /d' || failed+=("$name")
  if ! kill -0 "$broker_pid" 2>/dev/null; then
    echo "the broker died:" >&2
    cat "$broker_log" >&2
    failed+=("$name (the broker died)")
  fi
  stop_broker
}

run "as it comes" "" "" "$@"

# Short enough that every case may wait for it (`slow`); what waits for fixed times runs here too.
run "short lives, iframe" \
  "broker.timeout=3s broker.max_interval=4s broker.sweep_period=200ms transport.iframe=true" \
  "iframe slow" --max-interval 4 "$@"

run "listed origins, no echo" \
  'transport.allowed_origins=["http://allowed.example"] broker.broadcast_to_publisher=false' \
  "origins no-echo" "$@"

run "small limits" \
  "transport.max_message_bytes=64KiB transport.max_batch=50 broker.max_subscriptions=10" \
  "small-limits" "$@"

# A short queue, so that readers fall behind it, and channels of every kind of keeping.
run "kept and lazy channels" \
  'broker.max_queue=10 channel=[{pattern="/brief/**",retain={messages=20}},{pattern="/lazy/**",lazy="800ms"},{pattern="/last/**",retain_last=true}]' \
  "kept" "$@"

# Sessions of other cases would be ended too when the machine is busy.
small="extension.timestamp=true extension.max_inactivity=5s"
run "timestamps" "$small" "extensions" --filter timestamp. "$@"
run "idle sessions" "$small" "extensions" --filter activity. "$@"

# Every other case looks for the standard error of unknown sessions, and for data as it was sent.
run "salesforce" "transport.profile=salesforce transport.path=/cometd" "salesforce" --filter salesforce. "$@"

run "cookie required" "broker.require_cookie=true" "require-cookie" "$@"

if [ ${#failed[@]} -gt 0 ]; then
  printf 'protocol tests failed: %s\n' "${failed[@]}" >&2
  exit 1
fi
