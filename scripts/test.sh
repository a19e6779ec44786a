#!/usr/bin/env bash
# Everything that must hold, one step after the other, with a summary at the end. Called by `make test`.
# A failed step does not stop the next ones; the exit status is 1 when any failed.
set -uo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
export BAYEUXD_BIN=$target/debug/bayeuxd

summary=()
status=0

# step NAME COMMAND…
step() {
  local name=$1 started=$SECONDS outcome=ok
  shift
  printf '\n==== %s\n' "$name"
  "$@" || { outcome=FAILED; status=1; }
  summary+=("$(printf '%-28s %-7s %4d s' "$name" "$outcome" $((SECONDS - started)))")
}

# step_twice NAME COMMAND…: for tests that drive a broker, browsers and other people's clients from outside, with deadlines in
# seconds: on a busy machine one may miss its deadline. A second run decides, and the summary says that there was one.
step_twice() {
  local name=$1 started=$SECONDS outcome=ok
  shift
  printf '\n==== %s\n' "$name"
  if ! "$@"; then
    printf '\n==== %s, second try\n' "$name"
    if "$@"; then outcome="ok (2nd)"; else outcome=FAILED status=1; fi
  fi
  summary+=("$(printf '%-28s %-8s %4d s' "$name" "$outcome" $((SECONDS - started)))")
}

in_folder() { (cd "$1" && shift && "$@"); }

step "set up" scripts/setup.sh
step "unit and property tests" cargo test --workspace --quiet --no-fail-fast
step_twice "protocol tests" scripts/protocol-tests.sh
step "API against its document" scripts/schemathesis.sh
step "examples of publishing" python3 examples/publish/test.py
step "examples of backends" python3 examples/backend/test.py
step "behind proxies" python3 scripts/proxies.py
step_twice "real clients" in_folder clients/interop npm test --silent
# In Node, in Chromium, in Deno and Bun; its size and its reference.
step_twice "client in JavaScript" in_folder clients/js npm run check --silent
step_twice "demos" in_folder examples/demos npm test --silent

printf '\n==== summary\n'
printf '%s\n' "${summary[@]}"
printf '%-28s %-7s %4d s\n' "all" "$([ $status -eq 0 ] && echo ok || echo FAILED)" $SECONDS
exit $status
