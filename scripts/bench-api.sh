#!/usr/bin/env bash
# Measures publishing by the API. Called by hand; needs `wrk` (in Debian's packages) and, for Faye's figures, Node.
#   one      one message a request, no subscribers: the broker and a bare axum handler that gives the same bytes, in turns
#   hundred  a hundred messages a request: the broker, and Faye with a hundred messages a request of its own protocol
#   hang     one message a request, without and with a backend that hangs while clients call it
# Everything stays on 127.0.0.1, every run is bounded. RUNS and SECONDS_A_RUN may be set,
# and SKIP_BUILD when both programs are built.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly RUNS=${RUNS:-5}
readonly SECONDS_A_RUN=${SECONDS_A_RUN:-5}
readonly CONNECTIONS=${CONNECTIONS:-32}
readonly CALLERS=${CALLERS:-20}
target=${CARGO_TARGET_DIR:-target}
work=$(mktemp -d)
pids=()
trap 'for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done; rm -rf "$work"' EXIT

[ -n "${SKIP_BUILD:-}" ] || cargo build --release --quiet --bin bayeuxd --example bare_axum

# body FILE COUNT: an array of so many messages, or one message.
python3 - "$work" <<'PYTHON'
import json, sys
work = sys.argv[1]
def script(name, path, body):
    with open(f"{work}/{name}.lua", "w") as file:
        file.write(f'wrk.method = "POST"\nwrk.path = "{path}"\nwrk.headers["Content-Type"] = "application/json"\n')
        file.write(f"wrk.body = [==[{body}]==]\n")
item = {"channel": "/bench/one", "data": {"text": "hello", "n": 42}}
script("one", "/api/v1/publish", json.dumps(item))
script("hundred", "/api/v1/publish", json.dumps([item] * 100))
faye = dict(item, id="1", clientId="none")
script("faye", "/bayeux", json.dumps([faye] * 100))
PYTHON

# start NAME PATTERN COMMAND…: starts a server and waits until its output holds its address; sets `address` and `pid`.
start() {
  local name=$1 pattern=$2 log=$work/$1.log
  shift 2
  "$@" >"$log" 2>&1 &
  pid=$!
  pids+=("$pid")
  for _ in $(seq 200); do
    address=$(grep -oE "$pattern" "$log" | head -1 | grep -oE '[0-9.]*:?[0-9]+$' || true)
    [ -n "$address" ] && break
    kill -0 "$pid" || { cat "$log" >&2; exit 1; }
    sleep 0.05
  done
  case $address in *:*) ;; *) address=127.0.0.1:$address ;; esac
}

start_broker() { start "$1" 'Bayeux +http://[0-9.]+:[0-9]+' "$target/release/bayeuxd" serve --listen 127.0.0.1:0 --set log.level=warn "${@:2}"; }

# cpu PID: the seconds of processor time that a process has used.
cpu() { awk -v hertz="$(getconf CLK_TCK)" '{sub(/.*\) /, ""); print ($12 + $13) / hertz}' "/proc/$1/stat"; }

# rate SCRIPT ADDRESS PID: requests a second, and microseconds of the server's processor time for each; a run with an
# answer that is no success fails.
rate() {
  local out before after
  before=$(cpu "$3")
  out=$(wrk -t1 -c"$CONNECTIONS" -d"${SECONDS_A_RUN}s" -s "$work/$1.lua" "http://$2")
  after=$(cpu "$3")
  if grep -q 'Non-2xx' <<<"$out"; then echo "$out" >&2; exit 1; fi
  awk -v used="$after" -v had="$before" '
    /requests in/ {count = $1}
    /Requests\/sec/ {rate = $2}
    END {printf "%.0f %.3f", rate, (used - had) * 1e6 / count}' <<<"$out"
}

# row SCALE A B: rates of two servers, times SCALE, and their processor time for each of what is counted.
row() {
  awk -v scale="$1" -v a="$2" -v b="$3" 'BEGIN {
    split(a, x, " "); split(b, y, " ")
    printf "  %9d %9d  %5.2f   %8.3f %8.3f  %5.2f\n",
      x[1] * scale, y[1] * scale, x[1] / y[1], x[2] / scale, y[2] / scale, y[2] / x[2]}'
}

one() {
  local broker broker_pid bare bare_pid n a b
  start_broker broker; broker=$address broker_pid=$pid
  start bare '127\.0\.0\.1:[0-9]+' "$target/release/examples/bare_axum"; bare=$address bare_pid=$pid
  rate one "$broker" "$broker_pid" >/dev/null
  rate one "$bare" "$bare_pid" >/dev/null
  echo "one message a request; requests/s of bayeuxd and bare axum, ratio; CPU us a request, ratio"
  for n in $(seq "$RUNS"); do
    a=$(rate one "$broker" "$broker_pid"); b=$(rate one "$bare" "$bare_pid")
    row 1 "$a" "$b"
  done
}

hundred() {
  local broker broker_pid n a b
  start_broker broker; broker=$address broker_pid=$pid
  [ -d protocol-tests/peers/node_modules ] || (cd protocol-tests/peers && npm ci --silent)
  start faye '^[0-9]+$' node protocol-tests/peers/faye-server.mjs
  rate hundred "$broker" "$broker_pid" >/dev/null
  rate faye "$address" "$pid" >/dev/null
  echo "a hundred messages a request; messages/s of bayeuxd and Faye, ratio; CPU us a message, ratio"
  for n in $(seq "$RUNS"); do
    a=$(rate hundred "$broker" "$broker_pid"); b=$(rate faye "$address" "$pid")
    row 100 "$a" "$b"
  done
}

# A backend that takes calls and never answers.
hang() {
  local n a b idle idle_pid busy busy_pid
  cat >"$work/hang.py" <<'PYTHON'
import socket
listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
print(f"127.0.0.1:{listener.getsockname()[1]}", flush=True)
held = []
while True:
    held.append(listener.accept())
PYTHON
  # Clients that publish to the service, each on its own session, as fast as they are answered.
  cat >"$work/callers.py" <<'PYTHON'
import http.client, json, sys, threading, time
host, count = sys.argv[1], int(sys.argv[2])
def caller(number):
    connection = http.client.HTTPConnection(host)
    def send(message):
        connection.request("POST", "/bayeux", json.dumps([message]), {"Content-Type": "application/json"})
        return json.loads(connection.getresponse().read())[0]
    hello = {"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"]}
    session = send(hello)["clientId"]
    while True:
        send({"channel": "/service/slow", "clientId": session, "data": number})
        time.sleep(0.1)
for number in range(count):
    threading.Thread(target=caller, args=(number,), daemon=True).start()
print("calling", flush=True)
time.sleep(3600)
PYTHON
  start backend '127\.0\.0\.1:[0-9]+' python3 "$work/hang.py"
  local url="http://$address/hang"
  start answering '127\.0\.0\.1:[0-9]+' python3 -c '
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200); self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2"); self.end_headers(); self.wfile.write(b"{}")
    def log_message(self, *arguments): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(f"127.0.0.1:{server.server_address[1]}", flush=True)
server.serve_forever()'
  printf '[[service]]\nchannel = "/service/slow"\nurl = "%s"\n' "$url" >"$work/hang.toml"
  printf '[[service]]\nchannel = "/service/slow"\nurl = "http://%s/"\n' "$address" >"$work/answering.toml"
  start_broker idle --config "$work/answering.toml"; idle=$address idle_pid=$pid
  start_broker busy --config "$work/hang.toml"; busy=$address busy_pid=$pid
  echo "one message a request, while $CALLERS clients call a backend ten times a second;"
  echo "requests/s with one that hangs and one that answers, ratio; CPU us a request, ratio"
  for n in $(seq "$RUNS"); do
    b=$(while_called "$idle" "$idle_pid"); a=$(while_called "$busy" "$busy_pid")
    row 1 "$a" "$b"
  done
}

# while_called ADDRESS PID: the rate of others while callers keep that broker's backend busy.
while_called() {
  local callers
  python3 "$work/callers.py" "$1" "$CALLERS" >"$work/callers.log" 2>&1 &
  callers=$!
  pids+=("$callers")
  sleep 1
  rate one "$1" "$2"
  kill "$callers"
  wait "$callers" 2>/dev/null || true
}

for part in "${@:-one hundred hang}"; do
  for name in $part; do "$name"; done
done
