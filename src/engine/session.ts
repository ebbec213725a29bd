/**
 * Runs programs on ONNX Runtime: opens a session, hands tensors over without copying them, writes results where the caller wants.
 * Knows: onnxruntime-node, an optional dependency that is loaded here alone. Does not know: what a program computes.
 *
 * `run` computes on the calling thread: the event loop stands still until it is done.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import type { InferenceSession, Tensor as RuntimeTensor } from "onnxruntime-node";
import { BadInput } from "../spec/bad-input.ts";
import { withConstants } from "./onnx.ts";
import type { Program } from "./program.ts";

/** A tensor in this process's memory; `data` may be a view of a WebAssembly.Memory, but not of a SharedArrayBuffer. */
export interface HostTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array | BigInt64Array;
}

export interface SessionOptions {
  /** Threads inside one operator (default 1; results are reproducible to the bit only with 1). */
  readonly threads?: number;
  /** Where graphs optimised by the runtime are kept, so that the next process opens them in about half the time. */
  readonly cacheDirectory?: string;
  /** Parameters to hold as constants; the runtime packs them for its kernels and later changes are not seen. */
  readonly constants?: ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: Float32Array }>;
}

export interface Session {
  /**
   * Outputs by name. Outputs in `into` are written there (their shapes must be exact); others are allocated. A HostTensor
   * that is passed again is not wrapped again, so keep the objects of what stays in place. Throws Error where an input is missing.
   */
  run(
    inputs: Readonly<Record<string, HostTensor>>,
    into?: Readonly<Record<string, HostTensor>>,
  ): Promise<Record<string, HostTensor>>;
  close(): Promise<void>;
}

type Runtime = typeof import("onnxruntime-node");

/** Loads ONNX Runtime; throws BadInput where it is not installed. */
async function loadRuntime(): Promise<Runtime> {
  try {
    const loaded = await import("onnxruntime-node");
    return loaded.default ?? loaded;
  } catch (error) {
    const reason = error instanceof Error ? error.message.split("\n")[0] : String(error);
    throw new BadInput(
      `onnxruntime-node: the embedded engine needs it and it does not load (${reason}); add it with npm install onnxruntime-node@1.30.0 --onnxruntime-node-install=skip`,
    );
  }
}

/** Version of ONNX Runtime, for a checkpoint's manifest. */
export async function runtimeVersion(): Promise<string> {
  return (await loadRuntime()).env.versions.node ?? "unknown";
}

/** Opens a program for running. */
export async function openSession(program: Program, options: SessionOptions = {}): Promise<Session> {
  const runtime = await loadRuntime();
  const onnx = options.constants ? withConstants(program.onnx, options.constants) : program.onnx;
  return asSession(runtime, await createSession(runtime, onnx, options));
}

function asSession(runtime: Runtime, session: InferenceSession): Session {
  const wrapped = new WeakMap<HostTensor, RuntimeTensor>();
  const wrap = (tensor: HostTensor): RuntimeTensor => {
    const known = wrapped.get(tensor);
    if (known) return known;
    const { data, shape } = tensor;
    const made =
      data instanceof Float32Array
        ? new runtime.Tensor("float32", data, shape)
        : new runtime.Tensor("int64", data, shape);
    wrapped.set(tensor, made);
    return made;
  };
  return {
    async run(inputs, into = {}) {
      const feeds: Record<string, RuntimeTensor> = {};
      for (const name of session.inputNames) {
        const given = inputs[name];
        if (!given) throw new Error(`the program's input ${name} was not given`);
        feeds[name] = wrap(given);
      }
      const fetches: Record<string, RuntimeTensor | null> = {};
      for (const name of session.outputNames) fetches[name] = into[name] ? wrap(into[name]) : null;
      const results = await session.run(feeds, fetches);
      return Object.fromEntries(session.outputNames.map((name) => [name, into[name] ?? unwrap(name, results[name])]));
    },
    close: () => session.release(),
  };
}

export interface SessionFile extends Session {
  /** Sizes of the graph's inputs by name; a name stands for a size known only at run time. */
  readonly inputs: ReadonlyMap<string, readonly (number | string)[]>;
}

/** Opens an ONNX file with the external data beside it; the runtime's own Error where it is none or its data is not there. */
export async function openSessionFile(path: string): Promise<SessionFile> {
  const runtime = await loadRuntime();
  const session = await runtime.InferenceSession.create(path, {
    ...{ executionProviders: ["cpu"], intraOpNumThreads: 1, interOpNumThreads: 1, executionMode: "sequential" },
    ...{ enableMemPattern: false, graphOptimizationLevel: "all", logSeverityLevel: 4 },
  });
  const inputs = session.inputMetadata.map((input) => [input.name, input.isTensor ? input.shape : []] as const);
  return { inputs: new Map(inputs), ...asSession(runtime, session) };
}

function unwrap(name: string, tensor: RuntimeTensor | undefined): HostTensor {
  const data = tensor?.data;
  if (!(data instanceof Float32Array || data instanceof BigInt64Array)) {
    throw new Error(`output ${name} is neither float32 nor int64`);
  }
  return { shape: tensor!.dims, data };
}

async function createSession(runtime: Runtime, onnx: Uint8Array, options: SessionOptions): Promise<InferenceSession> {
  const common: InferenceSession.SessionOptions = {
    executionProviders: ["cpu"],
    intraOpNumThreads: options.threads ?? 1,
    interOpNumThreads: 1,
    executionMode: "sequential",
    // Routing makes the shapes of every run different, so a plan of one run's memory fits no other; without it the second
    // run of a restarted worker does not fault all its memory in anew (measured: 0.12 s of processor time less).
    enableMemPattern: false,
    // The runtime warns about each initializer that its own optimisation made superfluous.
    logSeverityLevel: 3,
  };
  const { cacheDirectory } = options;
  if (cacheDirectory === undefined) {
    return runtime.InferenceSession.create(onnx, { ...common, graphOptimizationLevel: "all" });
  }
  mkdirSync(cacheDirectory, { recursive: true });
  const file = join(cacheDirectory, `${cacheKey(runtime, onnx)}.onnx`);
  if (existsSync(file)) {
    try {
      return await runtime.InferenceSession.create(file, { ...common, graphOptimizationLevel: "disabled" });
    } catch {
      // Half-written by a process that died, or damaged: it is only a cache, so it is made again.
      rmSync(file, { force: true });
    }
  }
  const partial = `${file}.${process.pid}`;
  const optimised = { ...common, graphOptimizationLevel: "all", optimizedModelFilePath: partial } as const;
  const session = await runtime.InferenceSession.create(onnx, optimised);
  renameSync(partial, file);
  return session;
}

/** The optimised graph depends on the program, the runtime and the processor (fused kernels, block sizes). */
function cacheKey(runtime: Runtime, onnx: Uint8Array): string {
  const machine = `${runtime.env.versions.node ?? "unknown"}/${process.arch}/${cpus()[0]?.model ?? "unknown"}`;
  return createHash("sha256").update(machine).update("\0").update(onnx).digest("hex").slice(0, 40);
}
