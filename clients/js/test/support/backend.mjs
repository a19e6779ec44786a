/*
 * A backend for bayeuxd, in the test's own process: `/service/echo` answers, `/denied/**` is refused, and a test may decide
 * who gets a session: `backend.admits = (ext) => boolean`.
 */
import { once } from "node:events";
import { createServer } from "node:http";

export const startBackend = async () => {
  const backend = { admits: undefined };
  const answers = {
    service: ({ data }) => ({ echo: data }),
    "authorise.handshake": ({ ext }) => ({ allow: backend.admits?.(ext) ?? true, reason: "credentials" }),
    "authorise.subscribe": () => ({ allow: false, reason: "denied" }),
    "authorise.publish": () => ({ allow: false, reason: "denied" }),
  };
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request.setEncoding("utf8")) body += chunk;
    const { type, data } = JSON.parse(body);
    response.end(JSON.stringify(answers[type](data)));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${server.address().port}/`;
  backend.configuration = `
[[service]]
channel = "/service/echo"
url = "${url}"

[[hook]]
on = ["handshake"]
url = "${url}"

[[hook]]
on = ["subscribe", "publish"]
channel = "/denied/**"
url = "${url}"
`;
  backend.stop = async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  };
  return backend;
};
