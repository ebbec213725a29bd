/**
 * Answers one request: tries backends until one answers, lets another go on where one broke off, and never sends an answer twice.
 * Knows: the order of trying, waiting, continuing, giving up. Does not know: which backends there are (fleet-live), HTTP parsing, logs.
 */
import type { Asked } from "./asked.ts";
import { type Attempt, attempt, type WholeAnswer } from "./attempt.ts";
import { book, type LiveBackend, leave } from "./backend-live.ts";
import type { ClientSide } from "./client-side.ts";
import { continuedBody } from "./continuation.ts";
import type { FleetFile } from "./fleet-file.ts";
import { garbled } from "./garbled.ts";
import { GatewayError } from "./gateway-error.ts";
import { begin } from "./health.ts";
import { spliceJson } from "./json-splice.ts";
import { freshStream, type StreamState } from "./stream-state.ts";

/** What an exchange needs of the gateway around it. */
export interface Surroundings {
  readonly fleet: FleetFile;
  /** Monotonic seconds. */
  now(): number;
  /** The next backend to ask; undefined when there is none at the moment. `forced`: even one that is distrusted. */
  pick(
    asked: Asked,
    options: { tried: ReadonlySet<LiveBackend>; forced: boolean; continuing: boolean },
  ): LiveBackend | undefined;
  /** How many backends of the model take requests, their health aside. */
  serving(asked: Asked): number;
  /** Whether any backend could go on with a broken answer to this. */
  anyContinues(asked: Asked): boolean;
  /** A breaker opened, a failover or a continuation happened. */
  note(event: { what: "opened" | "failover" | "continued"; backend: LiveBackend; reason: string }): void;
  /** Keeps an interrupted stream; returns its id. */
  keep(interrupted: Interrupted): string;
  wait(seconds: number, client: ClientSide): Promise<void>;
}

/** A stream that broke off, with all that is needed to go on. */
export interface Interrupted {
  readonly asked: Asked;
  readonly stream: StreamState;
}

/** How an exchange ended, for the log, the metrics and the limits. */
export interface Summary {
  /** In the order asked. */
  readonly backends: readonly string[];
  readonly continued: number;
  readonly finish: string | undefined;
  readonly promptTokens: number;
  readonly answerTokens: number;
  readonly firstTokenSeconds: number | undefined;
  /** Of choice 0; for comparison, never for a log. */
  readonly text: string;
  readonly error: string | undefined;
  readonly answeredBy: LiveBackend | undefined;
}

/** So many backends that say the like of a strange answer are believed. */
const agreeingMax = 3;
/** An answer without a limit of its own is given time for so many of the usual length, on trial. */
const trialAnswers = 4;
const backoffSecondsMin = 0.05;
const backoffSecondsMax = 0.5;

export interface ExchangeOptions {
  readonly around: Surroundings;
  readonly client: ClientSide;
  readonly asked: Asked;
  /** Passed on to the backend. */
  readonly headers: Readonly<Record<string, string>>;
  /** Name of the client's key, if keys are asked for. */
  readonly caller?: string | undefined;
  /** Of a stream that is resumed: what its client has, or nothing when it begins anew. */
  readonly resumed?: { readonly stream: StreamState | undefined } | undefined;
}

/** Never rejects for what a backend or a client does. */
export async function exchange(options: ExchangeOptions): Promise<Summary> {
  const { around, client, asked, resumed } = options;
  const began = around.now();
  const stream = asked.stream ? (resumed?.stream ?? freshStream()) : undefined;
  const run: Run = {
    ...options,
    stream,
    began,
    tried: new Set(),
    asked: [],
    deadline: began + around.fleet.routing.giveUpSeconds,
    request: asked,
    round: 0,
    wordless: new Map(),
    agreeing: new Set(),
    settling: false,
    last: undefined,
    firstTokenAt: undefined,
  };
  for (;;) {
    if (client.gone) return summary(run, { error: "client went away" });
    const continuing = stream?.started ?? false;
    const unfit = continuing && stream !== undefined ? whyNotContinued(around, asked, stream) : undefined;
    if (unfit !== undefined) return interrupted(run, unfit);
    const backend = around.pick(asked, { tried: run.tried, forced: run.round > 0, continuing });
    if (backend === undefined) {
      const settled = settle(run);
      if (settled !== undefined) return settled;
      if (await nextRound(run)) continue;
      return givenUp(run, continuing);
    }
    const result = await ask(run, backend, continuing);
    const ended = await conclude(run, backend, result, continuing);
    if (ended !== undefined) return ended;
  }
}

interface Run extends Omit<ExchangeOptions, "asked"> {
  readonly request: Asked;
  readonly stream: StreamState | undefined;
  readonly began: number;
  readonly tried: Set<LiveBackend>;
  readonly asked: string[];
  deadline: number;
  round: number;
  /** Who gave an answer that is empty or garbled, which is passed on when nobody has a better one; undefined for a stream. */
  readonly wordless: Map<LiveBackend, WholeAnswer | undefined>;
  /** Of those, who gave it in this round: what backends said seconds apart is no agreement. */
  readonly agreeing: Set<LiveBackend>;
  /** Everybody was asked: an empty answer is taken for one. */
  settling: boolean;
  last: Extract<Attempt, { kind: "failed" | "cut" }> | undefined;
  firstTokenAt: number | undefined;
}

async function ask(run: Run, backend: LiveBackend, continuing: boolean): Promise<Attempt> {
  const { around, client, request, stream } = run;
  const { health: policy, limits } = around.fleet;
  run.tried.add(backend);
  run.asked.push(backend.file.name);
  const onTrial = backend.health.breaker !== "closed";
  backend.health = begin(backend.health);
  backend.inFlight++;
  // A backend on trial must not cost a client the whole patience: a frozen one is recognised by its own usual pace.
  const trialSeconds = (usual: number | undefined, most: number): number =>
    onTrial && usual !== undefined ? Math.min(most, Math.ceil(usual * policy.slowFactor)) : most;
  const tokensMax = request.maxTokens ?? trialAnswers * backend.speed.answerTokens;
  const model = backend.models.get(request.model) ?? request.model;
  try {
    return await attempt({
      backend,
      client,
      path: request.route,
      body: continuing && stream ? continuedBody(request, stream, model) : bodyFor(request, model),
      headers: run.headers,
      caller: run.caller,
      stream,
      continuing,
      emptyIsAnswer: isLastWord(run, backend),
      answerHeaders: {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache",
        "x-dualgauge-backend": backend.file.name,
        ...(run.resumed && { "x-dualgauge-resumed": run.resumed.stream === undefined ? "start" : "text" }),
      },
      policy,
      firstTokenSeconds: trialSeconds(backend.speed.usualFirstTokenSeconds, policy.firstTokenSeconds),
      answerSeconds: trialSeconds(backend.speed.usualSeconds(tokensMax), policy.answerSeconds),
      answerBytesMax: limits.answerBytes,
      now: around.now,
    });
  } finally {
    leave(backend);
  }
}

/** An empty or garbled answer of this backend counts: enough others said the like, or all there are, or nobody said better. */
function isLastWord(run: Run, backend: LiveBackend): boolean {
  const agreeing = new Set(run.agreeing).add(backend).size;
  return run.settling || agreeing >= Math.min(agreeingMax, run.around.serving(run.request));
}

function bodyFor(request: Asked, model: string): Buffer {
  if (model === request.model) return request.body;
  return Buffer.from(spliceJson(request.body.toString("utf8"), { model: JSON.stringify(model) }));
}

/** Books the attempt and ends the exchange, or returns undefined when another backend is to be asked. */
async function conclude(
  run: Run,
  backend: LiveBackend,
  result: Attempt,
  continuing: boolean,
): Promise<Summary | undefined> {
  const { around, stream } = run;
  switch (result.kind) {
    case "abandoned":
      backend.outcomes.abandoned++;
      return summary(run, { error: "client went away" });
    case "streamed":
      run.firstTokenAt ??= result.firstTokenAt;
      if (continuing) around.note({ what: "continued", backend, reason: run.last?.reason ?? "resumed" });
      judgeStream(run, backend, result, continuing);
      return summary(run, { answeredBy: backend });
    case "refused":
      bookOutcome(run, backend, "ok");
      if (!continuing) return passOn(run, result.answer, backend);
      // The request was right when it began, so this backend just cannot go on from the middle.
      run.last = { kind: "cut", reason: `${backend.file.name} cannot continue: status ${result.answer.status}` };
      return undefined;
    case "whole": {
      const { answer, suspicion } = result;
      if (suspicion !== undefined && !isLastWord(run, backend)) {
        bookOutcome(run, backend, suspicion);
        run.wordless.set(backend, answer);
        run.agreeing.add(backend);
        return undefined;
      }
      if (suspicion === undefined) judgeWhole(run, backend, answer);
      else bookOutcome(run, backend, suspicion);
      return passOn(run, answer, backend);
    }
    case "failed":
      bookOutcome(run, backend, result.outcome, { reason: result.reason, retryAfterSeconds: result.retryAfterSeconds });
      if (result.outcome === "empty") {
        run.wordless.set(backend, undefined);
        run.agreeing.add(backend);
      }
      run.last = result;
      around.note({ what: "failover", backend, reason: result.reason });
      return undefined;
    case "cut":
      run.firstTokenAt ??= around.now();
      bookOutcome(run, backend, "failed", { reason: result.reason });
      if (stream?.finish !== undefined) return finishHere(run, backend);
      run.last = result;
      // The rest has its own patience, and may come from any backend but this one.
      run.deadline = around.now() + around.fleet.routing.giveUpSeconds;
      run.round = 0;
      run.wordless.clear();
      run.agreeing.clear();
      run.tried.clear();
      run.tried.add(backend);
      around.note({ what: "failover", backend, reason: result.reason });
      return undefined;
  }
}

/** All was said, and only the farewell is missing. */
function finishHere(run: Run, backend: LiveBackend): Summary {
  run.client.end("data: [DONE]\n\n");
  return summary(run, { answeredBy: backend });
}

/**
 * When even those were asked that are distrusted, and the best that came is an empty or garbled answer, that is the answer.
 * A quarter of the patience is kept for the others before: one that just failed may be the one that has the answer.
 */
function settle(run: Run): Summary | undefined {
  const { giveUpSeconds } = run.around.fleet.routing;
  if (run.round === 0 || run.settling || run.around.now() < run.deadline - 0.75 * giveUpSeconds) return undefined;
  for (const [backend, answer] of run.wordless) if (answer !== undefined) return passOn(run, answer, backend);
  if (run.wordless.size > 0) {
    // A stream's empty answer was not kept: one of those who gave it is asked once more.
    run.settling = true;
    run.tried.clear();
  }
  return undefined;
}

/** Every backend was tried: waits a little and begins anew; false when patience is over. */
async function nextRound(run: Run): Promise<boolean> {
  const left = run.deadline - run.around.now();
  if (left <= 0) return false;
  const backoff = Math.min(backoffSecondsMax, backoffSecondsMin * 2 ** run.round, left);
  await run.around.wait(backoff, run.client);
  run.round++;
  run.tried.clear();
  run.agreeing.clear();
  return true;
}

function givenUp(run: Run, continuing: boolean): Summary {
  const reason = run.last?.reason ?? "no backend takes requests";
  if (continuing) return interrupted(run, `no backend could continue (${reason})`);
  const busy = run.last?.kind === "failed" && run.last.outcome === "busy";
  const message = busy ? "every backend is full; try again later" : `no backend answered (${reason})`;
  run.client.fail(new GatewayError(503, message, { code: busy ? "overloaded" : "no_backend", retryAfterSeconds: 1 }));
  return summary(run, { error: message });
}

/** One explicit error, and no `[DONE]`: the client knows what it has, and how to get the rest. */
function interrupted(run: Run, why: string): Summary {
  const { around, client, stream, request } = run;
  if (stream === undefined) return summary(run, { error: why });
  const id = around.keep({ asked: request, stream });
  const error = new GatewayError(502, `the answer broke off: ${why}`, { code: "stream_interrupted" });
  // A continuation that never began has not begun an answer either.
  if (!client.begun)
    client.beginStream({ "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" });
  client.end(`data: ${JSON.stringify(error.document({ resume_id: id }))}\n\n`);
  return summary(run, { error: why });
}

function whyNotContinued(around: Surroundings, asked: Asked, stream: StreamState): string | undefined {
  if (asked.unfitToContinue !== undefined) return asked.unfitToContinue;
  if (!around.anyContinues(asked)) return "no backend of this model continues chat answers";
  return stream.beyondText ? "reasoning, tool calls or several choices cannot be continued from text" : undefined;
}

function passOn(run: Run, answer: WholeAnswer, backend: LiveBackend): Summary {
  run.client.begin(answer.status, {
    "content-type": answer.contentType,
    "content-length": String(answer.body.length),
    "x-dualgauge-backend": backend.file.name,
  });
  run.client.end(answer.body);
  return summary(run, { answeredBy: backend, answer });
}

function bookOutcome(
  run: Run,
  backend: LiveBackend,
  outcome: Parameters<typeof book>[1],
  more: { reason?: string; retryAfterSeconds?: number | undefined } = {},
): void {
  const { around } = run;
  const at = { now: around.now(), policy: around.fleet.health, retryAfterSeconds: more.retryAfterSeconds };
  if (book(backend, outcome, at))
    around.note({
      what: "opened",
      backend,
      reason: `${backend.health.reason ?? outcome}${more.reason ? `: ${more.reason}` : ""}`,
    });
}

function judgeStream(
  run: Run,
  backend: LiveBackend,
  result: Extract<Attempt, { kind: "streamed" }>,
  continuing: boolean,
): void {
  const { stream, around, began } = run;
  if (stream === undefined) return;
  const { firstTokenAt, paused } = result;
  if (garbled(stream.text) !== undefined) bookOutcome(run, backend, "garbled");
  // Another backend's time or a slow reader's would be taken for this one's.
  else if (continuing || paused || run.asked.length > 1 || firstTokenAt === undefined) bookOutcome(run, backend, "ok");
  else {
    const now = around.now();
    const tokens = stream.usage?.completion || stream.pieces;
    judgeSpeed(run, backend, { now, firstTokenSeconds: firstTokenAt - began, seconds: now - began, tokens });
  }
}

function judgeWhole(run: Run, backend: LiveBackend, answer: WholeAnswer): void {
  const now = run.around.now();
  if (run.asked.length > 1) bookOutcome(run, backend, "ok");
  else
    judgeSpeed(run, backend, {
      now,
      firstTokenSeconds: undefined,
      seconds: now - run.began,
      tokens: answer.usage?.completion ?? 1,
    });
}

function judgeSpeed(run: Run, backend: LiveBackend, answered: Parameters<LiveBackend["speed"]["measured"]>[0]): void {
  const slow = backend.speed.slowness(answered) > run.around.fleet.health.slowFactor;
  backend.speed.measured(answered);
  bookOutcome(run, backend, slow ? "slow" : "ok");
}

function summary(run: Run, end: { error?: string; answeredBy?: LiveBackend; answer?: WholeAnswer }): Summary {
  const { stream, request } = run;
  const usage = end.answer?.usage ?? stream?.usage;
  return {
    backends: run.asked,
    continued: stream?.continuedAt.length ?? 0,
    finish: end.answer?.finish ?? stream?.finish,
    promptTokens: usage?.prompt ?? request.promptTokens,
    answerTokens: usage?.completion ?? stream?.pieces ?? 0,
    firstTokenSeconds: run.firstTokenAt === undefined ? undefined : run.firstTokenAt - run.began,
    text: end.answer?.text ?? stream?.text ?? "",
    error: end.error,
    answeredBy: end.answeredBy,
  };
}
