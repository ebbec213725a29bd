/**
 * Asks backends again behind the client's back: a share of the canary's requests to compare it, a share of all as shadow traffic.
 * Knows: shares, comparable bodies, how many at once. Does not know: how a canary is judged (canary), the client.
 */
import type { Asked } from "./asked.ts";
import { type Attempt, attempt } from "./attempt.ts";
import { book, type LiveBackend, leave } from "./backend-live.ts";
import { judge, keepSample, type Sample, type Verdict } from "./canary.ts";
import type { ClientSide } from "./client-side.ts";
import type { FleetLive } from "./fleet-live.ts";
import { begin, mayTake } from "./health.ts";
import { spliceJson, topLevelRanges } from "./json-splice.ts";

export interface Samples {
  /** A request was answered by `backend`; asks again what its share says, and returns at once. */
  answered(asked: Asked, backend: LiveBackend): void;
  /** Resolves when nothing is being asked any more. */
  idle(): Promise<void>;
}

export interface SamplesOptions {
  readonly fleet: FleetLive;
  readonly now: () => number;
  readonly compared: (verdict: Verdict) => void;
  readonly rolledBack: (reason: string) => void;
  readonly shadowed: (outcome: string) => void;
}

const comparisonsMax = 4;

export function createSamples({ fleet, now, compared, rolledBack, shadowed }: SamplesOptions): Samples {
  let samples: readonly Sample[] = [];
  let policy = "";
  const share = { compare: 0, shadow: 0 };
  const running = new Set<Promise<void>>();
  let comparing = 0;
  let shadowing = 0;
  const inBackground = (work: Promise<void>): void => {
    const tracked = work.finally(() => running.delete(tracked));
    running.add(tracked);
  };
  const ask = (backend: LiveBackend, asked: Asked, body: Buffer): Promise<Attempt> =>
    askQuietly(fleet, backend, asked, body, now);

  const compare = async (asked: Asked, canary: LiveBackend, other: LiveBackend, tokens: number): Promise<void> => {
    const texts: string[] = [];
    for (const backend of [canary, other, other]) {
      const result = await ask(backend, asked, comparable(asked, backend, tokens));
      // A failure is health's business, not a difference of texts.
      if (result.kind !== "whole") return;
      texts.push(result.answer.text);
    }
    const { canary: given } = fleet.file;
    const [ofCanary = "", ofOther = "", again = ""] = texts;
    if (given === undefined || fleet.rolledBack !== undefined) return;
    samples = keepSample(samples, { canary: ofCanary, other: ofOther, otherAgain: again });
    const verdict = judge(samples, given);
    compared(verdict);
    if (verdict.rollBack === undefined) return;
    fleet.rolledBack = verdict.rollBack;
    rolledBack(verdict.rollBack);
  };

  const maybeCompare = (asked: Asked, backend: LiveBackend): void => {
    const { canary } = fleet.file;
    if (canary === undefined || asked.route === "/v1/embeddings" || backend.file.name !== canary.backend) return;
    if (JSON.stringify(canary) !== policy) samples = [];
    policy = JSON.stringify(canary);
    share.compare += canary.comparePercent / 100;
    if (share.compare < 1) return;
    share.compare -= 1;
    const other = fleet.models.get(asked.model)?.find((live) => isStable(fleet, live, now()));
    if (other === undefined || comparing >= comparisonsMax) return;
    comparing++;
    inBackground(compare(asked, backend, other, canary.tokens).finally(() => comparing--));
  };

  const maybeShadow = (asked: Asked): void => {
    const { shadow } = fleet.file;
    if (shadow === undefined) return;
    share.shadow += shadow.percent / 100;
    if (share.shadow < 1) return;
    share.shadow -= 1;
    const backend = fleet.models.get(asked.model)?.find((live) => live.file.name === shadow.backend);
    if (backend === undefined || shadowing >= shadow.inFlightMax) return;
    shadowing++;
    const body = rewritten(asked, { model: backend.models.get(asked.model), stream: false });
    const work = async (): Promise<void> => {
      const result = await ask(backend, asked, body);
      shadowed(result.kind === "whole" ? (result.suspicion ?? "ok") : result.kind);
    };
    inBackground(work().finally(() => shadowing--));
  };

  return {
    answered(asked, backend) {
      maybeCompare(asked, backend);
      maybeShadow(asked);
    },
    async idle() {
      while (running.size > 0) await Promise.all(running);
    },
  };
}

function isStable(fleet: FleetLive, live: LiveBackend, now: number): boolean {
  const { canary, shadow } = fleet.file;
  const { name, drain } = live.file;
  return (
    name !== canary?.backend &&
    name !== shadow?.backend &&
    !drain &&
    mayTake(live.health, { now, inFlight: live.inFlight })
  );
}

/** The same request, greedy and short, so that two sound backends can be expected to say the same. */
function comparable(asked: Asked, backend: LiveBackend, tokens: number): Buffer {
  return rewritten(asked, { model: backend.models.get(asked.model), stream: false, temperature: 0, tokens });
}

function rewritten(
  asked: Asked,
  { model, temperature, tokens }: { model: string | undefined; stream: false; temperature?: number; tokens?: number },
): Buffer {
  const text = asked.body.toString("utf8");
  const limitKey = topLevelRanges(text, ["max_completion_tokens"]).size > 0 ? "max_completion_tokens" : "max_tokens";
  const plainly = asked.stream ? { stream: "false", stream_options: "null" } : {};
  return Buffer.from(
    spliceJson(text, {
      ...plainly,
      model: model === undefined || model === asked.model ? undefined : JSON.stringify(model),
      temperature: temperature === undefined ? undefined : String(temperature),
      [limitKey]: tokens === undefined ? undefined : String(tokens),
    }),
  );
}

const nobody: ClientSide = {
  ...{ gone: false, begun: false, status: 0, bytes: 0, onGone: undefined },
  ...{
    begin: () => undefined,
    beginStream: () => undefined,
    write: () => true,
    onDrain: () => undefined,
    end: () => undefined,
    fail: () => undefined,
  },
};

async function askQuietly(
  fleet: FleetLive,
  backend: LiveBackend,
  asked: Asked,
  body: Buffer,
  now: () => number,
): Promise<Attempt> {
  const { health: policy, limits } = fleet.file;
  backend.health = begin(backend.health);
  backend.inFlight++;
  const result = await attempt({
    ...{ backend, client: { ...nobody }, path: asked.route, body, headers: { "content-type": "application/json" } },
    ...{ stream: undefined, continuing: false, emptyIsAnswer: true, answerHeaders: {}, policy, now },
    ...{
      firstTokenSeconds: policy.firstTokenSeconds,
      answerSeconds: policy.answerSeconds,
      answerBytesMax: limits.answerBytes,
    },
  });
  leave(backend);
  const at = { now: now(), policy };
  if (result.kind === "failed") book(backend, result.outcome, { ...at, retryAfterSeconds: result.retryAfterSeconds });
  else book(backend, result.kind === "whole" ? (result.suspicion ?? "ok") : "ok", at);
  return result;
}
