/**
 * Watches the devices that an attempt's ranks compute on, and turns findings into the agent's notes.
 * Knows: which rank uses which device, how often a thing is told. Does not know: tools, thresholds (devices), what is concluded.
 */
import type { DeviceFinding } from "../devices/device-findings.ts";
import type { DeviceReading } from "../devices/device-reading.ts";
import { type DeviceWatch, watchDevices } from "../devices/watch-devices.ts";
import type { AgentOrder, AgentRecord } from "../launcher/agent-record.ts";
import type { DeviceFindingCode } from "../spec/device-finding.ts";

export type DeviceNoteSaying = Pick<
  Extract<AgentRecord, { ev: "noted" }>,
  "rank" | "what" | "count" | "detail" | "device"
>;

const names: Readonly<Record<DeviceFindingCode, string>> = {
  lost: "device lost",
  "uncorrectable-memory": "uncorrectable memory errors",
  "earlier-memory-errors": "uncorrectable memory errors of earlier",
  "remap-failed": "memory row without a spare",
  "remap-pending": "bad memory waits for a reset",
  unhealthy: "device is not well",
  "memory-hot": "memory too hot",
  "slowed-by-heat": "clocks held down by heat",
  "slowed-by-power": "clocks held down by power",
  "slow-clock": "clock below the rated one",
  xid: "Xid",
  unreadable: "device telemetry cannot be read",
};

/** undefined where the order wants none. */
export function watchAttemptDevices(
  order: AgentOrder,
  note: (saying: DeviceNoteSaying) => void,
): DeviceWatch | undefined {
  const seconds = order.program?.telemetrySeconds ?? 0;
  if (seconds === 0) return undefined;
  const counts = new Map<string, number>();
  return watchDevices({
    seconds,
    onFinding(finding) {
      const saying = noteOf(order.workers, finding);
      // The number of an Xid tells one from another.
      const key = `${saying.device?.name} ${saying.what} ${saying.device?.finding === "xid" ? saying.detail : ""}`;
      const count = (counts.get(key) ?? 0) + 1;
      counts.set(key, count);
      // Told at the 1st, 10th, 100th, … time.
      if (/^10*$/.test(String(count))) note({ ...saying, count });
    },
  });
}

function noteOf(
  workers: AgentOrder["workers"],
  { device, code, says }: DeviceFinding,
): Omit<DeviceNoteSaying, "count"> {
  const name = device === undefined ? "devices" : `${device.platform} ${device.index}`;
  const detail = says === "" ? names[code] : says;
  const rank = device === undefined ? null : rankOn(workers, device);
  return { rank, what: names[code], detail: detail.slice(0, 1000), device: { name, finding: code } };
}

const visibleNames = {
  nvidia: ["CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"],
  ascend: ["ASCEND_RT_VISIBLE_DEVICES", "ASCEND_VISIBLE_DEVICES"],
} as const;

/**
 * The one rank whose LOCAL_RANK-th visible device this is; null when there is none or several, for a wrong name is worse than
 * none. Devices named by UUID, and programs that choose by other means, cannot be told.
 */
export function rankOn(
  workers: readonly { readonly rank: number; readonly env: Readonly<Record<string, string>> }[],
  { platform, index }: Pick<DeviceReading, "platform" | "index">,
): number | null {
  const users = workers.filter(({ env }) => {
    const local = Number(env.LOCAL_RANK);
    const list = visibleNames[platform]
      .map((name) => env[name] ?? process.env[name])
      .find((text) => text !== undefined && text !== "");
    if (list === undefined || list === "all") return local === index;
    const visible = list.split(",").map((part) => part.trim());
    // One device alone is everybody's who sees it.
    return visible[visible.length === 1 ? 0 : local] === String(index);
  });
  return users.length === 1 ? (users[0]?.rank ?? null) : null;
}
