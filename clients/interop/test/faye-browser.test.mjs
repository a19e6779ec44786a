/* The official Faye client, its minified browser build, in a page of headless Chromium. */
import { BrowserPlace, withoutBrowser } from "../harness/browser-place.mjs";
import { suite } from "../harness/suite.mjs";

const HTTP_ONLY = ["websocket", "eventsource"];

/* A GET carries no 500 KB, so for that one scenario the sender uses another transport; callback-polling still receives it. */
const callbackPolling = {
  name: "callback-polling, cross-origin",
  transport: "callback-polling",
  sender: { disable: [] },
  options: { crossOrigin: true, disable: [...HTTP_ONLY, "long-polling", "cross-origin-long-polling"] },
};

suite({
  client: "faye 1.4 in Chromium",
  place: new BrowserPlace("faye"),
  skip: withoutBrowser(),
  profiles: [
    { name: "long-polling, same-origin", transport: "long-polling", options: { disable: HTTP_ONLY } },
    { name: "cross-origin-long-polling, cross-origin", transport: "cross-origin-long-polling", options: { disable: HTTP_ONLY, crossOrigin: true } },
    { name: "websocket, same-origin", transport: "websocket", options: {} },
    { name: "websocket, cross-origin", transport: "websocket", options: { crossOrigin: true } },
    { name: "eventsource, same-origin", transport: "eventsource", options: { disable: ["websocket"] } },
    callbackPolling,
  ],
});
