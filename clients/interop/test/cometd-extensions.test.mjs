/* The official cometd client with the extension objects that it ships, unmodified, in Node and in a page of Chromium. */
import { serverName } from "../harness/broker.mjs";
import { BrowserPlace, withoutBrowser } from "../harness/browser-place.mjs";
import { ProcessPlace } from "../harness/process-place.mjs";
import { extensionSuite } from "../harness/suite.mjs";

const otherServer = serverName !== "bayeuxd" && `${serverName} has none of these extensions`;

const profiles = [
  { name: "long-polling", transport: "long-polling", options: { transport: "long-polling" } },
  { name: "websocket", transport: "websocket", options: { transport: "websocket" } },
];

extensionSuite({ client: "extensions of cometd 9 in Node", in: "process", place: ProcessPlace.node("cometd"), skip: otherServer, profiles });
extensionSuite({
  client: "extensions of cometd 9 in Chromium",
  in: "browser",
  place: new BrowserPlace("cometd"),
  skip: otherServer || withoutBrowser(),
  profiles,
});
