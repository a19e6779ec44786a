/*
 * Builds dist/: ESM and CommonJS file by file, declarations for both, and one-file browser builds.
 * Called by `npm run build`. Never touches src/.
 */
import { execFileSync } from "node:child_process";
import { cpSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { build } from "esbuild";
import { compile, root, sources } from "./common.mjs";

const dist = join(root, "dist");
rmSync(dist, { recursive: true, force: true });

// One cache for all builds: a short name means the same thing in every file.
let mangleCache = {};
for (const format of ["esm", "cjs"]) {
  const result = await build({
    ...compile,
    entryPoints: sources,
    outbase: "src",
    outdir: join("dist", format),
    format,
    sourcemap: true,
    mangleCache,
  });
  mangleCache = result.mangleCache;
}
writeFileSync(join(dist, "cjs", "package.json"), '{ "type": "commonjs" }\n');

const typescript = createRequire(import.meta.url).resolve("typescript/package.json");
execFileSync(process.execPath, [join(dirname(typescript), "bin", "tsc"), "--emitDeclarationOnly"], { cwd: root, stdio: "inherit" });
// The entries of the browser builds declare nothing.
for (const file of readdirSync(join(dist, "esm"), { recursive: true })) if (file.endsWith("browser.d.ts")) rmSync(join(dist, "esm", file));
cpSync(join(dist, "esm"), join(dist, "cjs"), { recursive: true, filter: (file) => !/\.js(\.map)?$/.test(file) });

for (const [name, entry] of [
  ["bayeux", "src/browser.ts"],
  ["cometd", "src/compat/cometd/browser.ts"],
  ["faye", "src/compat/faye/browser.ts"],
]) {
  await build({ ...compile, entryPoints: [entry], outfile: `dist/browser/${name}.js`, bundle: true, format: "iife", minify: true, sourcemap: true });
}
