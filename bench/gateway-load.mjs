/**
 * Load for `bench -- gateway`: keeps N connections busy over plain sockets, so that it costs far less than what it measures.
 * Knows: HTTP/1.1 responses with a length or in chunks. Does not know: who answers. Prints one JSON line.
 */
import { connect } from "node:net";

const {
  port,
  path = "/v1/chat/completions",
  headers = {},
  body,
  connections,
  requests,
  secondsMax,
} = JSON.parse(process.argv[2]);
const lines = Object.entries({
  host: `127.0.0.1:${port}`,
  "content-type": "application/json",
  ...headers,
  "content-length": Buffer.byteLength(body),
});
const request = Buffer.from(
  `POST ${path} HTTP/1.1\r\n${lines.map(([key, value]) => `${key}: ${value}\r\n`).join("")}\r\n${body}`,
);
const warmUp = Math.min(requests, Math.max(200, Math.ceil(requests / 10)));
const latencies = new Float64Array(requests);
let sent = 0;
let done = 0;
let failed = 0;
let bytes = 0;
let began = 0;
const opened = performance.now();
/** A slow answerer is warm after a share of the time, however few requests that were. */
const isWarm = () => sent >= warmUp || performance.now() - opened > 200 * secondsMax;
const deadline = performance.now() + secondsMax * 1000;

function open() {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    let start = 0;
    let answer = { head: undefined, left: 0, tail: "" };
    const next = () => {
      if (sent >= requests + warmUp || performance.now() > deadline) {
        socket.destroy();
        resolve();
        return;
      }
      if (began === 0 && isWarm()) began = performance.now();
      sent++;
      answer = { head: undefined, left: 0, tail: "" };
      start = performance.now();
      socket.write(request);
    };
    const ended = (ok) => {
      if (!ok) failed++;
      if (began > 0 && done < requests && start >= began) latencies[done++] = performance.now() - start;
      next();
    };
    socket.on("connect", next);
    socket.on("data", (chunk) => {
      bytes += chunk.length;
      let text = chunk.latin1Slice();
      if (answer.head === undefined) {
        text = answer.tail + text;
        const end = text.indexOf("\r\n\r\n");
        if (end < 0) {
          answer.tail = text;
          return;
        }
        answer.head = text.slice(0, end);
        text = text.slice(end + 4);
        const length = /content-length: (\d+)/i.exec(answer.head);
        answer.left = length ? Number(length[1]) : -1;
        answer.tail = "";
      }
      const ok = answer.head.startsWith("HTTP/1.1 200");
      if (answer.left >= 0) {
        answer.left -= text.length;
        if (answer.left <= 0) ended(ok);
        return;
      }
      answer.tail = (answer.tail + text).slice(-7);
      if (answer.tail.endsWith("\r\n0\r\n\r\n") || answer.tail === "0\r\n\r\n") ended(ok);
    });
    socket.on("error", () => {
      failed++;
      resolve();
    });
    socket.on("close", () => resolve());
  });
}

await Promise.all(Array.from({ length: connections }, open));
const seconds = (performance.now() - began) / 1000;
const sorted = latencies.subarray(0, done).sort();
const at = (share) => sorted[Math.min(done - 1, Math.floor(done * share))] ?? Number.NaN;
process.stdout.write(
  `${JSON.stringify({ requests: done, sent, failed, seconds, perSecond: done / seconds, p50: at(0.5), p99: at(0.99), bytes })}\n`,
);
