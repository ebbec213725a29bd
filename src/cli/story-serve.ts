/**
 * The last chapter of `dualgauge run`: both pools' models behind one endpoint, a canary, and one pool killed under load.
 * Knows: a process per pool, the gateway's file, the load. Does not know: how the models came about, what is printed.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import * as z from "zod";
import { packageRoot } from "../host/entry-point.ts";
import { type FleetFile, parseFleetFile } from "../serving/gateway/fleet-file.ts";
import { type ServedFleet, serveFleet } from "../serving/gateway/serve-fleet.ts";

/** A pool that serves: its name is the backend's. */
export interface ServingPool {
  readonly name: string;
  readonly platform: "nvidia" | "ascend" | "cpu";
  /** What it answers from: a checkpoint or an exported directory. */
  readonly directory: string;
}

export interface ServingQuestion {
  readonly model: string;
  /** The one that trained, which is killed, and the one that the model was ported to, which is the canary. */
  readonly trained: ServingPool;
  readonly ported: ServingPool;
  readonly listen: { readonly host: string; readonly port: number };
  readonly ask: {
    readonly prompt: string;
    readonly maxTokens: number;
    readonly temperature: number;
    readonly seed: number;
  };
  readonly signal: AbortSignal;
}

export interface Answer {
  readonly url: string;
  readonly model: string;
  readonly prompt: string;
  readonly text: string;
  readonly tokens: number;
  readonly seconds: number;
}

export interface ServedStory {
  readonly answer: Answer;
  readonly canary: {
    readonly percent: number;
    readonly samples: number;
    /** Samples from which on a canary is judged. */
    readonly samplesMin: number;
    readonly agreement: number;
    readonly selfAgreement: number;
    readonly rolledBack: string | null;
  };
  readonly load: {
    readonly requests: number;
    readonly atOnce: number;
    readonly failed: number;
    readonly seconds: number;
    readonly killed: string;
    /** Answers that were complete when the pool was killed. */
    readonly killedAfter: number;
    /** Streams that went on at the other pool in the middle of their text. */
    readonly continued: number;
    readonly byBackend: Readonly<Record<string, number>>;
  };
}

const canary = { percent: 50, comparePercent: 100, samplesMin: 8, tokens: 16, tolerance: 0.4 };
/** Comparisons run a few at a time and the rest are left out, so requests are asked until enough were compared. */
const canaryRequestsMax = 120;
const canaryAtOnce = 4;
const loadRequests = 160;
const loadAtOnce = 16;
const loadTokens = 48;

/** Starts a server for each pool and the gateway before them; all of it is gone when it returns or throws. */
export async function serveBothPools(question: ServingQuestion): Promise<ServedStory> {
  const { trained, ported } = question;
  const pools = [trained, ported];
  const servers: PoolServer[] = [];
  let served: ServedFleet | undefined;
  try {
    for (const pool of pools) servers.push(startServer(pool, question.model));
    const urls = await Promise.all(servers.map(({ url }) => url));
    const file = (more: object): FleetFile => fleetOf(question, urls, more);
    served = await serveFleet(file({ canary: { backend: ported.name, ...canary } }), { say: () => undefined, env: {} });
    const answer = await askOnce(served.url, question);
    const seen = await tryCanary(served, question);
    await served.reload(file({}));
    const load = await loadAndKill(served, question, servers[0]);
    return { answer, canary: { percent: canary.percent, samplesMin: canary.samplesMin, ...seen }, load };
  } finally {
    await served?.close();
    await Promise.all(servers.map(({ stop }) => stop()));
  }
}

function fleetOf(
  { model, trained, ported, listen }: ServingQuestion,
  urls: readonly string[],
  more: object,
): FleetFile {
  const backends = [trained, ported].map(({ name, platform }, index) => ({
    ...{ name, platform, url: urls[index], models: { [model]: model }, capacity: 8 },
    // The embedded engine's own server, asked over HTTP like any other; it takes continue_final_message.
    ...{ engine: "openai", continues: true },
  }));
  return parseFleetFile({ listen, backends, drainSeconds: 5, ...more }, "run");
}

interface PoolServer {
  readonly child: ChildProcess;
  readonly url: Promise<string>;
  stop(): Promise<void>;
}

/** `dualgauge serve DIRECTORY` in a process of its own, so that killing it is a real end of a pool. */
function startServer({ directory }: ServingPool, model: string): PoolServer {
  const binary = join(packageRoot(), "bin", "dualgauge.js");
  const child = spawn(process.execPath, [binary, "serve", directory, "--port", "0", "--name", model, "--json"], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = once(child, "exit");
  return {
    child,
    url: announcedUrl(child, directory),
    async stop() {
      child.kill("SIGTERM");
      await ended;
    },
  };
}

const Announced = z.looseObject({ url: z.string() });

function announcedUrl({ stdout, stderr }: ChildProcess, directory: string): Promise<string> {
  let said = "";
  let complained = "";
  stderr?.on("data", (piece: Buffer) => (complained += piece));
  return new Promise((resolve, reject) => {
    stdout?.on("data", (piece: Buffer) => {
      said += piece;
      if (said.trimEnd().endsWith("}")) resolve(Announced.parse(JSON.parse(said)).url);
    });
    stdout?.on("end", () => reject(new Error(`dualgauge serve ${directory} ended: ${complained.trim()}`)));
  });
}

const Completion = z.looseObject({
  choices: z.array(z.looseObject({ text: z.string() })).min(1),
  usage: z.looseObject({ completion_tokens: z.number() }),
});

async function askOnce(endpoint: string, { model, ask, signal }: ServingQuestion): Promise<Answer> {
  const { prompt, temperature, maxTokens, seed } = ask;
  const started = performance.now();
  const response = await post(endpoint, { model, prompt, temperature, max_tokens: maxTokens, seed }, signal);
  if (!response.ok) throw new Error(`${endpoint}/v1/completions: ${response.status} ${await response.text()}`);
  const { choices, usage } = Completion.parse(await response.json());
  const seconds = (performance.now() - started) / 1000;
  return { url: endpoint, model, prompt, text: choices[0]?.text ?? "", tokens: usage.completion_tokens, seconds };
}

function post(endpoint: string, body: object, signal: AbortSignal): Promise<Response> {
  return fetch(`${endpoint}/v1/completions`, {
    ...{ method: "POST", signal, headers: { "content-type": "application/json" }, body: JSON.stringify(body) },
  });
}

/** Each request begins elsewhere in the prompt, so that they are conversations of their own. */
function bodyOf({ model, ask }: ServingQuestion, index: number, tokens: number): object {
  const prompt = `${index}. ${ask.prompt}`;
  return { model, prompt, max_tokens: tokens, temperature: 0, stream: true };
}

/** A streamed answer, read to its end. */
async function complete(endpoint: string, body: object, signal: AbortSignal): Promise<{ ok: boolean; text: string }> {
  try {
    const response = await post(endpoint, body, signal);
    const text = await response.text();
    return { ok: response.ok && text.trimEnd().endsWith("data: [DONE]") && !text.includes('"error"'), text };
  } catch (error) {
    signal.throwIfAborted();
    return { ok: false, text: String(error) };
  }
}

/** Runs `count` tasks, `width` of them at a time. */
async function atOnce<T>(count: number, width: number, task: (index: number) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) {
      const index = next++;
      results[index] = await task(index);
    }
  };
  await Promise.all(Array.from({ length: width }, lane));
  return results;
}

/** Asks until the gateway has judged its canary, and gives what it says of it. */
async function tryCanary(served: ServedFleet, question: ServingQuestion) {
  const { fleet } = served.gateway;
  let metrics = "";
  const figure = (line: RegExp): number => Number(line.exec(metrics)?.[1] ?? 0);
  const samples = (): number => figure(/^dualgauge_gateway_canary_samples (\S+)$/m);
  const isJudged = (): boolean => samples() >= canary.samplesMin || fleet.rolledBack !== undefined;
  for (let asked = 0; asked < canaryRequestsMax && !isJudged(); asked += canaryAtOnce) {
    await atOnce(canaryAtOnce, canaryAtOnce, (index) =>
      complete(served.url, bodyOf(question, asked + index, canary.tokens), question.signal),
    );
    metrics = await (await fetch(`${served.url}/metrics`, { signal: question.signal })).text();
  }
  return {
    samples: samples(),
    agreement: figure(/^dualgauge_gateway_canary_agreement\{with="others"\} (\S+)$/m),
    selfAgreement: figure(/^dualgauge_gateway_canary_agreement\{with="themselves"\} (\S+)$/m),
    rolledBack: fleet.rolledBack ?? null,
  };
}

async function loadAndKill(
  served: ServedFleet,
  question: ServingQuestion,
  victim: PoolServer | undefined,
): Promise<ServedStory["load"]> {
  const { signal, trained } = question;
  const started = performance.now();
  let completed = 0;
  let killedAfter = -1;
  const answers = await atOnce(loadRequests, loadAtOnce, async (index) => {
    const answer = await complete(served.url, bodyOf(question, index, loadTokens), signal);
    if (++completed === Math.floor(loadRequests / 4)) {
      killedAfter = completed;
      victim?.child.kill("SIGKILL");
    }
    return answer;
  });
  const metrics = await (await fetch(`${served.url}/metrics`, { signal })).text();
  const byBackend: Record<string, number> = {};
  for (const [, name = "", count = "0"] of metrics.matchAll(
    /^vllm:request_success_total\{[^}]*backend="([^"]+)"[^}]*\} (\S+)$/gm,
  )) {
    byBackend[name] = (byBackend[name] ?? 0) + Number(count);
  }
  return {
    requests: loadRequests,
    atOnce: loadAtOnce,
    failed: answers.filter(({ ok }) => !ok).length,
    seconds: (performance.now() - started) / 1000,
    killed: trained.name,
    killedAfter,
    continued: answers.filter(({ text }) => text.includes(": dualgauge: continued on")).length,
    byBackend,
  };
}
