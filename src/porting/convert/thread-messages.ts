/**
 * What a conversion and its threads tell each other.
 * Knows: the messages. Does not know: either side.
 */
import type { FileEntry } from "../../checkpoint/integrity.ts";
import type { ShardToWrite } from "./write-shard.ts";

export interface SourcePlace {
  /** The source's folder. */
  readonly path: string;
  /** What messages call it. */
  readonly given: string;
  /** Reads past the page cache. */
  readonly direct: boolean;
}

/** One file to make, or to read back. */
export type Task =
  | { readonly kind: "write"; readonly shard: ShardToWrite; readonly bytes: number }
  | { readonly kind: "hash"; readonly name: string; readonly path: string; readonly bytes: number };

export type Reply =
  | { readonly kind: "bytes"; readonly bytes: number }
  | { readonly kind: "done"; readonly file: FileEntry }
  /** `problems` is set for a BadInput, `code` for the system's refusal. */
  | {
      readonly kind: "failed";
      readonly problems: readonly string[];
      readonly code: string | undefined;
      readonly message: string;
    };
