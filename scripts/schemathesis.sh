#!/usr/bin/env bash
# Holds the API to its own OpenAPI document: thousands of requests made from it, right and wrong ones, against a broker
# started here. Whatever is accepted against the document, refused against it, or answered in another form fails.
# Called by scripts/test.sh. Bounded to a minute; the tool lives in a folder below the target folder.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/broker.sh
. scripts/broker.sh

readonly EXAMPLES_A_CALL=${EXAMPLES_A_CALL:-60}
readonly DEADLINE_SECONDS=120
readonly REQUIREMENTS=scripts/schemathesis-requirements.txt

target=${CARGO_TARGET_DIR:-target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
binary=${BAYEUXD_BIN:-$target/debug/bayeuxd}
tool=$target/schemathesis

if ! cmp -s "$REQUIREMENTS" "$tool/installed.txt"; then
  rm -rf "$tool"
  python3 -m venv "$tool"
  "$tool/bin/pip" install --quiet --disable-pip-version-check --requirement "$REQUIREMENTS"
  cp "$REQUIREMENTS" "$tool/installed.txt"
fi

[ -x "$binary" ] || cargo build --quiet
trap stop_broker EXIT
start_broker "$binary" --set log.level=warn

# It keeps what it found in the folder it runs in. Ids are drawn at random, so that 404 is a fair answer to most.
cd "$tool"
timeout "$DEADLINE_SECONDS" bin/st run "${broker_url%/bayeux}/api/v1/openapi.json" \
  --checks all --max-examples "$EXAMPLES_A_CALL" --seed "${SEED:-1}" --warnings off --no-color
