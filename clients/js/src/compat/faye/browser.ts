/*
 * Entry of the one-file browser build, for pages that use Faye's global: `new Faye.Client("/bayeux")`.
 */
import { Client, VERSION } from "./index.js";

(globalThis as Record<string, unknown>).Faye = { Client, VERSION };
