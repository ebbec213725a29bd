/**
 * The embedded engine as a backend: a checkpoint, run or export answers on this machine's CPU, in a thread of its own.
 * Knows: the thread, who waits for which answer. Does not know: HTTP, how tokens come about (engine-thread).
 */
import { Worker } from "node:worker_threads";
import { openTokenizer } from "../engine/tokenizer.ts";
import type { Backend, Generation, Piece } from "./backend.ts";
import { type EngineFacts, type EngineOrder, type EngineReply, type EngineSetup, errorOf } from "./engine-messages.ts";

export interface EmbeddedBackend extends Backend {
  readonly kind: EngineFacts["kind"];
  /** Folder of the weights. */
  readonly path: string;
  /** Ends what is being generated and frees the engine. */
  close(): Promise<void>;
}

export interface EmbeddedOptions {
  /** How the model is called; absent: the name of its run, or of its folder. */
  readonly name?: string | undefined;
  /** Threads inside one operator. */
  readonly threads?: number;
}

/** Where the pieces of one answer arrive. */
interface Inbox {
  readonly pieces: Piece[];
  failure?: Error;
  wake: () => void;
}

/** Loads the model in `path`; BadInput says what is missing, corrupt or no model, or how to add the engine. */
export async function openEmbedded(
  path: string,
  { name, threads = 1 }: EmbeddedOptions = {},
): Promise<EmbeddedBackend> {
  const setup: EngineSetup = { path, name, threads };
  const worker = new Worker(threadEntry(), { workerData: setup, execArgv: [] });
  const inboxes = new Map<number, Inbox>();
  let ended: Error | undefined;
  let closed: () => void = () => undefined;
  const end = (error: Error): void => {
    ended ??= error;
    closed();
    for (const inbox of inboxes.values()) {
      inbox.failure ??= ended;
      inbox.wake();
    }
  };
  const facts = await new Promise<EngineFacts>((resolve, reject) => {
    worker.on("message", (reply: EngineReply) => {
      if (reply.kind === "ready") return resolve(reply.facts);
      if (reply.kind === "unready") return reject(errorOf(reply.failure));
      if (reply.kind === "closed") return closed();
      const inbox = inboxes.get(reply.id);
      // Nobody waits any more for what was under way when its reader left.
      if (!inbox) return;
      if (reply.kind === "piece") inbox.pieces.push(reply.piece);
      else inbox.failure = errorOf(reply.failure);
      inbox.wake();
    });
    worker.on("error", (error) => {
      reject(error);
      end(error instanceof Error ? error : new Error(String(error)));
    });
    worker.on("exit", (code) => {
      const error = new Error(`the engine's thread ended with ${code}`);
      reject(error);
      end(error);
    });
  }).catch(async (error: unknown) => {
    await worker.terminate();
    throw error;
  });
  const order = (message: EngineOrder): void => worker.postMessage(message);
  const tokenizer = openTokenizer(facts.tokenizer, facts.config);
  let nextId = 0;
  return {
    model: facts.model,
    kind: facts.kind,
    path: facts.path,
    contextTokens: facts.config.max_position_embeddings,
    vocabularySize: facts.config.vocab_size,
    encode: (text) => tokenizer.encode(text),
    async *generate(generation: Generation, signal: AbortSignal) {
      if (signal.aborted) return;
      if (ended) throw ended;
      const id = nextId++;
      const inbox: Inbox = { pieces: [], wake: () => undefined };
      const leave = (): void => inbox.wake();
      inboxes.set(id, inbox);
      signal.addEventListener("abort", leave);
      order({ kind: "generate", id, generation });
      let finished = false;
      try {
        for (;;) {
          if (signal.aborted) return;
          const piece = inbox.pieces.shift();
          if (piece) {
            finished = piece.finish !== undefined;
            yield piece;
            if (finished) return;
          } else if (inbox.failure) {
            finished = true;
            throw inbox.failure;
          } else {
            await new Promise<void>((resolve) => {
              inbox.wake = resolve;
            });
          }
        }
      } finally {
        signal.removeEventListener("abort", leave);
        inboxes.delete(id);
        if (!finished) order({ kind: "abandon", id });
      }
    },
    async close() {
      if (!ended) {
        await new Promise<void>((resolve) => {
          closed = resolve;
          order({ kind: "close" });
        });
      }
      end(new Error("the engine is closed"));
      await worker.terminate();
    },
  };
}

/** A thread starts from built JavaScript; under a test runner that executes the sources it is the built copy beside them. */
function threadEntry(): URL {
  const built = import.meta.url.endsWith(".ts") ? "../../dist/serving/" : "./";
  return new URL(`${built}engine-thread.js`, import.meta.url);
}
