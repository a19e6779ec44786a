/*
 * Real servers for the tests: each is a process that can be killed and started again on the same port.
 * bayeuxd is the binary of BAYEUXD_BIN or of this repository's target directory, if there is one.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startBackend } from "./backend.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
/** How long a server may take until it answers, in milliseconds: much longer than it does. */
const START_DEADLINE = 60_000;
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
  // Calls and refusals are its backend's business: see backend.mjs.
  KINDS.bayeuxd = { broker: true, transports: ["websocket", "long-polling"], denies: true, calls: true, ack: true };
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

/** What must not outlive the tests, however they end. */
const running = new Set();
process.once("exit", () => running.forEach((child) => child.kill("SIGKILL")));
for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, () => process.exit(1));

export class Server {
  #process;
  #arguments;
  #folder;
  constructor(kind, port) {
    Object.assign(this, { kind, port, url: `http://127.0.0.1:${port}/bayeux` });
  }

  /** @param settings for bayeuxd: lines of its configuration, before those of the backend */
  static async start(kind, settings = "") {
    const server = new Server(kind, await freePort());
    await server.#prepare(settings);
    await server.start();
    return server;
  }

  async #prepare(settings) {
    if (!KINDS[this.kind].broker) return void (this.#arguments = [...KINDS[this.kind].command, `${this.port}`]);
    this.backend = await startBackend();
    this.#folder = mkdtempSync(join(tmpdir(), "bayeux-client-"));
    const file = join(this.#folder, "bayeuxd.toml");
    writeFileSync(file, settings + this.backend.configuration);
    this.#arguments = [bayeuxd, "serve", "--config", file, "--listen", `127.0.0.1:${this.port}`];
  }

  async start() {
    const [file, ...args] = this.#arguments;
    const output = process.env.VERBOSE ? "inherit" : "ignore";
    const child = (this.#process = spawn(file, args, { stdio: ["ignore", output, output] }));
    running.add(child);
    child.once("exit", () => running.delete(child));
    await accepts(this.url);
  }

  /** As hard as it gets: no goodbye to anybody. */
  async kill() {
    const child = this.#process;
    if (!child || child.exitCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
    this.#process = undefined;
  }

  /** Kills it for good, with all that belongs to it. */
  async stop() {
    await this.kill();
    await this.backend?.stop();
    if (this.#folder) rmSync(this.#folder, { recursive: true });
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
