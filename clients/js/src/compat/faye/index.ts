/*
 * Faye's names for applications that are moving over: change the import, keep the code.
 *
 * ```ts
 * import Faye from "@bayeuxd/client/compat/faye"; // was: import Faye from "faye"
 * const client = new Faye.Client("https://example.com/bayeux");
 * ```
 */
import { Client } from "./client.js";
import { FayeError } from "./deferrable.js";

/** The version of Faye whose client this one stands in for. */
export const VERSION = "1.4.3";
export { Client, Publication, Subscription, type FayeOptions, type PublishOptions } from "./client.js";
export { FayeError as Error } from "./deferrable.js";
export type { Extension } from "./extensible.js";
export default { Client, Error: FayeError, VERSION };
