/**
 * A token bucket: how long a link of a given bandwidth must wait before it carries more.
 * Knows: bytes and seconds. Does not know: clocks, sockets.
 */
export interface Bandwidth {
  /** Takes `bytes` at `now` (seconds, monotonic) and gives the seconds to wait before the next are taken. */
  take(bytes: number, now: number): number;
  /** The largest piece worth taking at once: a twentieth of a second's, at least one network packet. */
  readonly pieceBytes: number;
}

export function bandwidth(bytesPerSecond: number): Bandwidth {
  let freeAt = 0;
  return {
    pieceBytes: Math.max(1500, Math.floor(bytesPerSecond / 20)),
    take(bytes, now) {
      freeAt = Math.max(freeAt, now) + bytes / bytesPerSecond;
      return freeAt - now;
    },
  };
}
