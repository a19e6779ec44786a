/* The start page: where the pages are, and the live number of the counter. */
import { $, client, endpoint, make } from "./demo.js";

client.subscribe("/counter", ({ data }) => {
  $("live").textContent = data.count % 100;
});

const message = { channel: "/chat/room", data: { notice: "hello from a terminal" } };
$("curl").textContent = `curl ${endpoint} -H 'Content-Type: application/json' -d '${JSON.stringify(message)}'`;
$("playground").href = new URL("/playground", endpoint);

const showOrigins = (origins) => {
  const items = origins.map((origin) => {
    const here = origin === location.origin;
    const words = [here ? "this page" : "", origin === endpoint.origin ? "served by the broker itself" : "crosses origins"];
    const link = make("a", { href: `${origin}/` }, origin);
    return make("li", {}, here ? make("b", {}, origin) : link, make("span", { className: "faint" }, words.filter(Boolean).join(", ")));
  });
  $("origins").replaceChildren(...items);
};

showOrigins([location.origin]);
// The backend knows where the pages are served.
client.on("connected", async ({ resumed }) => {
  if (resumed) return;
  try {
    showOrigins((await client.call("origins", {})).origins);
  } catch {
    // Without a backend there is one address to show.
  }
});
