/*
 * Chromium for the tests, and the web server of their pages: it serves this package's files, and passes /bayeux on to
 * the server under test as a reverse proxy would, so that a killed server looks as it does behind one.
 */
import { readFile } from "node:fs/promises";
import { createServer, request as httpRequest } from "node:http";
import { once } from "node:events";
import { connect } from "node:net";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const root = fileURLToPath(new URL("../..", import.meta.url));
const TYPES = { ".js": "text/javascript", ".mjs": "text/javascript", ".html": "text/html", ".map": "application/json" };
const PAGE = "<!doctype html><meta charset=utf-8><link rel=icon href=data:,><title>test</title>";

const file = async (url, response) => {
  const path = normalize(new URL(url, "http://x").pathname);
  if (path == "/") return response.setHeader("content-type", "text/html").end(PAGE);
  try {
    const body = await readFile(join(root, path));
    response.setHeader("content-type", TYPES[extname(path)] ?? "application/octet-stream").end(body);
  } catch {
    response.writeHead(404).end();
  }
};

/** Serves pages; `pages.port` tells it where the server under test is, `pages.posted` what was posted to that. */
export const servePages = async () => {
  const pages = { port: 0, posted: [] };
  const server = createServer((request, response) => {
    if (!request.url.startsWith("/bayeux")) return file(request.url, response);
    const { method, url, headers } = request;
    const onward = httpRequest({ host: "127.0.0.1", port: pages.port, method, path: url, headers, agent: false }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
      answer.on("error", () => response.destroy());
    });
    onward.on("error", () => (response.headersSent ? response.destroy() : response.writeHead(502).end()));
    response.on("close", () => onward.destroy());
    request.on("data", (chunk) => pages.posted.push(String(chunk)));
    request.pipe(onward);
  });
  server.on("upgrade", ({ method, url, rawHeaders }, socket, head) => {
    const onward = connect(pages.port, "127.0.0.1", () => {
      const lines = [`${method} ${url} HTTP/1.1`];
      for (let at = 0; at < rawHeaders.length; at += 2) lines.push(`${rawHeaders[at]}: ${rawHeaders[at + 1]}`);
      onward.write(lines.join("\r\n") + "\r\n\r\n");
      onward.write(head);
      onward.pipe(socket).pipe(onward);
    });
    for (const [one, other] of [[socket, onward], [onward, socket]]) {
      one.on("error", () => other.destroy());
      one.on("close", () => other.destroy());
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  pages.url = `http://127.0.0.1:${server.address().port}`;
  pages.stop = async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  };
  return pages;
};

export const launch = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM_BIN ?? "/usr/bin/chromium",
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });

/** A page with a script of this package in it; its uncaught errors are collected in `page.errors`. */
export const openPage = async (browser, url, script) => {
  const page = await browser.newPage();
  page.errors = [];
  page.on("pageerror", (error) => page.errors.push(error));
  await page.goto(url);
  if (script) await page.addScriptTag({ url: script });
  return page;
};
