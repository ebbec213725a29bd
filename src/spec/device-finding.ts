/**
 * What may be wrong with a device, as a vendor's own tool or the kernel's log says it.
 * Knows: the codes. Does not know: tools, thresholds (devices), what is done about them (supervisor).
 */
import * as z from "zod";

export const DeviceFindingCode = z.enum([
  /** The driver cannot reach it any more. */
  "lost",
  "uncorrectable-memory",
  /** Such errors that were there before the attempt began. */
  "earlier-memory-errors",
  /** No spare row is left for a bad one. */
  "remap-failed",
  /** A bad row or page is taken out of use only at the next reset. */
  "remap-pending",
  /** The vendor's tool calls it anything but well. */
  "unhealthy",
  "memory-hot",
  "slowed-by-heat",
  "slowed-by-power",
  "slow-clock",
  /** The driver wrote an Xid into the kernel's log. */
  "xid",
  /** The tool itself gave nothing that can be read: nothing is known of the devices, and nothing is concluded. */
  "unreadable",
]);
export type DeviceFindingCode = z.infer<typeof DeviceFindingCode>;

/** `name` is `<platform> <index as the vendor's tool counts>`, or the tool where it is about no device. */
export const NotedDevice = z.strictObject({ name: z.string().min(1).max(100), finding: DeviceFindingCode });
export type NotedDevice = z.infer<typeof NotedDevice>;
