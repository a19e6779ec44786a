/*
 * The packed package, installed into an empty folder: every entry by `import` and by `require`, each one-file build by
 * `<script>` in a page, and nothing else inside.
 */
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { launch, openPage, servePages } from "../support/browser.mjs";
import { installPackage, run } from "../support/package.mjs";

const NAMES = {
  "@bayeuxd/client": ["BayeuxError", "Client", "longPolling", "websocket"],
  "@bayeuxd/client/callback-polling": ["callbackPolling"],
  "@bayeuxd/client/compat/cometd": ["AckExtension", "CometD", "ReloadExtension"],
  "@bayeuxd/client/compat/faye": ["Client", "Error", "VERSION"],
};

describe("the packed package", () => {
  let installed, home, browser, pages;
  before(async () => {
    [installed, browser, pages] = await Promise.all([installPackage(), launch(), servePages()]);
    home = join(installed.folder, "node_modules/@bayeuxd/client");
  });
  after(async () => {
    await browser.close();
    await pages.stop();
    await installed.remove();
  });

  const node = async (...args) => JSON.parse((await run(process.execPath, args, { cwd: installed.folder })).stdout);
  const entries = JSON.stringify(Object.keys(NAMES));
  /** Which of the expected names are there, by entry. */
  const found = (all) => Object.fromEntries(Object.entries(NAMES).map(([entry, names]) => [entry, names.filter((name) => all[entry].includes(name))]));

  it("can be imported", async () => {
    const code = `const all = {}; for (const entry of ${entries}) all[entry] = Object.keys(await import(entry)); console.log(JSON.stringify(all))`;
    assert.deepEqual(found(await node("--input-type=module", "--eval", code)), NAMES);
  });

  it("can be required", async () => {
    const code = `const all = {}; for (const entry of ${entries}) all[entry] = Object.keys(require(entry)); console.log(JSON.stringify(all))`;
    assert.deepEqual(found(await node("--input-type=commonjs", "--eval", code)), NAMES);
  });

  it("has a file for everything that `exports` names, and types beside it", async () => {
    const { exports } = JSON.parse(await readFile(join(home, "package.json"), "utf8"));
    const files = (target) => (typeof target == "string" ? [target] : Object.values(target).flatMap(files));
    for (const file of files(exports).filter((file) => !file.includes("*"))) assert.ok((await readFile(join(home, file))).length, file);
    assert.deepEqual((await readdir(join(home, "dist/browser"))).filter((file) => file.endsWith(".js")), ["bayeux.js", "cometd.js", "faye.js"]);
  });

  it("has no dependencies, and neither sources nor tests", async () => {
    assert.deepEqual(await readdir(join(installed.folder, "node_modules/@bayeuxd")), ["client"]);
    assert.deepEqual((await readdir(home)).sort(), ["LICENSE", "README.md", "dist", "package.json"]);
  });

  for (const [file, makes] of [
    ["bayeux", () => new bayeux.Client("/bayeux", { transports: [bayeux.websocket(), bayeux.longPolling(), bayeux.callbackPolling()] }).state],
    ["cometd", () => new org.cometd.CometD().getStatus()],
    ["faye", () => new Faye.Client("/bayeux") && "disconnected"],
  ]) {
    it(`has ${file}.js for a script element`, async () => {
      const page = await openPage(browser, pages.url);
      await page.addScriptTag({ path: join(home, "dist/browser", `${file}.js`) });
      assert.equal(await page.evaluate(makes), "disconnected");
      assert.deepEqual(page.errors, []);
      await page.close();
    });
  }
});
