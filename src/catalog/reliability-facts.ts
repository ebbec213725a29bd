/**
 * Published failure figures of large training systems, one record each, as its source gives them.
 * Knows: counts, exposures, causes, recovery times, sources. Does not know: priors, formulas, which record a question wants.
 *
 * `provenance` says whether the figure was seen in the named source ("verified") or is quoted from memory of it
 * ("recalled"). A rate is faults over node-days whenever both are known, so that evidence can be pooled.
 */
import type { FaultCategory } from "../spec/vocabulary.ts";

/** One cause of interruptions: its share of them, and whether the node leaves for repair (else only its processes restart). */
export interface FailureCause {
  name: string;
  share: number;
  category: FaultCategory;
  nodeLeaves: boolean;
}

export interface ReliabilityRecord {
  id: string;
  system: string;
  accelerator: string;
  devices: number;
  devicesPerNode: number;
  /** Interruptions of a run by faults, per node and day of training. */
  failuresPerNodeDay: number;
  /** Faults counted and node-days watched; absent where the source prints only a rate. */
  faults?: number;
  nodeDays?: number;
  /** Whether the rate may enter the prior for an unknown pool, and if not why. */
  excludedFromPrior?: string;
  /** Detection, restart, checkpoint figures in seconds; a pair is a published or derivable range. */
  detectSeconds?: readonly [number, number];
  restartSeconds?: readonly [number, number];
  checkpointSeconds?: readonly [number, number];
  checkpointIntervalSeconds?: number;
  spareNodes?: number;
  /** What the source measured, to compare a simulation with. */
  published: {
    days?: number;
    interruptions?: number;
    plannedInterruptions?: number;
    ettr?: number;
    ettrAtLeast?: number;
    mttfHours?: number;
  };
  provenance: "verified" | "recalled";
  notes: string;
  source: string;
  date: string;
}

/** Causes of the 419 unexpected interruptions of Llama 3 405B in 54 days; counts add up to 419. */
const llama3Counts: readonly [name: string, count: number, category: FaultCategory, nodeLeaves: boolean][] = [
  ["faulty device", 148, "instability", true],
  ["device memory (HBM3)", 72, "memory", true],
  ["software bug", 54, "software-kit", false],
  ["network switch or cable", 35, "interconnect", false],
  ["unplanned host maintenance", 32, "instability", true],
  ["device SRAM", 19, "memory", true],
  ["device system processor", 17, "instability", true],
  ["network card", 7, "interconnect", true],
  ["collective watchdog timeout", 7, "interconnect", false],
  ["silent data corruption", 6, "numerics", true],
  ["thermal interface or sensor", 6, "instability", true],
  ["solid-state disk", 3, "storage", true],
  ["power supply", 3, "instability", true],
  ["server chassis", 2, "instability", true],
  ["I/O expansion board", 2, "instability", true],
  ["dependency", 2, "software-kit", false],
  ["host processor", 2, "instability", true],
  ["host memory", 2, "memory", true],
];
const llama3Total = llama3Counts.reduce((sum, [, count]) => sum + count, 0);

/** The best published breakdown by cause (The Llama 3 Herd of Models, arXiv:2407.21783, table 5); whether a node leaves is our reading. */
export const publishedCauses: readonly FailureCause[] = llama3Counts.map(([name, count, category, nodeLeaves]) => ({
  name,
  share: count / llama3Total,
  category,
  nodeLeaves,
}));

const rscSource = "Revisiting Reliability in Large-Scale ML Research Clusters, HPCA 2025, arXiv:2410.21680";

export const reliabilityRecords: readonly ReliabilityRecord[] = [
  {
    id: "llama-3-h100",
    system: "Llama 3 405B pre-training, 54 days",
    accelerator: "h100-sxm",
    devices: 16384,
    devicesPerNode: 8,
    failuresPerNodeDay: 419 / (2048 * 54),
    faults: 419,
    nodeDays: 2048 * 54,
    // At most 4 GB a device over 2 TB/s of sustained storage; at least a 5.7 TB state (14 B/parameter) over 2 TB/s.
    checkpointSeconds: [3, 33],
    published: { days: 54, interruptions: 419, plannedInterruptions: 47, ettrAtLeast: 0.9, mttfHours: 3.093 },
    provenance: "verified",
    notes: "419 unexpected of 466 interruptions, three of which needed a person; effective training time above 90 %.",
    source: "The Llama 3 Herd of Models, arXiv:2407.21783, section 3.3.4 and table 5",
    date: "2024-07-31",
  },
  {
    id: "rsc-1-a100",
    system: "RSC-1 research cluster, 11 months",
    accelerator: "a100-80-sxm",
    devices: 16384,
    devicesPerNode: 8,
    failuresPerNodeDay: 6.5e-3,
    published: { ettr: 0.9, mttfHours: 1.8 },
    provenance: "verified",
    notes: "Infrastructure failures of large jobs. MTTF at 16,384 devices is the paper's own projection.",
    source: rscSource,
    date: "2024-10-29",
  },
  {
    id: "rsc-2-a100",
    system: "RSC-2 research cluster, 11 months",
    accelerator: "a100-80-sxm",
    devices: 8192,
    devicesPerNode: 8,
    failuresPerNodeDay: 2.34e-3,
    published: {},
    provenance: "verified",
    notes: "Infrastructure failures of large jobs.",
    source: rscSource,
    date: "2024-10-29",
  },
  {
    id: "opt-175b-a100",
    system: "OPT-175B, 56 calendar days",
    accelerator: "a100-80-sxm",
    devices: 992,
    devicesPerNode: 8,
    // About two machines a day among 124.
    failuresPerNodeDay: 112 / (124 * 56),
    faults: 112,
    nodeDays: 124 * 56,
    spareNodes: 12,
    published: { days: 56, interruptions: 90, ettr: 33 / 56 },
    provenance: "verified",
    notes: "33 ideal days took 56: includes loss divergences and a deleted cluster, which no fault rate explains.",
    source: "facebookresearch/metaseq projects/OPT/chronicles (final, 27 % and 56 % updates)",
    date: "2022-01-06",
  },
  {
    id: "bloom-176b-a100",
    system: "BLOOM-176B on Jean Zay",
    accelerator: "a100-80-sxm",
    devices: 384,
    devicesPerNode: 8,
    failuresPerNodeDay: 1 / (7 * 48),
    checkpointSeconds: [40, 40],
    checkpointIntervalSeconds: 100 * 105,
    spareNodes: 4,
    published: { mttfHours: 168 },
    provenance: "verified",
    notes:
      "About one device failure a week; at most three hours of work lost, 7.3 in the first crash. No count of days was kept.",
    source: "bigscience-workshop/bigscience train/tr11-176B-ml/chronicles.md",
    date: "2022-07-11",
  },
  {
    id: "glm-130b-a100",
    system: "GLM-130B, 54 days",
    accelerator: "a100-40-sxm",
    devices: 768,
    devicesPerNode: 8,
    failuresPerNodeDay: 11 / (96 * 54),
    faults: 11,
    nodeDays: 96 * 54,
    restartSeconds: [60, 60],
    checkpointIntervalSeconds: 100 * 88.5,
    published: { days: 54, interruptions: 11 },
    provenance: "verified",
    notes: "Hardware entries of the public log counted by hand; restart is the checkpoint load alone.",
    source: "THUDM/GLM-130B logs/main-log-en.md",
    date: "2022-06-29",
  },
  {
    id: "c4-h800",
    system: "Alibaba C4, one 4,096-device job, one month",
    accelerator: "h800-sxm",
    devices: 4096,
    devicesPerNode: 8,
    failuresPerNodeDay: 40 / (512 * 30),
    faults: 40,
    nodeDays: 512 * 30,
    published: { days: 30, interruptions: 40 },
    provenance: "recalled",
    notes: "The accelerator is A100 or H800; medium confidence.",
    source: "C4, arXiv:2406.04594, table 1",
    date: "2024-06-07",
  },
  {
    id: "megascale-a100",
    system: "MegaScale production run, several weeks",
    accelerator: "a100-80-sxm",
    devices: 10000,
    devicesPerNode: 8,
    // More than 100 restarts in "several weeks"; read as 100 in 28 days, so it only bounds the rate.
    failuresPerNodeDay: 100 / (1250 * 28),
    excludedFromPrior: "the source gives neither days nor an exact count",
    detectSeconds: [0, 600],
    restartSeconds: [0, 900],
    published: { ettrAtLeast: 0.9 },
    provenance: "verified",
    notes: "Detection and diagnosis under 10 minutes, catch-up under 15, effective training time above 90 %.",
    source: "MegaScale, NSDI 2024, arXiv:2402.15627, section 6.3",
    date: "2024-02-23",
  },
  {
    id: "ascend-vendor-claim",
    system: "Ascend 10,000-card cluster, vendor's statement",
    accelerator: "ascend-910c",
    devices: 10000,
    devicesPerNode: 8,
    failuresPerNodeDay: 1 / 1250,
    excludedFromPrior: "a vendor's bound (hardware MTBF above 24 h), not a count",
    restartSeconds: [180, 600],
    published: { ettr: 0.98, mttfHours: 24 },
    provenance: "verified",
    notes:
      "MTBF above 24 h and recovery under 10 minutes (process rescheduling under 3); 98 % availability claimed for training.",
    source: "Huawei statements of 2025-06-10, reported by Leiphone, QbitAI and Yicai",
    date: "2025-06-10",
  },
];
