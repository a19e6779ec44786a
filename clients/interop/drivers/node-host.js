/*
 * Runs JavaScript clients in a Node process of their own: `node node-host.js cometd|faye`.
 * Started by harness/process-place.mjs. One JSON object a line: requests on stdin, replies and events on stdout.
 * Nothing else is ever written to stdout: what a client logs becomes an event.
 */
import { createInterface } from "node:readline";
import { format } from "node:util";

const LIBRARIES = { cometd: loadCometd, faye: loadFaye };

const clients = new Map();

function write(object) {
  process.stdout.write(`${JSON.stringify(object)}\n`);
}

function captureConsole(emit) {
  for (const level of ["debug", "log", "info", "warn", "error"]) {
    console[level] = (...parts) => emit({ event: "log", level, text: format(...parts) });
  }
}

async function loadCometd(emit) {
  const { adapt } = await import("cometd-nodejs-client");
  adapt();
  const { watchSockets } = await import("./sockets.js");
  watchSockets(globalThis.window, emit);
  const { CometdDriver } = await import("./cometd.js");
  return { Driver: CometdDriver, library: await import("cometd") };
}

async function loadFaye() {
  const { FayeDriver } = await import("./faye.js");
  return { Driver: FayeDriver, library: (await import("faye")).default };
}

async function serve({ client, call, args }, { Driver, library }) {
  if (call === "open") {
    clients.set(client, new Driver(library, (event) => write({ client, ...event }), ...args));
    return null;
  }
  return clients.get(client)[call](...args);
}

const everyone = (event) => write({ client: null, ...event });
captureConsole(everyone);
process.on("uncaughtException", (error) => console.error(error));
const loaded = await LIBRARIES[process.argv[2]](everyone);

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const request = JSON.parse(line);
  serve(request, loaded).then(
    (result) => write({ id: request.id, result }),
    (error) => write({ id: request.id, error: String(error?.message ?? error) }),
  );
}
process.exit(0);
