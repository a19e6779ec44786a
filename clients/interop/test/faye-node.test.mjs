/* The official Faye client in Node. It always handshakes by long-polling and then moves the session to its transport. */
import { ProcessPlace } from "../harness/process-place.mjs";
import { suite } from "../harness/suite.mjs";

suite({
  client: "faye 1.4 in Node",
  place: ProcessPlace.node("faye"),
  profiles: [
    { name: "long-polling", transport: "long-polling", options: { disable: ["websocket"] } },
    { name: "websocket", transport: "websocket", options: {} },
  ],
});
