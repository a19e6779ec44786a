/*
 * Runs one JavaScript client in a browser page. Loaded by page.html; harness/browser-place.mjs calls `interop`
 * and listens through the binding `interopEvent`. The page never talks to the broker but through the client.
 */
import * as cometd from "../npm/cometd/cometd.js";
import { CometdDriver } from "./cometd.js";
import { FayeDriver } from "./faye.js";
import { watchSockets } from "./sockets.js";

const LIBRARIES = {
  cometd: { Driver: CometdDriver, library: cometd },
  faye: { Driver: FayeDriver, library: window.Faye },
};

const emit = (event) => window.interopEvent(event);
let driver = null;

watchSockets(window, emit);

window.interop = async (name, call, args) => {
  if (call === "open") {
    const { Driver, library } = LIBRARIES[name];
    driver = new Driver(library, emit, ...args);
    return null;
  }
  return driver[call](...args);
};
