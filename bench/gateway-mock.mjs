/** A backend for `bench -- gateway`: answers at once, whole or as 20 events; prints its port. It emulates an engine with no thinking time. */
import { createServer } from "node:http";

const usage = { prompt_tokens: 12, completion_tokens: 20, total_tokens: 32 };
const base = { id: "chatcmpl-bench", created: 1700000000, model: "bench" };
const content = Array.from({ length: 20 }, (_, n) => `word${n} `);
const message = { role: "assistant", content: content.join("") };
const whole = Buffer.from(
  JSON.stringify({
    ...base,
    object: "chat.completion",
    choices: [{ index: 0, message, logprobs: null, finish_reason: "stop" }],
    usage,
  }),
);
const event = (delta, reason = null) =>
  `data: ${JSON.stringify({ ...base, object: "chat.completion.chunk", choices: [{ index: 0, delta, logprobs: null, finish_reason: reason }] })}\n\n`;
const events = [
  event({ role: "assistant", content: "" }),
  ...content.map((text) => event({ content: text })),
  event({}, "stop"),
  "data: [DONE]\n\n",
].map((text) => Buffer.from(text));

const server = createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    if (!Buffer.concat(parts).includes('"stream":true')) {
      response.writeHead(200, { "content-type": "application/json", "content-length": whole.length });
      response.end(whole);
      return;
    }
    response.writeHead(200, { "content-type": "text/event-stream" });
    let next = 0;
    // Each event in a turn of its own, as tokens come.
    const step = () => {
      response.write(events[next++]);
      if (next < events.length) setImmediate(step);
      else response.end();
    };
    step();
  });
});
server.keepAliveTimeout = 600_000;
server.listen(0, "127.0.0.1", () => process.stdout.write(`${server.address().port}\n`));
