/**
 * What a worker is doing, said whenever it changes and every half second.
 * Knows: phase, step, who is waited for. Does not know: what is done in a phase.
 */
import type { WorkerPhase } from "../spec/worker-event.ts";
import type { EventLog } from "./events.ts";
import type { Link } from "./link.ts";
import { type SilenceWatch, watchSilence } from "./silence.ts";

export interface WorkerStatus {
  readonly step: number;
  phase(phase: WorkerPhase, step: number): void;
  /** Says a heartbeat where nothing was said for a while, and lives towards other ranks. */
  beat(): void;
  /** From now on this link is waited for; undefined: none. */
  waiting(link: Link | undefined): void;
  /** How long a micro-batch takes here, and so may take elsewhere. */
  computed(seconds: number): void;
  links(links: readonly Link[]): void;
  stop(): void;
}

const heartbeatMilliseconds = 450;
const checkMilliseconds = 200;

export interface StatusOptions {
  readonly events: EventLog;
  readonly linkSilentSeconds: number;
  /** The rank that is waited for is silent; `lost` when it went on. */
  readonly onSilent: (told: { peer: number; step: number; seconds: number; isLost: boolean }) => void;
}

export function createStatus({ events, linkSilentSeconds, onSilent }: StatusOptions): WorkerStatus {
  const silence: SilenceWatch = watchSilence(linkSilentSeconds);
  const now = { phase: "start" as WorkerPhase, step: 0 };
  let links: readonly Link[] = [];
  let awaited: Link | undefined;
  const beat = (): void => {
    if (performance.now() - events.saidAt() < heartbeatMilliseconds) return;
    for (const link of links) link.alive();
    const waitingFor = silence.waitingFor();
    events.say({
      ev: "heartbeat",
      phase: now.phase,
      step: now.step,
      ...(waitingFor === undefined ? {} : { waitingFor }),
    });
  };
  const timer = setInterval(() => {
    beat();
    if (awaited === undefined) return;
    const found = silence.check(performance.now() / 1000, awaited.heardAt / 1000);
    if (found === undefined) return;
    const seconds = (performance.now() - awaited.heardAt) / 1000;
    onSilent({ peer: awaited.peer, step: now.step, seconds, isLost: found === "lost" });
  }, checkMilliseconds);
  return {
    get step() {
      return now.step;
    },
    phase(phase, step) {
      now.phase = phase;
      now.step = step;
      events.say({ ev: "phase", phase, step });
    },
    beat,
    waiting(link) {
      awaited = link;
      if (link === undefined) silence.end();
      else silence.begin(link.peer, performance.now() / 1000);
    },
    computed: (seconds) => silence.computed(seconds),
    links(all) {
      links = all;
    },
    stop: () => clearInterval(timer),
  };
}
