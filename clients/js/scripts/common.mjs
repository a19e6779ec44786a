/*
 * What the build and the size check share: where things are, and how the source is compiled.
 */
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Every source file of the modules, relative to the package; the entries of the browser builds are bundled instead. */
export const sources = readdirSync(join(root, "src"), { recursive: true })
  .filter((file) => file.endsWith(".ts") && !file.endsWith("browser.ts"))
  .map((file) => join("src", file));

/**
 * Names that begin with an underscore are internal and are shortened, so that an application's own minifier need not
 * know about them. The exceptions are names that CometD's extensions call.
 */
export const compile = {
  absWorkingDir: root,
  target: "es2022",
  mangleProps: /^_/,
  reserveProps: /^_(debug|info|warn|mixin)$/,
  logLevel: "warning",
};
