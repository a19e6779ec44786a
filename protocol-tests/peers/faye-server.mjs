/*
 * Faye behind plain HTTP, for the conformance suite to look at.
 * Run by hand or by a test: `node faye-server.mjs [PORT]`; prints the port when listening, stops on SIGTERM or SIGINT.
 * Never configured beyond its defaults but the hold: what the suite finds is what Faye is.
 * An uncaught exception is printed and survived, so that one case that ends the server does not fail all others.
 */
import http from "node:http";
import faye from "faye";

const server = http.createServer();
new faye.NodeAdapter({ mount: "/bayeux", timeout: 30 }).attach(server);

server.listen(Number(process.argv[2] ?? 0), "127.0.0.1", () => console.log(server.address().port));
process.on("uncaughtException", (error) => console.error(error));
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => process.exit(0));
