/**
 * Introduces a run to someone who has never seen it: the model, the data, the pools and what they will suffer.
 * Knows: the run file. Does not know: whether the run has started.
 */
import type { InjectedFault } from "../../spec/emulation.ts";
import type { Program } from "../../spec/program.ts";
import { isEngineRun, isProgramRun, type PoolSpec, poolOrder, type RunFile } from "../../spec/run-file.ts";
import { hanging, type Line, line, printable } from "./layout.ts";
import { bytes, count, decimal } from "./quantities.ts";

/** `parameters`: number of trained values, where the engine has counted them. */
export function fleet(file: RunFile, { parameters }: { parameters?: number | undefined } = {}): Line[] {
  if (isProgramRun(file)) return [...programLines(file.program), ...poolsLines(file)];
  if (!isEngineRun(file)) return poolsLines(file);
  const { train, model } = file;
  const experts = model.n_routed_experts ?? 0;
  const kind = experts > 0 ? `${experts} routed experts, ${model.num_experts_per_tok} per token` : "dense";
  const size = parameters === undefined ? "" : `${decimal(parameters)} parameters, `;
  const batch = `${train.globalBatch} × ${train.seqLength} tokens a step`;
  return [
    ...hanging("model   ", `DeepSeek-V3 architecture: ${size}${count(model.num_hidden_layers, "layer")}, ${kind}`),
    ...hanging("train   ", `${count(train.steps, "step")} of ${batch}, the same bytes whatever fails`),
    ...poolsLines(file),
  ];
}

function poolsLines(file: RunFile): Line[] {
  const perNode = file.program?.workersPerNode ?? 1;
  return [line("fleet"), ...poolOrder(file).flatMap((pool, index) => poolLines(pool, index, perNode))];
}

/** A program of somebody's own: what is started, how it is read, where it keeps its checkpoints. */
function programLines({ command, adapter, steps, checkpoint }: Program): Line[] {
  const length = steps === undefined ? "until all ranks end with 0" : `to step ${steps}`;
  const kept = checkpoint === undefined ? "none that is read" : `${checkpoint.dir} (${checkpoint.format})`;
  return [
    ...hanging("program ", printable(command.join(" "))),
    ...hanging("train   ", `${length}; ${adapter} log lines; checkpoints: ${kept}`),
  ];
}

function poolLines(pool: PoolSpec, index: number, perNode: number): Line[] {
  const { platform, linkBandwidth, faults } = pool.emulate;
  const workers = perNode === 1 ? count(pool.workers, "worker") : `${count(pool.workers, "node")} × ${perNode} workers`;
  const nodes = pool.spares > 0 ? `${workers} + ${count(pool.spares, "spare")}` : workers;
  const what = platform === "cpu" ? "CPU processes" : `${platform} emulated on CPU`;
  const link = linkBandwidth === undefined ? "" : `, links of ${bytes(linkBandwidth)}/s`;
  const order = index === 0 ? "first choice" : "when the run leaves the pool above";
  const head = `  ${pool.name.padEnd(8)}`;
  return [
    ...hanging(head, `${nodes}, ${what}${link}; ${order}`),
    ...(faults.length === 0
      ? []
      : hanging(" ".repeat(head.length), `will suffer: ${faults.map(faultText).join(", ")}`, "quiet")),
  ];
}

/** `crash of rank 1 at step 24`. */
function faultText(fault: InjectedFault): string {
  const when = fault.step === undefined ? "" : ` at step ${fault.step}`;
  const chance = fault.probability === undefined ? "" : ` with probability ${fault.probability}`;
  const often = fault.times > 1 ? ` (${fault.times} times)` : "";
  const kind = fault.kind === "bitflip" ? `bitflip (${fault.target})` : fault.kind;
  return `${kind} of rank ${fault.rank}${when}${chance}${often}`;
}
