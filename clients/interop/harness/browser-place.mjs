/*
 * A place for clients that run in a page of headless Chromium, one page a client, all in one browser profile like tabs.
 * Used by the test files. Cross-origin pages reach the broker through nothing but Chromium itself; for same-origin pages
 * the page's files, and only they, are laid over the broker's origin.
 */
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { chromium } from "playwright-core";

import { Client } from "./client.mjs";
import { PAGE_PATH, pageFile, startSite } from "./site.mjs";

const EXECUTABLE = process.env.CHROMIUM_BIN ?? "/usr/bin/chromium";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/* The reason why there is no browser to test with, or false. */
export function withoutBrowser() {
  return existsSync(EXECUTABLE) ? false : `no Chromium at ${EXECUTABLE} (set CHROMIUM_BIN)`;
}

export class BrowserPlace {
  #library;
  #profile = null;
  #context = null;
  #site = null;

  constructor(library) {
    this.#library = library;
  }

  async open(broker, name, { crossOrigin, ...options }) {
    await this.#launch();
    const page = await this.#context.newPage();
    const client = new Client(name, (call, args) =>
      page.evaluate(([library, ...rest]) => window.interop(library, ...rest), [this.#library, call, args]));
    page.on("console", (message) => client.record({ event: "log", level: message.type(), text: message.text() }));
    page.on("pageerror", (error) => client.record({ event: "log", level: "error", text: String(error) }));
    await page.exposeBinding("interopEvent", (_, event) => client.record(event));
    client.close = () => page.close();
    const begin = async () => {
      await page.waitForFunction(() => window.interop);
      await client.call("open", { url: broker.url, ...options });
    };
    client.reload = async () => {
      await page.reload();
      await begin();
    };
    await page.goto(await this.#address(page, broker, crossOrigin));
    await begin();
    return client;
  }

  async close() {
    await this.#context?.close();
    await this.#site?.close();
    if (this.#profile) await rm(this.#profile, { recursive: true, force: true });
  }

  async #launch() {
    if (this.#context) return;
    this.#profile = await mkdtemp(join(tmpdir(), "interop-chromium-"));
    this.#context = await chromium.launchPersistentContext(this.#profile, {
      executablePath: EXECUTABLE,
      headless: true,
      args: FLAGS,
    });
  }

  async #address(page, broker, crossOrigin) {
    if (crossOrigin) {
      this.#site ??= await startSite();
      return this.#site.origin + PAGE_PATH;
    }
    /* A page that the browser was handed counts as one from the open internet, which may not reach loopback unasked. */
    await this.#context.grantPermissions(["local-network-access"], { origin: broker.origin });
    await page.route(`${broker.origin}${PAGE_PATH}**`, async (route) => {
      const file = await pageFile(new URL(route.request().url()).pathname);
      await route.fulfill(file ? { contentType: file.type, body: file.body } : { status: 404 });
    });
    return broker.origin + PAGE_PATH;
  }
}
