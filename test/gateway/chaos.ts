/**
 * Breaks the backends of a gateway in every known way, in seeded order, under load, and compares each answer with what it must be.
 * Knows: mocks, clients, what counts as lost or doubled. Does not know: the gateway's insides.
 */
import { Agent, request } from "node:http";
import { type Random, random } from "../../src/spec/random.ts";
import { answerTo, type Illness, illnesses, type MockBackend, mockBackend } from "./mock-backend.ts";
import { type ServedMocks, serveMocks } from "./serve-mocks.ts";

export interface ChaosReport {
  readonly requests: number;
  readonly right: number;
  /** Of these, empty because every backend said nothing to that question, one after the other: no gateway could know better. */
  readonly agreedEmpty: number;
  /** Ended with one explicit error. */
  readonly refused: string[];
  /** Anything else: wrong text, text twice, no end, two ends. */
  readonly wrong: string[];
  readonly continued: number;
  readonly struck: Readonly<Record<string, number>>;
}

/** Everything runs in one process: on a busy machine a sound backend may need seconds, which must not be taken for its end. */
const limits = {
  ...{ connectSeconds: 1, firstTokenSeconds: 3, stallSeconds: 2, answerSeconds: 4 },
  ...{ openSeconds: 0.3, openSecondsMax: 1 },
};

export async function runChaos({
  seed,
  seconds,
  streams,
}: {
  seed: number;
  seconds: number;
  streams: number;
}): Promise<ChaosReport> {
  const mocks = await Promise.all(
    ["a", "b", "c"].map((name) => mockBackend({ name, pieceMilliseconds: 15, keep: false })),
  );
  const gateway = await serveMocks(mocks, { routing: { giveUpSeconds: 240 }, health: limits });
  const agent = new Agent({ keepAlive: true, maxSockets: streams });
  const report = { requests: 0, right: 0, agreedEmpty: 0, refused: [] as string[], wrong: [] as string[] };
  let over = false;
  const client = async (index: number): Promise<void> => {
    for (let n = 0; !over; n++) {
      const question = `${seed}/${index}/${n}|`;
      const kind = (index + n) % 4;
      report.requests++;
      const verdict = await ask(gateway, agent, { question, chat: kind < 2, stream: kind !== 1 });
      if (verdict === "right") report.right++;
      else if (verdict === "empty" && mocks.every((mock) => mock.saidNothingTo.has(question))) {
        report.right++;
        report.agreedEmpty++;
      } else if (verdict.startsWith("refused")) report.refused.push(verdict);
      else report.wrong.push(`${question} ${verdict}`);
    }
  };
  const clients = Array.from({ length: streams }, (_, index) => client(index));
  await breakThem(mocks, random(seed, "chaos"), seconds);
  over = true;
  await Promise.all(clients);
  const metrics = await gateway.gateway.metrics.text();
  await gateway.close();
  agent.destroy();
  await Promise.all(mocks.map((mock) => mock.close()));
  const struck: Record<string, number> = {};
  for (const mock of mocks)
    for (const [illness, times] of Object.entries(mock.struck)) struck[illness] = (struck[illness] ?? 0) + times;
  const continued = [...metrics.matchAll(/events_total\{event="continued",[^}]*\} (\d+)/g)].reduce(
    (sum, [, count]) => sum + Number(count),
    0,
  );
  return { ...report, continued, struck };
}

/**
 * At every moment one backend is well; which, and what the others suffer from, is drawn. Each illness comes before any comes again.
 * It goes on until `seconds` are over and every illness has struck a request: on a busy machine that may take longer.
 */
async function breakThem(mocks: readonly MockBackend[], draw: Random, seconds: number): Promise<void> {
  let deck: Illness[] = [];
  const ends = performance.now() + seconds * 1000;
  const allStruck = (): boolean => illnesses.every((illness) => mocks.some((mock) => (mock.struck[illness] ?? 0) > 0));
  while (performance.now() < ends || !allStruck()) {
    const well = draw.below(mocks.length);
    const ill = mocks.filter((_, index) => index !== well && draw.below(4) > 0);
    for (const mock of ill) {
      if (deck.length === 0) deck = [...illnesses];
      const [illness] = deck.splice(draw.below(deck.length), 1);
      if (illness === "dead") {
        await mock.die();
        mock.struck.dead = (mock.struck.dead ?? 0) + 1;
      } else mock.illness = illness;
    }
    await new Promise((resolve) => setTimeout(resolve, 250 + draw.below(500)));
    for (const mock of ill) {
      if (mock.illness === undefined) await mock.revive();
      mock.illness = undefined;
    }
  }
}

function ask(
  gateway: ServedMocks,
  agent: Agent,
  { question, chat, stream }: { question: string; chat: boolean; stream: boolean },
): Promise<string> {
  const body = JSON.stringify({
    model: "whale",
    stream,
    ...(chat ? { messages: [{ role: "user", content: question }] } : { prompt: question }),
  });
  const expected = answerTo(question).join("");
  return new Promise((resolve) => {
    const sent = request(
      `${gateway.url}/v1/${chat ? "chat/" : ""}completions`,
      {
        agent,
        method: "POST",
        headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body) },
      },
      (response) => {
        const parts: Buffer[] = [];
        response.on("data", (part: Buffer) => parts.push(part));
        response.on("end", () =>
          resolve(
            verdictOn(Buffer.concat(parts).toString("utf8"), { status: response.statusCode ?? 0, expected, stream }),
          ),
        );
        response.on("error", (error) => resolve(`cut at the client: ${error.message}`));
      },
    );
    sent.on("error", (error) => resolve(`no answer: ${error.message}`));
    sent.end(body);
  });
}

function verdictOn(
  text: string,
  { status, expected, stream }: { status: number; expected: string; stream: boolean },
): string {
  if (status !== 200) return `refused with ${status}: ${text}`;
  if (!stream) {
    const [choice] = JSON.parse(text).choices;
    const answer = choice.message?.content ?? choice.text;
    if (answer === "") return "empty";
    return answer === expected ? "right" : `wrong: ${text}`;
  }
  let said = "";
  let ends = 0;
  let error: string | undefined;
  const ids = new Set<string>();
  for (const event of text.split("\n\n").filter((line) => line.startsWith("data: "))) {
    if (ends > 0 || error !== undefined) return `something after the end: ${text}`;
    if (event === "data: [DONE]") ends++;
    else {
      const chunk = JSON.parse(event.slice(6));
      if (chunk.error) error = String(chunk.error.message);
      else {
        ids.add(chunk.id);
        said += chunk.choices[0]?.delta?.content ?? chunk.choices[0]?.text ?? "";
      }
    }
  }
  if (error !== undefined)
    return expected.startsWith(said) ? `refused in the stream: ${error}` : `wrong before the error: ${said}`;
  if (ends !== 1) return `no end: ${text.slice(-200)}`;
  if (ids.size !== 1) return `one answer under ${ids.size} ids`;
  if (said === "") return "empty";
  return said === expected ? "right" : `wrong: ${said} instead of ${expected}`;
}
