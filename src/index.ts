/**
 * The public library: what other programs may import from `dualgauge`.
 * Knows: the names that stay stable. Does not know: anything else; this is the only file that re-exports.
 */
export { parseEvent, type RunEvent } from "./journal/event.ts";
export { reduce } from "./journal/reduce.ts";
export {
  ettr,
  type FaultReport,
  faultReports,
  type StatusDocument,
  statusDocument,
  type TrainDocument,
  trainDocument,
} from "./journal/select.ts";
export { initialState, type RunState } from "./journal/state.ts";
export { createApp } from "./serving/app.ts";
export type { Backend, Generation, Piece, TokenReading } from "./serving/backend.ts";
export { type Listening, listen } from "./serving/listen.ts";
export { BadInput } from "./spec/bad-input.ts";
export { DeepseekConfig } from "./spec/deepseek-config.ts";
export { RunFile } from "./spec/run-file.ts";
export { WorkerEvent } from "./spec/worker-event.ts";
