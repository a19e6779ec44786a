/* The official cometd client in Node, by its own adapter cometd-nodejs-client. */
import { ProcessPlace } from "../harness/process-place.mjs";
import { suite } from "../harness/suite.mjs";

suite({
  client: "cometd 9 in Node",
  place: ProcessPlace.node("cometd"),
  profiles: [
    { name: "long-polling", transport: "long-polling", options: { transport: "long-polling" } },
    { name: "websocket", transport: "websocket", reportsSockets: true, options: { transport: "websocket" } },
  ],
});
