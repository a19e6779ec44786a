/* The official CometD Java client: Jetty's HTTP client below it for long-polling, Jakarta WebSocket for websocket. */
import { ProcessPlace } from "../harness/process-place.mjs";
import { suite } from "../harness/suite.mjs";
import { javaDriver } from "../harness/toolchains.mjs";

const { command, skip } = await javaDriver();

suite({
  client: "CometD 8 in Java",
  place: new ProcessPlace(command),
  skip,
  profiles: [
    { name: "long-polling", transport: "long-polling", options: { transport: "long-polling" } },
    { name: "websocket", transport: "websocket", options: { transport: "websocket" } },
  ],
});
