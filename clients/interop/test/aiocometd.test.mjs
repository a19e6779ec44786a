/* The Python client aiocometd-ng. Like Faye it handshakes by long-polling and then moves the session to its transport. */
import { ProcessPlace } from "../harness/process-place.mjs";
import { suite } from "../harness/suite.mjs";
import { pythonDriver } from "../harness/toolchains.mjs";

const { command, skip } = await pythonDriver();

suite({
  client: "aiocometd-ng in Python",
  place: new ProcessPlace(command),
  skip,
  profiles: [
    { name: "long-polling", transport: "long-polling", options: { transport: "long-polling" } },
    { name: "websocket", transport: "websocket", options: { transport: "websocket" } },
  ],
});
