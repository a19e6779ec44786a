/* The official cometd client in a page of headless Chromium. */
import { BrowserPlace, withoutBrowser } from "../harness/browser-place.mjs";
import { suite } from "../harness/suite.mjs";

/* A GET carries no 500 KB, so for that one scenario the sender uses another transport; callback-polling still receives it. */
const callbackPolling = {
  name: "callback-polling, cross-origin",
  transport: "callback-polling",
  sender: { transport: "long-polling" },
  options: { transport: "callback-polling", crossOrigin: true },
};

suite({
  client: "cometd 9 in Chromium",
  place: new BrowserPlace("cometd"),
  skip: withoutBrowser(),
  profiles: [
    { name: "long-polling, same-origin", transport: "long-polling", options: { transport: "long-polling" } },
    { name: "long-polling, cross-origin", transport: "long-polling", options: { transport: "long-polling", crossOrigin: true } },
    { name: "websocket, same-origin", transport: "websocket", reportsSockets: true, options: { transport: "websocket" } },
    { name: "websocket, cross-origin", transport: "websocket", reportsSockets: true, options: { transport: "websocket", crossOrigin: true } },
    callbackPolling,
  ],
});
