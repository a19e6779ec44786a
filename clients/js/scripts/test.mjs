/*
 * Runs the tests: `node scripts/test.mjs node` or `… browser`. Called by npm after a build.
 * Never passes silently over anything: what is not run says so by name.
 */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { root } from "./common.mjs";

const SUITES = { node: ["compat", "servers", "unit"], browser: ["browser"] };
// Counts for whole files, too.
const TEST_TIMEOUT_MS = 300_000;

const suite = process.argv[2];
const files = SUITES[suite].flatMap((folder) =>
  readdirSync(join(root, "test", folder))
    .filter((file) => file.endsWith(".test.mjs"))
    .map((file) => join("test", folder, file)),
);
const { status } = spawnSync(
  process.execPath,
  // A failed test may leave a client trying for ever; the runner must end all the same.
  ["--test", "--test-force-exit", "--test-reporter=spec", `--test-timeout=${TEST_TIMEOUT_MS}`, "--test-concurrency=4", ...files, ...process.argv.slice(3)],
  { cwd: root, stdio: "inherit" },
);
process.exitCode = status ?? 1;
