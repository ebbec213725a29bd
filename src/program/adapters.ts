/**
 * The reader of each framework's log lines.
 * Knows: which adapter reads what. Does not know: the lines.
 */
import type { ProgramAdapter } from "../spec/program.ts";
import { readDeepspeed } from "./deepspeed.ts";
import { readMegatron } from "./megatron.ts";
import { readPlain } from "./plain.ts";
import type { ReadLine } from "./reading.ts";
import { readTorchtitan } from "./torchtitan.ts";

export const readers: Readonly<Record<ProgramAdapter, ReadLine>> = {
  megatron: readMegatron,
  // A fork of Megatron-LM's training loop with its lines.
  mindspeed: readMegatron,
  torchtitan: readTorchtitan,
  deepspeed: readDeepspeed,
  plain: readPlain,
};
