/**
 * A checkpoint that does not verify: which file of it, and why.
 * Knows: how that reads. Does not know: what is done about it; the caller quarantines it and loads an older one.
 */
export class CorruptCheckpoint extends Error {
  override readonly name = "CorruptCheckpoint";
  readonly path: string;
  readonly file: string;
  readonly why: string;

  constructor({ path, file, why }: { path: string; file: string; why: string }) {
    super(`${path}: ${file}: ${why}`);
    this.path = path;
    this.file = file;
    this.why = why;
  }
}
