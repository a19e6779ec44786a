/*
 * Applications of other libraries, moved over as the README says: their source with one import changed, and nothing else.
 */
import { readFile, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const folder = fileURLToPath(new URL("../apps/", import.meta.url));

/** The source of `test/apps/NAME.mjs` with its import of `from` replaced by one of `to`. */
const moved = async (name, from, to) => {
  const source = await readFile(`${folder}${name}.mjs`, "utf8");
  const changed = source.replace(` from "${from}";`, ` from "${to}";`);
  if (from != to && changed == source) throw new Error(`${name} does not import ${from}`);
  return changed;
};

let serial = 0;

/** The application's module, in this process. */
export const inNode = async (name, from, to) => {
  const file = `${folder}.moved-${process.pid}-${++serial}.mjs`;
  await writeFile(file, await moved(name, from, to));
  return import(file).finally(() => rm(file));
};

/** The application as one script for a page, where its exports are the global `application`. */
export const forPage = async (name, from, to) => {
  const { outputFiles } = await build({
    stdin: { contents: await moved(name, from, to), resolveDir: folder },
    bundle: true,
    format: "iife",
    globalName: "application",
    // Faye's own package expects it of its bundler.
    define: { global: "globalThis" },
    write: false,
    logLevel: "error",
  });
  return outputFiles[0].text;
};
