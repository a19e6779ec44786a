/*
 * The demos as `make demo` starts them, on free ports, and windows of Chromium on their pages. Used by every test here.
 * What is started here is ended here, by its own handle.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

export const FOLDER = fileURLToPath(new URL("../../", import.meta.url));
export const TRANSPORTS = { websocket: "WebSocket", "long-polling": "Long-polling", "callback-polling": "JSONP" };
export const PAGES = ["index", "counter", "calls", "chat", "drawing"];
/* How long anything may take on a busy machine. */
export const DEADLINE_MS = 20_000;

const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

const broker = () => {
  const places = ["debug", "release"].map((kind) => join(FOLDER, "../../target", kind, "bayeuxd"));
  const found = process.env.BAYEUXD_BIN ?? places.find(existsSync);
  if (!found) throw new Error(`no broker to test with: build it, or name it in BAYEUXD_BIN (looked at ${places.join(", ")})`);
  return found;
};

/** Runs demo.py until it has said where everything is, or has ended. */
export const startDemo = async ({ settings = {}, environment = {} } = {}) => {
  const arguments_ = Object.entries(settings).flatMap(([key, value]) => ["--set", `${key}=${value}`]);
  const child = spawn("python3", ["demo.py", ...arguments_], {
    cwd: FOLDER,
    env: { ...process.env, BAYEUXD_BIN: broker(), DEMO_PORT: "0", DEMO_PORT_2: "0", BACKEND_PORT: "0", ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const demo = { child, said: "", ended: once(child, "close") };
  const heard = new Promise((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => {
        demo.said += text;
        if (demo.said.includes("Ctrl-C")) resolve();
      });
    }
  });
  const late = setTimeout(() => child.kill("SIGTERM"), DEADLINE_MS);
  await Promise.race([heard, demo.ended]);
  clearTimeout(late);
  const address = (name) => new RegExp(`${name}\\s+(http://[\\d.:]+)`).exec(demo.said)?.[1];
  demo.here = address("Demos");
  demo.there = address("Cross-origin");
  demo.backend = address("Backend");
  demo.stop = async (signal = "SIGTERM") => {
    child.kill(signal);
    await demo.ended;
  };
  return demo;
};

/** A browser with a profile of its own. */
export const startBrowser = async () => {
  const profile = await mkdtemp(join(tmpdir(), "bayeuxd-demos-"));
  const server = await chromium.launchServer({
    executablePath: process.env.CHROMIUM_BIN ?? "/usr/bin/chromium",
    args: FLAGS,
    env: { ...process.env, HOME: profile },
  });
  const browser = await chromium.connect(server.wsEndpoint());
  const stop = async () => {
    await server.close();
    await rm(profile, { recursive: true, force: true });
  };
  /* Without a word to anybody, as when the power goes. */
  const kill = async () => {
    await server.kill();
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  };
  return { browser, stop, kill };
};

/**
 * A window of somebody of their own on a page of the demos, once it is connected. `window.problems` collects whatever the
 * console says above a plain message, uncaught errors, and requests that failed or were answered with an error.
 */
export const openWindow = async (browser, url, { transport = "websocket", connected = true, ...context } = {}) => {
  const own = await browser.newContext({ viewport: { width: 1280, height: 860 }, colorScheme: "light", ...context });
  own.setDefaultTimeout(DEADLINE_MS);
  const page = await own.newPage();
  page.problems = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) page.problems.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => page.problems.push(`uncaught: ${error.message}`));
  page.on("response", (response) => {
    if (response.status() >= 400) page.problems.push(`${response.status()} ${response.url()}`);
  });
  page.on("request", (request) => {
    const { protocol, hostname } = new URL(request.url());
    if (protocol !== "data:" && hostname !== "127.0.0.1") page.problems.push(`asks elsewhere: ${request.url()}`);
  });
  const address = new URL(url);
  if (transport) address.searchParams.set("transport", transport);
  await page.goto(address.href);
  if (connected) await isConnected(page, transport ?? "websocket");
  return page;
};

/** The page says that it is connected, and over what. */
export const isConnected = (page, transport) => page.waitForSelector(`#state[data-state=connected][data-transport=${transport}]`);

/** Waits until a selector's text is, or contains what a pattern says. */
export const hasText = (page, selector, wanted) =>
  page.waitForFunction(
    ([selector, text, pattern]) => {
      const all = [...document.querySelectorAll(selector)].map((element) => element.textContent);
      return all.some((found) => (pattern === undefined ? found === text : new RegExp(pattern).test(found)));
    },
    [selector, String(wanted), wanted instanceof RegExp ? wanted.source : undefined],
  );

