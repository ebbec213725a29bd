/**
 * Finds the newest checkpoint that may be loaded, and says why others may not.
 * Knows: manifests and hashes. Does not know: who asks, what is done with the ones that do not verify.
 */
import { existsSync } from "node:fs";
import { listCheckpoints, stepOf } from "./checkpoint-folder.ts";
import { CorruptCheckpoint } from "./corrupt-checkpoint.ts";
import { checkFiles, type FileEntry, manifestName, readManifest } from "./integrity.ts";
import { Manifest } from "./manifest.ts";

/** `memory`: every step, gone with the host. `disk`: every N steps, outlives it. */
export type Tier = "memory" | "disk";

/**
 * Reads every byte of a checkpoint and gives its manifest. CorruptCheckpoint when anything differs from what was written.
 * `take` sees each file's pieces while they are hashed; a piece is overwritten by the next.
 */
export async function verifyCheckpoint(
  path: string,
  take?: (file: FileEntry, piece: Uint8Array) => void,
): Promise<Manifest> {
  const { manifest, files } = readManifest(path);
  const corrupt = (why: string): CorruptCheckpoint => new CorruptCheckpoint({ path, file: manifestName, why });
  const parsed = Manifest.safeParse(manifest);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw corrupt(`${issue?.path.join(".") || "manifest"}: ${issue?.message ?? "is not valid"}`);
  }
  const step = stepOf(path);
  if (step !== undefined && step !== parsed.data.step) {
    throw corrupt(`says step ${parsed.data.step}, its folder step ${step}`);
  }
  checkFiles(path, files, take);
  return parsed.data;
}

export interface VerifiedCheckpoint {
  readonly tier: Tier;
  readonly path: string;
  readonly step: number;
  readonly manifest: Manifest;
}

export interface RejectedCheckpoint {
  readonly tier: Tier;
  readonly path: string;
  readonly step: number;
  readonly file: string;
  readonly why: string;
}

/**
 * Newest first over all folders (of one step: in the order given), until one verifies. `rejected` holds those that were newer and did
 * not; older ones were not looked at.
 */
export async function newestVerified(
  places: readonly { readonly tier: Tier; readonly folder: string }[],
): Promise<{ newest: VerifiedCheckpoint | undefined; rejected: readonly RejectedCheckpoint[] }> {
  const candidates = places
    .flatMap(({ tier, folder }) => listCheckpoints(folder).map((place) => ({ tier, ...place })))
    .sort((a, b) => b.step - a.step);
  const rejected: RejectedCheckpoint[] = [];
  for (const candidate of candidates) {
    try {
      return { newest: { ...candidate, manifest: await verifyCheckpoint(candidate.path) }, rejected };
    } catch (error) {
      if (!(error instanceof CorruptCheckpoint)) throw error;
      // Retention of a living writer may remove it while it is read; then it is not corrupt, it is gone.
      if (existsSync(candidate.path)) rejected.push({ ...candidate, file: error.file, why: error.why });
    }
  }
  return { newest: undefined, rejected };
}
