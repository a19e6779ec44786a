/*
 * The processes that tests start: servers under test, clients in other languages. Started by broker.mjs and process-place.mjs
 * and by tests that drive a program of their own. None of them outlives the tests, however these end.
 */
import { spawn } from "node:child_process";

const running = new Set();
process.once("exit", () => running.forEach((child) => child.kill("SIGKILL")));
for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, () => process.exit(1));

export function spawnChild(program, args, options) {
  const child = spawn(program, args, options);
  running.add(child);
  child.once("exit", () => running.delete(child));
  return child;
}
