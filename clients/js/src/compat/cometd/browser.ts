/*
 * Entry of the one-file browser build, for pages that use CometD's global: `new org.cometd.CometD()`.
 */
import * as cometd from "./index.js";

const names = globalThis as { org?: { cometd?: object } };
names.org = { ...names.org, cometd };
