/*
 * The server under test as a child process: bayeuxd, or with BAYEUX_SERVER=faye the stand-in of faye-broker.mjs.
 * Started by suite.mjs, restarted by scenarios. It is only ever ended through its own child handle, and always reaped.
 */
import { once } from "node:events";
import { existsSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { spawnChild } from "./children.mjs";
import { within } from "./deadline.mjs";

const HOST = "127.0.0.1";
const START_MS = 10_000;
const ASK_AGAIN_MS = 10;
/* The broker promises to be gone 10 s after SIGTERM. */
const STOP_MS = 12_000;
const STDERR_LINES_KEPT = 200;

export const serverName = process.env.BAYEUX_SERVER ?? "bayeuxd";

export class Broker {
  #settings;
  #child = null;
  #stderr = [];

  static async start(settings = {}) {
    const broker = new Broker();
    broker.#settings = Object.entries(settings).flatMap(([key, value]) => ["--set", `${key}=${value}`]);
    broker.port = await freePort();
    await broker.start();
    return broker;
  }

  get origin() {
    return `http://${HOST}:${this.port}`;
  }

  get url() {
    return `${this.origin}/bayeux`;
  }

  get stderr() {
    return this.#stderr.join("\n");
  }

  async start() {
    const [program, ...first] = command();
    const child = spawnChild(program, [...first, "serve", "--listen", `${HOST}:${this.port}`, ...this.#settings], {
      cwd: tmpdir(),
      stdio: ["ignore", "ignore", "pipe"],
    });
    child.stderr.setEncoding("utf8").on("data", (text) => this.#keep(text));
    this.#child = child;
    const ended = once(child, "exit").then(([code, signal]) => {
      throw new Error(`the broker ended while starting (${code ?? signal}):\n${this.stderr}`);
    });
    ended.catch(() => {});
    await within(START_MS, `${program} accepts on ${this.origin}`, Promise.race([accepting(this.port), ended]));
  }

  /* A crash, as far as clients can tell. */
  async kill() {
    await this.#end("SIGKILL");
  }

  async stop() {
    await this.#end("SIGTERM");
  }

  get ended() {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  async #end(signal) {
    const child = this.#child;
    if (this.ended) return;
    const exit = once(child, "exit");
    child.kill(signal);
    try {
      await within(STOP_MS, `the broker ends after ${signal}`, exit);
    } catch (late) {
      child.kill("SIGKILL");
      await exit;
      throw late;
    }
  }

  #keep(text) {
    this.#stderr.push(...text.split("\n").filter(Boolean));
    this.#stderr.splice(0, this.#stderr.length - STDERR_LINES_KEPT);
  }
}

function command() {
  if (serverName === "faye") return [process.execPath, beside("./faye-broker.mjs")];
  if (serverName !== "bayeuxd") throw new Error(`BAYEUX_SERVER is "bayeuxd" or "faye", not "${serverName}"`);
  const places = process.env.BAYEUXD_BIN
    ? [process.env.BAYEUXD_BIN]
    : [beside("../../../target/debug/bayeuxd"), beside("../../../target/release/bayeuxd")];
  const binary = places.find((place) => existsSync(place));
  if (!binary) throw new Error(`no broker to test: build it, or name it in BAYEUXD_BIN (looked at ${places.join(", ")})`);
  return [binary];
}

function beside(path) {
  return fileURLToPath(new URL(path, import.meta.url));
}

async function freePort() {
  const server = createServer().listen(0, HOST);
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/* A refused connection is the only sign of "not yet"; the caller's deadline ends the asking. */
async function accepting(port, until = Date.now() + START_MS) {
  while (Date.now() < until) {
    const socket = connect(port, HOST);
    const open = await Promise.race([once(socket, "connect").then(() => true), once(socket, "error").then(() => false)])
      .catch(() => false);
    socket.destroy();
    if (open) return;
    await pause(ASK_AGAIN_MS);
  }
}
