/**
 * Everything outside of the supervisor that it reads or changes, as values it is given: the real one, or a simulated one.
 * Knows: the ports. Does not know: their implementations.
 */
import type { Clock } from "../host/clock.ts";
import type { ProcessIdentity } from "../host/processes.ts";
import type { EventData } from "../journal/event.ts";
import type { RunState } from "../journal/state.ts";
import type { Launcher } from "../launcher/launcher.ts";
import type { ProgramAttempt } from "../launcher/program-attempt.ts";
import type { WorkerSpec } from "../spec/worker-spec.ts";
import type { Log } from "../store/log.ts";
import type { Policy } from "./policy.ts";
import type { Tiers } from "./tiers.ts";

export interface World {
  readonly log: Log;
  readonly launcher: Launcher;
  readonly tiers: Tiers;
  readonly clock: Clock;
  readonly policy: Policy;
  /** What `run-created` says when the journal is empty. */
  readonly created: EventData["run-created"];
  readonly supervisor: { readonly process: ProcessIdentity; readonly host: string; readonly version: string };
  /** Makes the fencing token durable before a launch. */
  raiseEpoch(epoch: number): void;
  /** What the workers of the attempt that was just intended are told. */
  workerSpec(state: RunState): WorkerSpec;
  /** For a program instead: what is started. */
  readonly program?: (state: RunState) => ProgramAttempt;
  /** Why the supervisor itself lacks what every action needs (`EMFILE`); undefined when it can act. */
  shortage(): string | undefined;
  /** Throws when another process has become the supervisor of this run. */
  checkLease(): void;
}
