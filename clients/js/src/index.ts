/*
 * The package's main entry: names only. Import what you use; bundlers drop the rest.
 */
export { Client } from "./client.js";
export { BayeuxError } from "./error.js";
export { websocket, type SocketLike, type WebSocketOptions } from "./transport/websocket.js";
export { longPolling, type LongPollingOptions } from "./transport/long-polling.js";
export type { Link, LinkHost, Transport } from "./transport/transport.js";
export type { Subscription } from "./subscription.js";
export type * from "./types.js";
