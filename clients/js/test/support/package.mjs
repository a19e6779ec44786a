/*
 * The package as users get it: packed by npm and installed into an empty folder. Built already, so nothing is built here.
 */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));

/** Installs it; `folder` is the application's, `remove()` cleans up. */
export const installPackage = async () => {
  const folder = await mkdtemp(join(tmpdir(), "bayeux-package-"));
  const { stdout } = await run("npm", ["pack", "--ignore-scripts", "--silent", "--pack-destination", folder], { cwd: root });
  await writeFile(join(folder, "package.json"), '{ "private": true }');
  await run("npm", ["install", "--offline", "--no-audit", "--no-fund", "--silent", join(folder, stdout.trim())], { cwd: folder });
  return { folder, remove: () => rm(folder, { recursive: true }) };
};
