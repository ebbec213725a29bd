/**
 * The words of a diagnosis: the cause, whose it is, what to do now, and the lines that say so.
 * Knows: findings. Does not know: logs, terminals.
 */

import type { DiagnosedLogs } from "../../diagnosis/diagnose.ts";
import type { Finding } from "../../diagnosis/diagnosis.ts";
import type { FaultAction } from "../../spec/vocabulary.ts";
import { hanging, type Line, line } from "./layout.ts";

const advice: Readonly<Record<FaultAction, string>> = {
  none: "nothing",
  retry: "try the same operation again; it may well succeed",
  restart: "restart the job from its last complete checkpoint on the same nodes; if it comes back, evict the node",
  "evict-node":
    "take the node out of the pool, restart on the others from the last complete checkpoint, and have it tested",
  "fail-over": "run this on the other vendor's pool, or change the toolkit: a restart here fails in the same way",
  "fix-job": "change the job before starting it again: as it stands, a restart fails in the same way",
  "free-space": "free space or raise the quota, then restart from the last complete checkpoint",
};

const vendors = { nvidia: "NVIDIA", ascend: "Huawei Ascend", cpu: "the host", unknown: "the vendor" } as const;

/** Whose area the fault lies in. */
export function whose({ category, platform, action }: Finding): string {
  switch (category) {
    case "instability":
      return `the vendor's hardware or the node (${vendors[platform]})`;
    case "software-kit":
      return `the vendor's toolkit or its installation (${vendors[platform]})`;
    case "interconnect":
      return `the network (${vendors[platform]} links, switches or what connects the ranks)`;
    case "memory":
      return action === "fix-job"
        ? "the user's code: it needs more memory than there is"
        : `the vendor's hardware (${vendors[platform]} memory)`;
    case "numerics":
      return action === "evict-node"
        ? `the vendor's hardware (${vendors[platform]})`
        : "the numbers: user's code, data, or a device that computes wrongly";
    case "workload":
      return "the user's code, data or configuration";
    case "storage":
      return "the storage";
    case "preemption":
      return "the cluster's scheduler";
    default:
      return category satisfies never;
  }
}

const shownFindings = 8;

export function diagnosisLines(diagnosis: DiagnosedLogs): Line[] {
  const { rootCause, findings } = diagnosis;
  const read = `read ${count(diagnosis.filesRead, "file")}, ${count(diagnosis.linesRead, "line")}`;
  if (rootCause === null) {
    const seen = findings.length === 0 ? "" : `; ${count(findings.length, "harmless finding")}`;
    return [
      line(`no fault: nothing in the logs ended the last attempt${seen}`, "good"),
      ...others(findings),
      line(read, "quiet"),
    ];
  }
  return [
    ...hanging("cause     ", `${rootCause.code}: ${rootCause.why}`, "bad"),
    ...hanging("whose     ", `${whose(rootCause)}; category ${rootCause.category}`),
    ...hanging("do now    ", `${rootCause.action}: ${advice[rootCause.action]}`),
    ...rootCause.evidence.flatMap((one, index) =>
      hanging(index === 0 ? "evidence  " : "          ", `${one.file}:${one.line}: ${one.text}`),
    ),
    ...others(findings.slice(1)),
    line(read, "quiet"),
  ];
}

function others(findings: readonly Finding[]): Line[] {
  const rows = findings.slice(0, shownFindings).flatMap((finding, index) => {
    const where = finding.evidence[0];
    const place = where === undefined ? "" : ` (${where.file}:${where.line})`;
    return hanging(index === 0 ? "also      " : "          ", `${finding.code}: ${finding.why}${place}`, "quiet");
  });
  const more = findings.length - shownFindings;
  return more > 0 ? [...rows, line(`          and ${more} more; --json lists them`, "quiet")] : rows;
}

const count = (n: number, noun: string): string => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
