/**
 * What one look at one platform's devices gives, and what is remembered for the next.
 * Knows: the shape. Does not know: any platform.
 */
import type { DeviceFinding } from "./device-findings.ts";
import type { DeviceReading } from "./device-reading.ts";

export type Look =
  | { readonly state: "absent" }
  | {
      readonly state: "seen";
      readonly readings: readonly DeviceReading[];
      readonly findings: readonly DeviceFinding[];
    };

export interface LookMemory {
  /** The driver names fields as those before 535 do. */
  isOld: boolean;
  /** Of the newest line of the kernel's log, since boot. */
  kernelSeconds: number | undefined;
  readings: readonly DeviceReading[];
  looks: number;
}

export const newMemory = (): LookMemory => ({ isOld: false, kernelSeconds: undefined, readings: [], looks: 0 });
