/*
 * Runs the smoke test in every JavaScript runtime that is here: `npm run test:runtimes`.
 * Deno and Bun come with `npm ci`, or are found by DENO, BUN, NODE or on the PATH; the ones not found are named.
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { root } from "./common.mjs";
import { KINDS, Server } from "../test/support/servers.mjs";

const run = promisify(execFile);
const smoke = join(root, "test/support/smoke.mjs");
const RUNTIMES = {
  node: { command: process.env.NODE ?? process.execPath, args: [] },
  deno: { command: process.env.DENO ?? "deno", args: ["run", "--allow-net", "--no-lock"] },
  bun: { command: process.env.BUN ?? "bun", args: [] },
};

for (const kind of Object.keys(KINDS).filter((kind) => KINDS[kind].transports.includes("websocket"))) {
  const server = await Server.start(kind);
  for (const [name, { command, args }] of Object.entries(RUNTIMES)) {
    try {
      const version = (await run(command, ["--version"])).stdout.split("\n")[0];
      const { stdout } = await run(command, [...args, smoke, server.url], { timeout: 90_000 });
      console.log(`${name} (${version}) on ${kind}: ${stdout.trim().replace(/\n/g, ", ")}`);
    } catch (error) {
      if (error.code == "ENOENT") console.log(`${name}: skipped, it is not here`);
      else {
        console.log(`${name} on ${kind}: FAILED\n${error.stdout}${error.stderr}`);
        process.exitCode = 1;
      }
    }
  }
  await server.stop();
}
