/*
 * A Faye server that takes bayeuxd's command line, so that the harness itself can be tested against another broker.
 * Started by broker.mjs when BAYEUX_SERVER=faye. It knows the settings that the scenarios use and refuses all others.
 */
import http from "node:http";
import { parseArgs } from "node:util";

import faye from "faye";

/* Faye holds the very first connect too, so a client that waits for its answer starts up no faster than this. */
const DEFAULT_TIMEOUT_SECONDS = 2;

const { values } = parseArgs({
  allowPositionals: true,
  options: { listen: { type: "string" }, set: { type: "string", multiple: true, default: [] } },
});

let timeout = DEFAULT_TIMEOUT_SECONDS;
for (const setting of values.set) {
  const seconds = /^broker\.timeout=(\d+)s$/.exec(setting)?.[1];
  if (!seconds) throw new Error(`the Faye stand-in does not know the setting ${setting}`);
  timeout = Number(seconds);
}

const [host, port] = values.listen.split(":");
const server = http.createServer();
new faye.NodeAdapter({ mount: "/bayeux", timeout }).attach(server);
server.listen(Number(port), host);
/* Faye answers a JSONP poll once more after its page has gone, and would die of it. */
process.on("uncaughtException", (error) => console.error(error));
process.on("SIGTERM", () => process.exit(0));
