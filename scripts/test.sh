#!/usr/bin/env bash
# Everything that must hold, one step after the other, with a summary at the end. Called by `make test`.
# A failed step does not stop the next ones; the exit status is 1 when any failed. No step runs for ever: one that is not
# done within its minutes is ended and failed, with a list of what was running, and all together end within BUDGET minutes.
set -uo pipefail
cd "$(dirname "$0")/.."

# Minutes for all steps together, second tries included.
BUDGET=${BUDGET:-75}

target=${CARGO_TARGET_DIR:-target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
export BAYEUXD_BIN=$target/debug/bayeuxd

summary=()
status=0

# limited MINUTES COMMAND…: ends the command, and what it started, when the time is over.
limited() {
  local seconds=$(($1 * 60)) left=$((BUDGET * 60 - SECONDS)) code=0
  shift
  [ "$left" -gt 0 ] || { echo "no time left of $BUDGET minutes" && return 124; }
  [ "$seconds" -lt "$left" ] || seconds=$left
  timeout --kill-after=10 "$seconds" "$@" </dev/null &
  local command=$!
  # Killed, too, once the command has ended; its own sleep then ends with it.
  (sleep $((seconds > 5 ? seconds - 5 : 1)) && echo "still running after nearly $seconds s:" && ps -eo pid,ppid,stat,etimes,args --forest) 2>/dev/null &
  local watch=$!
  wait "$command" || code=$?
  pkill -P "$watch"
  kill "$watch" 2>/dev/null
  wait "$watch" 2>/dev/null
  [ "$code" -lt 124 ] || echo "ended after $seconds s"
  return "$code"
}

# step NAME MINUTES COMMAND…: many steps drive brokers, browsers and other people's clients from outside, with deadlines in
# seconds, and on a busy machine one may be missed. A second run decides, and the summary says that there was one.
step() {
  local name=$1 minutes=$2 started=$SECONDS outcome=ok
  shift 2
  printf '\n==== %s\n' "$name"
  if ! limited "$minutes" "$@"; then
    printf '\n==== %s, second try\n' "$name"
    if limited "$minutes" "$@"; then outcome="ok (2nd)"; else outcome=FAILED status=1; fi
  fi
  summary+=("$(printf '%-28s %-8s %4d s' "$name" "$outcome" $((SECONDS - started)))")
}

step "set up" 15 scripts/setup.sh
step "unit and property tests" 30 cargo test --workspace --quiet --no-fail-fast
step "protocol tests" 15 scripts/protocol-tests.sh
step "API against its document" 10 scripts/schemathesis.sh
step "examples of publishing" 10 python3 examples/publish/test.py
step "examples of backends" 5 python3 examples/backend/test.py
step "behind proxies" 5 python3 scripts/proxies.py
step "real clients" 15 npm --prefix clients/interop test --silent
# In Node, in Chromium, in Deno and Bun; its size and its reference.
step "client in JavaScript" 15 npm --prefix clients/js run check --silent
step "demos" 10 npm --prefix examples/demos test --silent

printf '\n==== summary\n'
printf '%s\n' "${summary[@]}"
printf '%-28s %-8s %4d s\n' "all" "$([ $status -eq 0 ] && echo ok || echo FAILED)" $SECONDS
exit $status
