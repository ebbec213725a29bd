/**
 * What one look at a device shows, whoever made it.
 * Knows: the shape, base units. Does not know: any tool.
 */

export interface DeviceReading {
  readonly platform: "nvidia" | "ascend";
  /** As the vendor's tool counts. */
  readonly index: number;
  readonly model: string | undefined;
  /** Lower case without leading zeros of the domain: `0000:3b:00.0`. */
  readonly busId: string | undefined;
  readonly celsius: number | undefined;
  readonly memoryCelsius: number | undefined;
  readonly watts: number | undefined;
  /** From 0 to 1, of its matrix units or kernels in the tool's last sampling period. */
  readonly utilization: number | undefined;
  readonly memoryUsedBytes: number | undefined;
  readonly memoryBytes: number | undefined;
  /** Memory errors that could not be corrected, since the driver was loaded. */
  readonly uncorrectable: number | undefined;
  readonly remapPending: boolean;
  readonly remapFailed: boolean;
  readonly slowedByHeat: boolean;
  readonly slowedByPower: boolean;
  /** Clock now over the rated one, while it computes; undefined when idle or unknown. */
  readonly clockShare: number | undefined;
  /** What its tool says against it, in the tool's words; absent: well or not said. */
  readonly complaint: string | undefined;
  /** The driver does not reach it. */
  readonly isLost: boolean;
}

/** A reading that shows nothing. */
export const blankReading: Omit<DeviceReading, "platform" | "index"> = {
  ...{ model: undefined, busId: undefined, celsius: undefined, memoryCelsius: undefined, watts: undefined },
  ...{ utilization: undefined, memoryUsedBytes: undefined, memoryBytes: undefined, uncorrectable: undefined },
  ...{ remapPending: false, remapFailed: false, slowedByHeat: false, slowedByPower: false },
  ...{ clockShare: undefined, complaint: undefined, isLost: false },
};

/** `00000000:3B:00.0`, `0000:3b:00` and `GPU0000:3B:00.0` as `0000:3b:00.0`; undefined for what is none. */
export function busIdOf(text: string | undefined): string | undefined {
  const match = /([0-9a-f]{4,8}):([0-9a-f]{2}):([0-9a-f]{2})(?:\.([0-9a-f]))?/i.exec(text ?? "");
  if (match === null) return undefined;
  const [, domain = "", bus, device, part = "0"] = match;
  return `${domain.slice(-4)}:${bus}:${device}.${part}`.toLowerCase();
}

/** A figure as both tools print it; undefined for `[N/A]`, `NA`, `[Not Supported]`, `ERR!` and anything else that is none. */
export function figure(text: string | undefined): number | undefined {
  const plain = text?.trim() ?? "";
  return /^-?\d{1,15}(\.\d{1,9})?$/.test(plain) ? Number(plain) : undefined;
}
