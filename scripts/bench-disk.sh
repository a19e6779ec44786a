#!/usr/bin/env bash
# Measures the engine on disk: acknowledged publishes a second over HTTP beside the cost of one sync, and how long a start
# takes on a full folder. Needs wrk and python3. Everything stays on 127.0.0.1 and below the target folder; every run is
# bounded, and only brokers started here are ended.
#
#   scripts/bench-disk.sh [publish|restart]…      both when none is named
#
# BENCH_FOLDER names another disk. The load generator shares the machine's cores with the broker.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/broker.sh
. scripts/broker.sh

readonly SECONDS_A_RUN=${SECONDS_A_RUN:-10}
readonly PUBLISHERS=${PUBLISHERS:-64}
readonly BATCH=${BATCH:-10}
readonly SESSIONS=${SESSIONS:-10000}
readonly MESSAGES=${MESSAGES:-1000000}

target=${CARGO_TARGET_DIR:-target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
binary=${BAYEUXD_BIN:-$target/release/bayeuxd}
[ -x "$binary" ] || cargo build --release --quiet
command -v wrk >/dev/null || { echo "bench-disk: wrk is needed (apt-get install wrk)" >&2; exit 1; }
folder=$(mktemp -d "${BENCH_FOLDER:-$target}/bench-disk.XXXXXX")
trap 'stop_broker; rm -rf "$folder"' EXIT

# What one write and fdatasync of 16 KiB cost in this folder, at the end of a growing file.
sync_cost() {
  python3 - "$folder/cost" <<'PY'
import os, sys, time
file = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR)
costs = []
for n in range(400):
    os.pwrite(file, b"x" * 16384, n * 16384)
    begin = time.monotonic()
    os.fdatasync(file)
    costs.append((time.monotonic() - begin) * 1e3)
os.unlink(sys.argv[1])
costs.sort()
print("one fdatasync: median %.2f ms, 90 %% %.2f ms, 99 %% %.2f ms; load %.1f" % (
    costs[200], costs[360], costs[396], os.getloadavg()[0]))
PY
}

# request BATCH PATH-OF-SCRIPT: what each publisher sends, about 100 bytes of data a message.
request() {
  cat >"$2" <<LUA
local messages = {}
for n = 1, $1 do
  messages[n] = '{"channel":"/bench/' .. n .. '","data":{"n":' .. n .. ',"text":"' .. string.rep("x", 80) .. '"}}'
end
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = "[" .. table.concat(messages, ",") .. "]"
LUA
}

# The counter of publications: only what was acknowledged is in it.
publications() {
  curl -fsS "${broker_url%/bayeux}/metrics" | awk '/^bayeuxd_publications_total/ {print $2}'
}

publish() {
  local name=$1 before begin after end
  shift
  start_broker "$binary" --set log.level=warn --set "engine.disk.path=$folder/$name" "$@"
  request "$BATCH" "$folder/publish.lua"
  wrk -t1 -c"$PUBLISHERS" -d2 -s "$folder/publish.lua" "$broker_url" >/dev/null
  before=$(publications) begin=$(date +%s.%N)
  wrk -t1 -c"$PUBLISHERS" -d"$SECONDS_A_RUN" --latency -s "$folder/publish.lua" "$broker_url" >"$folder/wrk"
  after=$(publications) end=$(date +%s.%N)
  printf '%-12s ' "$name"
  awk -v n=$((after - before)) -v s="$(echo "$end - $begin" | bc)" 'BEGIN {printf "%.0f acknowledged publishes/s; a request: ", n / s}'
  awk '/50%|99%/ {printf "%s %s  ", $1, $2} /Non-2xx|Socket errors/ {printf "(%s) ", $0} END {print ""}' "$folder/wrk"
  stop_broker
}

restart() {
  local options=(--set log.level=warn --set engine.kind=disk --set "engine.disk.path=$folder/restart"
    --set broker.max_interval=1h --set "engine.disk.max_messages=$MESSAGES")
  start_broker "$binary" "${options[@]}"
  python3 - "$broker_url" "$SESSIONS" "$folder/session" <<'PY'
import http.client, json, sys, threading, urllib.parse
url, count, keep = urllib.parse.urlparse(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
def work(numbers):
    connection = http.client.HTTPConnection(url.hostname, url.port)
    def send(message):
        connection.request("POST", url.path, json.dumps([message]), {"Content-Type": "application/json"})
        reply = json.loads(connection.getresponse().read())[0]
        assert reply["successful"], reply
        return reply
    for n in numbers:
        reply = send({"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"],
                      "ext": {"ack": True}})
        send({"channel": "/meta/subscribe", "clientId": reply["clientId"], "subscription": ["/user/%d" % n, "/news/**"]})
        if n == 0:
            open(keep, "w").write(reply["clientId"])
threads = [threading.Thread(target=work, args=(range(n, count, 32),)) for n in range(32)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
PY
  request 50 "$folder/fill.lua"
  local round=0
  until [ "$(publications)" -ge "$MESSAGES" ]; do
    wrk -t1 -c64 -d3 -s "$folder/fill.lua" "$broker_url" >/dev/null
    round=$((round + 1))
    [ "$round" -lt 100 ] || { echo "bench-disk: the folder was not full in time" >&2; return 1; }
  done
  kill -KILL "$broker_pid"
  wait "$broker_pid" 2>/dev/null || true
  broker_pid=""
  echo "killed with $SESSIONS sessions and $MESSAGES messages kept, $(du -sm "$folder/restart" | cut -f1) MB on disk"
  for cache in warm warm cold; do
    if [ $cache = cold ]; then sync; (echo 1 >/proc/sys/vm/drop_caches) 2>/dev/null || { echo "cold: the caches cannot be dropped here"; continue; }; fi
    local begin
    begin=$(date +%s%N)
    start_broker "$binary" "${options[@]}"
    python3 - "$broker_url" "$folder/session" "$begin" "$cache" "$broker_pid" <<'PY'
import http.client, json, os, sys, time, urllib.parse
url, session = urllib.parse.urlparse(sys.argv[1]), open(sys.argv[2]).read()
connection = http.client.HTTPConnection(url.hostname, url.port)
connect = [{"channel": "/meta/connect", "clientId": session, "connectionType": "long-polling", "advice": {"timeout": 0},
            "ext": {"ack": 0}}]
connection.request("POST", url.path, json.dumps(connect), {"Content-Type": "application/json"})
reply = json.loads(connection.getresponse().read())[-1]
assert reply["successful"], reply
took = (time.time_ns() - int(sys.argv[3])) / 1e9
used = open("/proc/%s/stat" % sys.argv[5]).read().rsplit(") ")[1].split()
cpu = (int(used[11]) + int(used[12])) / os.sysconf("SC_CLK_TCK")
print("%s cache: a session of before is served %.2f s after the start, for %.2f s of CPU" % (sys.argv[4], took, cpu))
PY
    kill -KILL "$broker_pid"
    wait "$broker_pid" 2>/dev/null || true
    broker_pid=""
  done
}

parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(publish restart)
for part in "${parts[@]}"; do
  sync_cost
  case $part in
    publish)
      publish memory --set engine.kind=memory
      publish sync --set engine.kind=disk
      publish os --set engine.kind=disk --set engine.disk.durability=os
      sync_cost
      ;;
    restart) restart ;;
    *) echo "bench-disk: publish or restart, not $part" >&2; exit 2 ;;
  esac
done
