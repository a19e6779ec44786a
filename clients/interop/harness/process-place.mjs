/*
 * A place for clients that run in a process of their own and speak JSON lines: node-host.js, the Python and the Java driver.
 * Used by the test files. One process serves all clients of a file, as one application would.
 */
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { spawnChild } from "./children.mjs";
import { Client } from "./client.mjs";
import { within } from "./deadline.mjs";

const STOP_MS = 5_000;

export class ProcessPlace {
  #command;
  #child = null;
  #clients = new Map();
  #calls = new Map();
  #sequence = 0;

  constructor(command) {
    this.#command = command;
  }

  static node(library) {
    return new ProcessPlace([process.execPath, fileURLToPath(new URL("../drivers/node-host.js", import.meta.url)), library]);
  }

  async open(broker, name, options) {
    this.#child ??= this.#spawn();
    const key = `${name}#${++this.#sequence}`;
    const client = new Client(name, (call, args) => this.#request(key, call, args));
    this.#clients.set(key, client);
    client.close = () => {
      this.#clients.delete(key);
      /* A client that a failed scenario left connected must not go on asking; nobody waits for it. */
      this.#request(key, "disconnect", []).catch(() => {});
    };
    await client.call("open", { url: broker.url, ...options });
    return client;
  }

  async close() {
    const child = this.#child;
    if (!child || child.exitCode !== null) return;
    const exit = once(child, "exit");
    child.stdin.end();
    await within(STOP_MS, "the clients' process ends when its input does", exit).catch((late) => {
      child.kill("SIGKILL");
      throw late;
    });
  }

  #spawn() {
    const [program, ...args] = this.#command;
    const child = spawnChild(program, args, { stdio: ["pipe", "pipe", "inherit"] });
    child.on("error", (error) => this.#fail(error));
    child.on("exit", (code, signal) => this.#fail(new Error(`the clients' process ended (${code ?? signal})`)));
    createInterface({ input: child.stdout, crlfDelay: Infinity }).on("line", (line) => this.#receive(JSON.parse(line)));
    return child;
  }

  #request(client, call, args) {
    const id = ++this.#sequence;
    const answer = new Promise((resolve, reject) => this.#calls.set(id, { resolve, reject }));
    this.#child.stdin.write(`${JSON.stringify({ id, client, call, args })}\n`);
    return answer;
  }

  #receive({ id, result, error, client, ...event }) {
    if (event.event) {
      /* What cannot be told apart, such as the console of the process, belongs to every client in it. */
      const owners = client === null ? this.#clients.values() : [this.#clients.get(client)];
      for (const owner of owners) owner?.record(event);
      return;
    }
    const { resolve, reject } = this.#calls.get(id);
    this.#calls.delete(id);
    if (error === undefined) resolve(result);
    else reject(new Error(error));
  }

  #fail(error) {
    for (const { reject } of this.#calls.values()) reject(error);
    this.#calls.clear();
  }
}
