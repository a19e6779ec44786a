/*
 * The files of the test page: over a static server on a port of its own (the page is then cross-origin to the broker),
 * or laid over the broker's origin by the browser. Used by browser-place.mjs. It serves nothing that is not listed here.
 */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import http from "node:http";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";

const ROOTS = {
  "drivers/": new URL("../drivers/", import.meta.url),
  "npm/cometd/": new URL("../node_modules/cometd/", import.meta.url),
  "npm/faye/": new URL("../node_modules/faye/", import.meta.url),
};

const TYPES = {
  ".html": "text/html;charset=UTF-8",
  ".js": "text/javascript;charset=UTF-8",
};

/* The page lives below this path, so that it collides with nothing that a broker serves. */
export const PAGE_PATH = "/interop-page/";

export async function pageFile(pathname) {
  const path = pathname.slice(PAGE_PATH.length) || "drivers/page.html";
  const prefix = Object.keys(ROOTS).find((root) => path.startsWith(root));
  const type = TYPES[extname(path)];
  if (!pathname.startsWith(PAGE_PATH) || path.includes("..") || !prefix || !type) return null;
  const file = fileURLToPath(new URL(path.slice(prefix.length), ROOTS[prefix]));
  return readFile(file).then((body) => ({ type, body }), () => null);
}

export async function startSite() {
  const server = http.createServer(async (request, response) => {
    const file = await pageFile(new URL(request.url, "http://site").pathname);
    response.writeHead(file ? 200 : 404, { "Content-Type": file?.type ?? "text/plain" });
    response.end(file?.body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
