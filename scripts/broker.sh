# Starts and ends brokers for the other scripts. Sourced, never run. Each broker takes a free port on the loopback
# address, and only brokers started here are ever ended, by their process id.

readonly START_DEADLINE_SECONDS=10
readonly STOP_DEADLINE_SECONDS=12

broker_pid=""
broker_log=""
broker_url=""

# start_broker BINARY [ARGUMENT of serve]…: sets broker_pid and broker_url.
start_broker() {
  local binary=$1
  shift
  broker_log=$(mktemp)
  "$binary" serve --listen 127.0.0.1:0 "$@" 2>"$broker_log" &
  broker_pid=$!
  local deadline=$((SECONDS + START_DEADLINE_SECONDS))
  until broker_url=$(sed -n 's/^ *Bayeux  *\(http[^ ]*\)$/\1/p' "$broker_log") && [ -n "$broker_url" ]; do
    if ! kill -0 "$broker_pid" 2>/dev/null || [ "$SECONDS" -ge "$deadline" ]; then
      echo "the broker did not start:" >&2
      cat "$broker_log" >&2
      stop_broker
      return 1
    fi
    sleep 0.05
  done
}

# Asks the broker to end, and insists when it does not.
stop_broker() {
  [ -n "$broker_pid" ] || return 0
  kill -TERM "$broker_pid" 2>/dev/null || true
  local deadline=$((SECONDS + STOP_DEADLINE_SECONDS))
  while kill -0 "$broker_pid" 2>/dev/null; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      echo "the broker did not end within $STOP_DEADLINE_SECONDS s of SIGTERM" >&2
      kill -KILL "$broker_pid" 2>/dev/null || true
      break
    fi
    sleep 0.05
  done
  wait "$broker_pid" 2>/dev/null || true
  rm -f "$broker_log"
  broker_pid=""
}
