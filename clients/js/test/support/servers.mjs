/*
 * Real servers for the tests: each is a process that can be killed and started again on the same port.
 * bayeuxd is the binary of BAYEUXD_BIN or of this repository's target directory, if there is one.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const START_DEADLINE = 10_000;
/** A server that does not answer for this long, in milliseconds, stands still. */
const FROZEN_AFTER = 100;

const bayeuxd = [process.env.BAYEUXD_BIN, ...["debug", "release"].map((profile) => here(`../../../../target/${profile}/bayeuxd`))].find(
  (file) => file && existsSync(file),
);

/** What each kind can do decides which tests apply to it. */
export const KINDS = {
  faye: { command: [process.execPath, here("faye-server.mjs")], transports: ["websocket", "long-polling"], denies: true },
  cometd: { command: [process.execPath, here("cometd-server.mjs")], transports: ["long-polling"], denies: true, calls: true, ack: true },
};
if (bayeuxd) {
  KINDS.bayeuxd = { command: [bayeuxd, "serve", "--listen"], listens: true, transports: ["websocket", "long-polling"], ack: true };
} else {
  console.log("# bayeuxd: no binary (set BAYEUXD_BIN or build it); its tests are not run");
}

export const freePort = async () => {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  await once(probe, "close");
  return port;
};

/** Waits until something accepts connections. */
const accepts = async (url) => {
  const deadline = performance.now() + START_DEADLINE;
  for (;;) {
    try {
      await fetch(url, { method: "POST", body: "[]", headers: { "content-type": "application/json" } });
      return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
};

export class Server {
  #process;
  constructor(kind, port) {
    Object.assign(this, { kind, port, url: `http://127.0.0.1:${port}/bayeux` });
  }

  static async start(kind) {
    const server = new Server(kind, await freePort());
    await server.start();
    return server;
  }

  async start() {
    const { command, listens } = KINDS[this.kind];
    const [file, ...args] = [...command, listens ? `127.0.0.1:${this.port}` : this.port];
    this.#process = spawn(file, args.map(String), { stdio: ["ignore", "ignore", process.env.VERBOSE ? "inherit" : "ignore"] });
    await accepts(this.url);
  }

  /** As hard as it gets: no goodbye to anybody. */
  async kill() {
    const process = this.#process;
    if (!process || process.exitCode !== null) return;
    const gone = once(process, "exit");
    process.kill("SIGKILL");
    await gone;
    this.#process = undefined;
  }

  /** Stops it in its tracks: connections stay open and nothing answers. Resolves when that is so. */
  async freeze() {
    this.#process.kill("SIGSTOP");
    for (;;) {
      try {
        await fetch(this.url, { method: "POST", body: "[]", signal: AbortSignal.timeout(FROZEN_AFTER) });
      } catch {
        return;
      }
    }
  }
  thaw() {
    this.#process.kill("SIGCONT");
  }
}
