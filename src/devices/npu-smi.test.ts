/**
 * What npu-smi prints: tables of versions 23.0.5, 24.1.rc1 and 25.2.0 and details as public pages of MindCluster, vLLM-Ascend and
 * gpustack show them, with other figures.
 */
import { expect, test } from "vitest";
import { npuQuery, parseDetail, parseTable } from "./npu-smi.ts";

const table = (health = "OK"): string => `
+------------------------------------------------------------------------------------------------+
| npu-smi 24.1.rc1                 Version: 24.1.rc1                                             |
+---------------------------+---------------+----------------------------------------------------+
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip                      | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
+===========================+===============+====================================================+
| 0     910B3               | OK            | 101.8       43                0    / 0             |
| 0                         | 0000:C1:00.0  | 97          0    / 0          33180/ 65536         |
+===========================+===============+====================================================+
| 5     910B3               | ${health.padEnd(14)}| 92.0        39                0    / 0             |
| 0                         | 0000:C2:00.0  | 0           0    / 0          3314 / 65536         |
+===========================+===============+====================================================+
+---------------------------+---------------+----------------------------------------------------+
| NPU     Chip              | Process id    | Process name             | Process memory(MB)      |
+===========================+===============+====================================================+
| 0       0                 | 1712733       | python                   | 32000                   |
| No running processes found in NPU 5                                                            |
+===========================+===============+====================================================+
`;

test("chips in the order of the table; the table of processes is none", () => {
  const rows = parseTable(table());
  expect(rows).toMatchObject([
    {
      index: 0,
      npu: 0,
      model: "910B3",
      busId: "0000:c1:00.0",
      watts: 101.8,
      celsius: 43,
      utilization: 0.97,
      complaint: undefined,
    },
    { index: 1, npu: 5, busId: "0000:c2:00.0", watts: 92, celsius: 39, utilization: 0 },
  ]);
  expect(rows[0]?.memoryUsedBytes).toBe(33180 * 2 ** 20);
  expect(rows).toHaveLength(2);
});

test.each([
  ["Warning", "Health Warning", false],
  ["Alarm", "Health Alarm", false],
  ["Critical", "Health Critical", false],
  ["UNKNOWN", undefined, false],
  ["Offline", undefined, true],
])("health %s", (health, complaint, isLost) =>
  expect(parseTable(table(health))[1]).toMatchObject({ complaint, isLost }),
);

test("two chips of one card, with a Phy-ID column, and a table without HBM", () => {
  const training = `
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip  Phy-ID              | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
| 0     Ascend910           | OK            | 162.2       36                0    / 0             |
| 0     0                   | 0000:9D:00.0  | 0           0    / 0          3113 / 65536         |
| 0     Ascend910           | OK            | -           37                0    / 0             |
| 1     1                   | 0000:9F:00.0  | 0           0    / 0          2859 / 65536         |`;
  expect(parseTable(training).map(({ index, npu, busId, watts }) => [index, npu, busId, watts])).toEqual([
    [0, 0, "0000:9d:00.0", 162.2],
    [1, 0, "0000:9f:00.0", undefined],
  ]);
  const small = `
| NPU     Name                  | Health          | Power(W)     Temp(C)           Hugepages-Usage(page) |
| Chip    Device                | Bus-Id          | AICore(%)    Memory-Usage(MB)                        |
| 0       310B1                 | OK              | 10.4          66                15    / 15           |
| 0       0                     | NA              | 0            957   / 10810                           |`;
  expect(parseTable(small)).toMatchObject([{ index: 0, celsius: 66, busId: undefined, memoryBytes: 10810 * 2 ** 20 }]);
});

const [row] = parseTable(table());

test("ecc: double-bit errors of all memories, both ways of writing them", () => {
  if (row === undefined) throw new Error("no row");
  const long = `
	NPU ID                                   : 1
	Chip Count                               : 1

	DDR Single Bit Error Count               : 7
	DDR Double Bit Error Count               : 0
	HBM Single Bit Error Count               : 9
	HBM Double Bit Error Count               : 2
	HBM Double Bit Aggregate Total Err Cnt   : 30
	HBM Double Bit Isolated Pages Count      : 30
	Chip ID                                  : 0`;
  expect(parseDetail("ecc", long, row)).toEqual({ uncorrectable: 2 });
  const short =
    "        Single-bit Error Count                   : 4\n        Double-bit Error Count                   : 1\n";
  expect(parseDetail("ecc", short, row)).toEqual({ uncorrectable: 1 });
  expect(parseDetail("ecc", "This device does not support querying ecc.\n", row)).toEqual({});
});

test("health with its codes; clocks of a busy chip; memory's temperature", () => {
  if (row === undefined) throw new Error("no row");
  expect(parseDetail("health", " Health Status : OK\n Error Code : NA\n Error Information : NA\n", row)).toEqual({});
  expect(
    parseDetail(
      "health",
      " Health Status : Alarm\n Error Code : 80E01801\n Error Information : hbm ecc multi-bit\n",
      row,
    ),
  ).toEqual({ complaint: "Health Alarm, 80E01801, hbm ecc multi-bit" });
  const common = (usage: number, now: number): string =>
    `NPU ID : 0\nChip ID : 0\nAicore Usage Rate(%) : ${usage}\nAicore Freq(MHZ) : 1800\nAicore curFreq(MHZ) : ${now}\nTemperature(C) : 66\n\nChip Name : mcu\nTemperature(C) : 40\n`;
  expect(parseDetail("common", common(99, 900), row)).toEqual({ clockShare: 0.5 });
  expect(parseDetail("common", common(0, 100), { ...row, utilization: 0 })).toEqual({});
  expect(parseDetail("memory", "HBM Capacity(MB) : 65536\nHBM Temperature(C) : 97\n", row)).toEqual({
    memoryCelsius: 97,
  });
  expect(npuQuery("ecc", 5)).toEqual(["info", "-t", "ecc", "-i", "5"]);
});

test("garbage is no chip", () => {
  for (const text of ["", "|", "| 0 | OK | 1 |", "dcmi module initialize failed. ret is -8005", "| x |".repeat(1000)]) {
    expect(parseTable(text)).toEqual([]);
  }
});
