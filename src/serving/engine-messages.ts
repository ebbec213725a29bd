/**
 * What the thread of the embedded engine and its owner say to each other.
 * Knows: the messages, how an error crosses. Does not know: threads, what is generated.
 */

import { BadInput } from "../spec/bad-input.ts";
import type { DeepseekConfig } from "../spec/deepseek-config.ts";
import type { Generation, Piece } from "./backend.ts";

export interface EngineSetup {
  readonly path: string;
  readonly name: string | undefined;
  readonly threads: number;
}

/** What the model says of itself once it is loaded. */
export interface EngineFacts {
  readonly model: string;
  readonly kind: "checkpoint" | "export";
  readonly path: string;
  readonly config: DeepseekConfig;
  /** `byte`, or the path of a tokenizer.json. */
  readonly tokenizer: string;
}

export type EngineOrder =
  | { readonly kind: "generate"; readonly id: number; readonly generation: Generation }
  | { readonly kind: "abandon"; readonly id: number }
  | { readonly kind: "close" };

export interface Failure {
  readonly problems: readonly string[];
  readonly message: string;
}

export type EngineReply =
  | { readonly kind: "ready"; readonly facts: EngineFacts }
  | { readonly kind: "unready"; readonly failure: Failure }
  | { readonly kind: "piece"; readonly id: number; readonly piece: Piece }
  | { readonly kind: "failed"; readonly id: number; readonly failure: Failure }
  | { readonly kind: "closed" };

export function failureOf(error: unknown): Failure {
  const problems = error instanceof BadInput ? error.problems : [];
  return { problems, message: error instanceof Error ? error.message : String(error) };
}

export const errorOf = ({ problems, message }: Failure): Error =>
  problems.length > 0 ? new BadInput(...problems) : new Error(message);
