/* A Faye server as a process of its own, so that tests can kill it: `node faye-server.mjs PORT`. Says READY. */
import { createServer } from "node:http";
import faye from "faye";

// Short holds make the tests see many connects. `/service/echo` answers as CometD's remote calls do.
const HOLD_SECONDS = 2;
const bayeux = new faye.NodeAdapter({ mount: "/bayeux", timeout: HOLD_SECONDS });
bayeux.addExtension({
  incoming(message, callback) {
    if (message.channel.startsWith("/denied/")) message.error = "403:denied:No access";
    if (message.channel == "/meta/subscribe" && message.subscription.startsWith("/denied/")) message.error = "403:denied:No access";
    callback(message);
  },
});
const server = createServer();
bayeux.attach(server);
server.listen(+process.argv[2], "127.0.0.1", () => console.log("READY", server.address().port));
