/*
 * Builds the drivers of clients in other languages when their toolchain is here, and says why not when it is not.
 * Called by the test files before they declare their tests. What is built stays in git-ignored folders and is built
 * again only when what it was built from changed.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, readFile, rmdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);

const BUILD_MS = 300_000;
const ASK_AGAIN_MS = 200;

const PYTHON = folder("../python/");
const JAVA = folder("../java/");

/* Each answers { command } to start the driver, or { skip } with the reason. */
export function pythonDriver() {
  return inPython("driver.py");
}

export function salesforceDriver() {
  return inPython("salesforce.py");
}

function inPython(script) {
  const python = join(PYTHON, ".venv/bin/python");
  return prepared({
    /* The client leaves a coroutine un-awaited whenever it loses its connection, and Python would say so each time. */
    command: [python, "-W", "ignore::RuntimeWarning", join(PYTHON, script)],
    inputs: ["requirements.txt"].map((file) => join(PYTHON, file)),
    marker: join(PYTHON, ".venv/built-from"),
    steps: [
      ["python3", ["-m", "venv", "--clear", join(PYTHON, ".venv")]],
      [python, ["-m", "pip", "install", "--quiet", "--requirement", join(PYTHON, "requirements.txt")]],
    ],
  });
}

export function javaDriver() {
  const sources = ["pom.xml", "src/main/java/Driver.java", "src/main/java/Host.java", "src/main/resources/simplelogger.properties"];
  return prepared({
    command: ["java", "-cp", `${join(JAVA, "target/classes")}:${join(JAVA, "target/dependency")}/*`, "Host"],
    inputs: sources.map((file) => join(JAVA, file)),
    marker: join(JAVA, "target/built-from"),
    steps: [["mvn", ["--quiet", "--batch-mode", "--file", join(JAVA, "pom.xml"), "clean", "package"]]],
  });
}

async function prepared({ command, inputs, marker, steps }) {
  const wanted = await digest(inputs);
  const isBuilt = async () => (await readFile(marker, "utf8").catch(() => null)) === wanted;
  if (await isBuilt()) return { command, skip: false };
  /* Test files run side by side, and some build the same. */
  return alone(`${join(marker, "../..")}/.building`, async () =>
    (await isBuilt()) ? { command, skip: false } : build({ command, marker, steps, wanted }));
}

/* Runs `work` while no other process holds the lock; one left behind by a process that died is taken over. */
async function alone(lock, work) {
  const deadline = Date.now() + BUILD_MS;
  while (!(await mkdir(lock).then(() => true, () => false))) {
    const age = await stat(lock).then(({ mtimeMs }) => Date.now() - mtimeMs, () => 0);
    if (age > BUILD_MS) await rmdir(lock).catch(() => {});
    if (Date.now() > deadline) throw new Error(`${lock} stays locked`);
    await pause(ASK_AGAIN_MS);
  }
  try {
    return await work();
  } finally {
    await rmdir(lock);
  }
}

async function build({ command, marker, steps, wanted }) {
  for (const [program, args] of steps) {
    try {
      await run(program, args, { timeout: BUILD_MS });
    } catch (error) {
      return { command, skip: reason(program, error) };
    }
  }
  await mkdir(join(marker, ".."), { recursive: true });
  await writeFile(marker, wanted);
  return { command, skip: false };
}

function reason(program, error) {
  if (error.code === "ENOENT") return `${program} is not installed`;
  const said = `${error.stderr ?? ""}${error.stdout ?? ""}`.split("\n").find((line) => /error/i.test(line));
  return `${program} could not build it: ${said ?? error.message}`;
}

async function digest(files) {
  const hash = createHash("sha256");
  for (const file of files) hash.update(await readFile(file));
  return hash.digest("hex");
}

function folder(path) {
  return fileURLToPath(new URL(path, import.meta.url));
}
