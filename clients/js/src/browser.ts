/*
 * Entry of the one-file browser build: everything of the main entry, and JSONP, as the global `bayeux`.
 */
import * as bayeux from "./index.js";
import { callbackPolling } from "./transport/callback-polling.js";

(globalThis as Record<string, unknown>).bayeux = { ...bayeux, callbackPolling };
