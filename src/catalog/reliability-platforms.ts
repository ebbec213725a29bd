/**
 * How many published large training runs each platform has carried to their end.
 * Knows: counts with their sources. Does not know: any pool's own runs, failure rates.
 *
 * Only finished runs get published, so abandoned ones are under-counted; a run that only its vendor reports counts half.
 */
import type { Platform } from "../spec/vocabulary.ts";

export interface PlatformRuns {
  completed: number;
  abandoned: number;
  source: string;
  date: string;
}

export const platformRuns: Record<Platform, PlatformRuns> = {
  nvidia: {
    completed: 7,
    abandoned: 0,
    source:
      "Llama 3 405B (arXiv:2407.21783), OPT-175B (metaseq chronicles), BLOOM-176B (bigscience chronicles), GLM-130B (its log), MegaScale (arXiv:2402.15627), ByteRobust (arXiv:2509.16293), DeepSeek-V3 (arXiv:2412.19437)",
    date: "2025-09-20",
  },
  ascend: {
    // Pangu Ultra 135B and Pangu Ultra MoE 718B, both reported by the chips' vendor.
    completed: 1,
    abandoned: 0,
    source: "Huawei statements of 2025-06-10 on Pangu Ultra 135B and Pangu Ultra MoE 718B",
    date: "2025-06-10",
  },
  cpu: { completed: 0, abandoned: 0, source: "no published run of this size", date: "2026-11-24" },
};
