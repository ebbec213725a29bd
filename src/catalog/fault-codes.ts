/**
 * What a whole family of error codes means, where no single rule lists the code: CANN's and AscendCL's errors, and NVIDIA's Xids.
 * Knows: the vendors' published lists, sorted by what helps. Does not know: lines, files, which of several codes is the cause.
 *
 * CANN: the error lists of the runtime, the graph engine and HCCL (github.com/hicann/runtime src/dfx/error_manager/error_code.json
 * @681ef7610, hicann/ge base/common/error_registry @ffdcbc9f7, hccl's own), sorted by their titles. AscendCL: rt_error_codes.h and the
 * documentation of return codes (1: the caller's, 2: resources, 3: business, 5: internal). Xids: NVIDIA's catalogue
 * (docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html, as of 2025-10) sorted by its immediate resolution.
 */
import type { FaultRule } from "./fault-rule.ts";

type Kind = Pick<FaultRule, "layer" | "category" | "action" | "says"> & Partial<Pick<FaultRule, "severity">>;

const cannKinds: Readonly<Record<keyof typeof cannCodes, Kind>> = {
  device: kind("hardware", "instability", "evict-node", "the NPU is not there or does not answer"),
  memory: kind("program", "memory", "fix-job", "memory that the toolkit asked for could not be had"),
  disk: kind("host", "storage", "free-space", "the disk has no room left for what the toolkit writes"),
  link: kind("link", "interconnect", "evict-node", "the network port or the direct link of an NPU does not work"),
  installation: kind(
    "program",
    "software-kit",
    "fix-job",
    "a part of the toolkit is missing, damaged or of another version",
  ),
  argument: kind(
    "program",
    "workload",
    "fix-job",
    "the toolkit was given an argument, setting or model that it refuses",
  ),
  unsupported: kind(
    "program",
    "software-kit",
    "fail-over",
    "the toolkit cannot compile the operator or does not support it here",
  ),
  call: kind("exit", "software-kit", "restart", "the runtime of the NPU was called in a way that it refuses"),
  busy: kind("program", "software-kit", "restart", "what the toolkit needs is still held, as by an earlier process"),
  resources: kind(
    "program",
    "software-kit",
    "fix-job",
    "the NPU has no more streams, events or other resources to give",
  ),
  transport: kind("transport", "interconnect", "restart", "a transfer between NPUs failed"),
  execution: kind("runtime", "instability", "restart", "a task failed while the NPU executed it"),
  inner: kind("exit", "software-kit", "restart", "the toolkit failed inside; the lines around it say where"),
  peer: kind("collective", "interconnect", "restart", "a peer did not come in time"),
};

const cannCodes = {
  device: "E30005 E39002 E39009 EL0001",
  memory: "EE1013 EH0010 EI0007 EI0011 EK0201-0202 EL0004",
  disk: "EK0204",
  link: "EI0010 EJ0002",
  installation: "E10063 E30004 E30006 E30009 E40002 E40020 E40024 EC0010 EE1015 EI0008",
  argument:
    "E10001-0014 E10016-0027 E10029-0032 E10034-0041 E10045-0052 E10054 E10056-0062 E10401-0406 E10410 E11001 " +
    "E11003-1005 E11008 E11012 E11014-1018 E11021-1024 E11027 E11029 E11032-1033 E11035-1037 E12004 E12009 " +
    "E12013 E12029 E13000-3006 E13009 E13014-3015 E13018 E13023-3026 E13031 E14001-4002 E16001-6002 " +
    "E16004-6005 E20002-0003 E20101 E20103 E21001-1002 E39001 E40001 E40003 E40022-0023 E50000 E50012 " +
    "E50029-0031 E50036 E50038-0048 E50053-0054 E50057-0060 E60000-0002 E60007 E60009-0010 E60012-0019 " +
    "E60024-0025 E60029 E60033 E60038 E60040 E60102 E60107 E61000 E61600 E62004-2005 E62501 E62503-2508 " +
    "E64005-4006 E65007 E68002 E68051 E68073 E70001 E70012 E70014 E80001 EE1003-1004 EE1011-1012 EE1014 " +
    "EE1017 EE1020 EE1022 EE2002 EF2001-2002 EF2004 EF2006-2007 EH0001-0005 EH0007-0009 EH0012-0014 EI0001 " +
    "EI0003-0005 EI0014 EI0016-0017 EJ0004 EK0001-0003 EK0006-0007 EL0002 EO0001-0004 EP0001-0008 EZ0001-0007",
  unsupported:
    "E10055 E10501 E11009 E13010 E13028-3030 E20001 E20007 E22001 E40021 E50001-0004 E50009 E50032-0035 " +
    "E50037 E50049-0052 E50055-0056 E60003-0006 E60008 E60011 E60020-0023 E60026-0028 E60030-0032 E60034-0035 " +
    "E60037 E60039 E60101 E60103-0106 E60109-0119 E61001 E61203-1205 E61300-1301 E61500-1501 E61601-1603 " +
    "E62001-2003 E62006 E62301-2306 E62502 E62509-2511 E64001-4004 E64007-4010 E65001-5006 E65008-5009 " +
    "E68000-8001 E68003-8017 E68050 E68052-8072 E68075-8089 E70002-0011 E70013 E70015-0018 E76002 E90000-0003 " +
    "EA0000 EB0000 EB0500 EB1000 EB3000 EB4000 EB9000 EE1005-1006 EE1016 EF2003 EF2005 EF2008 EH0006 EH0011 " +
    "EK0004-0005 EL0014 EM9001-9002 EZ0501 EZ1001 EZ3002-3003 EZ9010",
  call: "EE1001 EE1010 EE1018 EL0003 EL0015",
  busy: "EJ0001 EJ0003 EL0005",
  resources: "E30003 E30007 EE1007 EE1021 EE1023 EK0203 EL0006-0013",
  transport: "EI0009 EI0012-0013",
  execution: "E30008 E39004-9008 E39010-9011 E39999 EE1002 EE1009 EE1019 EZ2001 EZ9903",
  inner: "E19999 E29999 E49999 E60108 E68074 E89999 E99999 EE4001-4002 EE4004 EK9999 EO9999 EP9999 EZ9999",
  peer: "E13027 EI0002 EI0006 EI0015",
};

const aclKinds: readonly (readonly [codes: string, Kind])[] = [
  [
    "507053-507055",
    kind("hardware", "memory", "evict-node", "memory of the NPU has an error that cannot be corrected"),
  ],
  ["507056", kind("link", "interconnect", "evict-node", "a link of the NPU failed")],
  ["574006-574009", kind("hardware", "instability", "evict-node", "the NPU failed a test under load")],
  ["507010 507033 507901", kind("hardware", "instability", "evict-node", "the NPU does not answer")],
  ["207001 207005 207018 200000 300000", kind("program", "memory", "fix-job", "the NPU has no memory left")],
  ["207003 207016 207017", kind("runtime", "numerics", "restart", "a number left its range on the NPU")],
  [
    "207000 207019 200006 200007 107030",
    kind("program", "software-kit", "fail-over", "the NPU or its toolkit does not have the feature"),
  ],
  [
    "207006-207015 107018 507002 507032",
    kind("runtime", "software-kit", "fix-job", "the NPU has no more streams, events or other resources to give"),
  ],
  ["107001 207004", kind("program", "workload", "fix-job", "there is no NPU of that number")],
  [
    "107019-107020 507012 507014 507017 507034 507046-507048",
    kind("collective", "instability", "restart", "a task did not end before its deadline"),
  ],
  [
    "107022-107023 107035",
    kind("echo", "instability", "restart", "tasks of the NPU were called off because of another failure"),
  ],
  ["507057 507904", kind("peer", "interconnect", "restart", "a collective failed because of a peer")],
];

/** By the thousands of a code that no list names: the first digit says whose error it is. */
const aclDefaults: Readonly<Record<string, Kind>> = {
  "100": kind("runtime", "software-kit", "fix-job", "AscendCL was called in a way that it refuses"),
  "107": kind("runtime", "software-kit", "fix-job", "the runtime of the NPU was called in a way that it refuses"),
  "145": kind("runtime", "software-kit", "fix-job", "the graph engine was called in a way that it refuses"),
  "148": kind("runtime", "software-kit", "fix-job", "the profiler was called in a way that it refuses"),
  "161": kind("program", "software-kit", "fail-over", "an operator refuses its arguments"),
  "200": kind("runtime", "software-kit", "fix-job", "AscendCL could not get what it needs"),
  "207": kind("runtime", "software-kit", "fix-job", "the runtime of the NPU could not get what it needs"),
  "361": kind("runtime", "instability", "restart", "an operator's call into the runtime failed"),
  "500": kind("exit", "software-kit", "restart", "CANN failed inside; the lines around it say where"),
  "507": kind("runtime", "instability", "restart", "the runtime of the NPU failed inside"),
  "545": kind("exit", "software-kit", "restart", "the graph engine failed inside"),
  "561": kind("program", "software-kit", "fail-over", "an operator has no kernel or no tiling for these arguments"),
};

const xidKinds: readonly (readonly [codes: string, Kind])[] = [
  [
    "1-7 9-10 12 24 30 40-41 60 68 70-72 75-77 82-86 88-89 96-105 126-135 139 142 22 27-29 33-36 42 47 65 73 138",
    kind("runtime", "instability", "restart", "an engine of the GPU raised an exception"),
  ],
  ["57-58 90 175", kind("hardware", "memory", "evict-node", "the memory of the GPU failed")],
  ["108 166 170", kind("link", "interconnect", "evict-node", "NVLink refused or lost an access")],
  ["176", kind("link", "interconnect", "evict-node", "PCIe of the GPU corrected far too many errors", "degraded")],
  [
    "26 49-53 55 59 87 91 111",
    kind("hardware", "instability", "evict-node", "a unit of the GPU reported a failure", "degraded"),
  ],
  [
    "14-21 23 56 67 81 93 106-107 112-118 162-165 174",
    kind("exit", "instability", "none", "the GPU's driver reported something that stops no work", "notice"),
  ],
];
/** Numbers that NVIDIA gives out later: the driver speaks up about the GPU, and a failure may follow. */
const unlistedXid = kind(
  "runtime",
  "instability",
  "evict-node",
  "the GPU's driver reported an error that no list names",
);

/** CANN's code, such as `EI0005` or `E40021`; undefined where the family is not CANN's. */
export function cannRule(code: string): FaultRule | undefined {
  cannByCode ??= byCode(
    Object.keys(cannCodes)
      .filter(isCannKind)
      .map((name) => [cannCodes[name], cannKinds[name]]),
  );
  const found =
    cannByCode.get(code) ??
    (/^E[1-9]/.test(code) ? cannKinds[code[1] === "3" ? "execution" : "unsupported"] : undefined);
  return found && rule("ascend", "cann-code", code, code, found);
}

/** A return code of AscendCL, such as `507053`. */
export function aclRule(code: string): FaultRule | undefined {
  aclByCode ??= byCode(aclKinds);
  const found = aclByCode.get(code) ?? aclDefaults[code.slice(0, 3)];
  return found && rule("ascend", "acl-return", code, code, found);
}

/** An Xid, such as `149`. */
export function xidRule(code: string): FaultRule {
  xidByCode ??= byCode(xidKinds);
  return rule("nvidia", "xid", code, `Xid ${code}`, xidByCode.get(code) ?? unlistedXid);
}

/** Every code of CANN's lists, to look for. */
export const listedCannCodes = (): string[] => Object.values(cannCodes).flatMap((codes) => [...expand(codes)]);

let cannByCode: ReadonlyMap<string, Kind> | undefined;
let aclByCode: ReadonlyMap<string, Kind> | undefined;
let xidByCode: ReadonlyMap<string, Kind> | undefined;

function kind(
  layer: FaultRule["layer"],
  category: FaultRule["category"],
  action: FaultRule["action"],
  says: string,
  severity: FaultRule["severity"] = "fatal",
): Kind {
  return { layer, category, action, says, severity };
}

const isCannKind = (name: string): name is keyof typeof cannCodes => name in cannCodes;

function byCode(lists: readonly (readonly [codes: string, Kind])[]): ReadonlyMap<string, Kind> {
  return new Map(lists.flatMap(([codes, what]) => [...expand(codes)].map((code): [string, Kind] => [code, what])));
}

/** `E10001-0014 E10016` names fifteen codes; what stands before the digits that run is said once. */
function* expand(codes: string): Generator<string> {
  for (const part of codes.split(" ")) {
    const [first = "", last] = part.split("-");
    if (last === undefined) yield first;
    else {
      const head = first.slice(0, first.length - last.length);
      for (let n = Number(first.slice(head.length)); n <= Number(last); n++)
        yield head + String(n).padStart(/^0/.test(first.slice(head.length)) ? last.length : 1, "0");
    }
  }
}

const rule = (
  platform: FaultRule["platform"],
  family: FaultRule["family"],
  value: string,
  code: string,
  what: Kind,
): FaultRule => ({
  ...{ id: `${family} ${value}`, code, platform, family, value, severity: "fatal" },
  ...what,
  source: "src/catalog/fault-codes.ts",
});
