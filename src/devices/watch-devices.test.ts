/** Both tools as executables on PATH that answer, hang, print garbage, print without end, and lose a device. They are fakes: shell scripts. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { DeviceFinding } from "./device-findings.ts";
import { telemetryTools } from "./telemetry-tools.ts";
import { watchDevices } from "./watch-devices.ts";

const path = process.env.PATH ?? "";
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "dualgauge-devices-"));
  process.env.PATH = `${folder}:${path}`;
  // No kernel log of this machine's own.
  fake("dmesg", "exit 1");
});
afterEach(() => {
  process.env.PATH = path;
  rmSync(folder, { recursive: true, force: true });
});

function fake(tool: string, script: string): void {
  writeFileSync(join(folder, tool), `#!/bin/sh\ncd ${folder}\n${script}\n`);
  chmodSync(join(folder, tool), 0o755);
}

const gpu = (index: number, { ecc = 0, reasons = "0x0" } = {}): string =>
  `${index}, 00000000:${index}0:00.0, NVIDIA H100 80GB HBM3, 41, 48, 112.34, 97, 65432, 81559, ${ecc}, [N/A], ${reasons}`;

/** What is found in as many looks, one right after the other. */
async function looks(
  times: number,
  limits: { seconds?: number; bytes?: number } = {},
  between?: (look: number) => void,
) {
  const found: DeviceFinding[] = [];
  const watch = watchDevices({ seconds: 3600, limits, onFinding: (finding) => found.push(finding) });
  try {
    // The first look is under way; each call asks for one after it.
    for (let look = 1; look <= times; look++) {
      between?.(look);
      await watch.lookNow();
    }
  } finally {
    watch.close();
  }
  return found.map(({ device, code, says }) => [
    device === undefined ? null : `${device.platform} ${device.index}`,
    code,
    says,
  ]);
}

test("without a tool nothing is said and nothing is asked again", async () => {
  process.env.PATH = folder;
  expect(telemetryTools()).toEqual([]);
  expect(await looks(2)).toEqual([]);
});

test("nvidia-smi of an old driver, errors that come while it runs, a row without a spare, an Xid of now", async () => {
  fake(
    "nvidia-smi",
    `case "$1" in
*clocks_event_reasons*) echo 'Field "clocks_event_reasons.active" is not a valid field to query.'; exit 2 ;;
--query-gpu*) cat devices ;;
--query-remapped-rows*) echo "00000000:10:00.0, No, Yes" ;;
esac`,
  );
  fake("dmesg", "cat kernel");
  const put = (ecc: number, kernel: string): void => {
    writeFileSync(join(folder, "devices"), `${gpu(0)}\n${gpu(1, { ecc })}\n`);
    writeFileSync(join(folder, "kernel"), kernel);
  };
  const old = "[5.000000] NVRM: Xid (PCI:0000:10:00): 31, pid=1, name=python, MMU Fault\n";
  const xid = "[9.500000] NVRM: Xid (PCI:0000:10:00): 48, pid=1, name=python, DBE (double bit error) ECC Error\n";
  put(0, old);
  expect(telemetryTools()).toEqual(["nvidia-smi"]);
  const found = await looks(3, {}, (look) => {
    if (look === 2) put(2, old + xid);
  });
  expect(found.filter(([, code]) => code !== "remap-failed")).toEqual([
    ["nvidia 1", "xid", xid.trim().slice(xid.indexOf("NVRM"))],
    ["nvidia 1", "uncorrectable-memory", "2 uncorrectable memory errors, 2 of them since the last look"],
  ]);
  expect(found.filter(([, code]) => code === "remap-failed").map(([device]) => device)).toContain("nvidia 1");
});

test("a device is lost: the sentence, and the exit code alone", async () => {
  fake("nvidia-smi", "cat devices; cat code >/dev/null 2>&1 && exit 15; exit 0");
  writeFileSync(join(folder, "devices"), `${gpu(0)}\n${gpu(1)}\n`);
  const found = await looks(3, {}, (look) => {
    if (look === 2) {
      const text =
        "Unable to determine the device handle for GPU 0000:10:00.0: GPU is lost.  Reboot the system to recover this GPU";
      writeFileSync(join(folder, "devices"), `${text}\n`);
    }
    if (look === 3) {
      writeFileSync(join(folder, "devices"), "");
      writeFileSync(join(folder, "code"), "");
    }
  });
  expect(found).toMatchObject([
    ["nvidia 1", "lost", expect.stringContaining("GPU is lost")],
    [null, "lost", "ended with 15: a device has fallen off the bus"],
  ]);
});

test.each([
  ["hangs", "exec sleep 1000", /nvidia-smi gave no answer in 0.5 s/],
  ["ignores SIGTERM and hangs", "trap '' TERM; exec sleep 1000", /gave no answer/],
  ["prints garbage", "head -c 3000 /dev/urandom", /printed no device/],
  ["prints 1 GB", "head -c 1000000000 /dev/zero", /printed more than 65536 bytes/],
  [
    "has no driver",
    "echo NVIDIA-SMI has failed; exit 9",
    /ended with 9: the driver is not loaded: NVIDIA-SMI has failed/,
  ],
  ["dies", "kill -SEGV $$", /was ended by SIGSEGV/],
  ["prints nothing", "exit 0", /printed no device/],
])("nvidia-smi %s: unreadable, and no device is called ill", async (_, script, says) => {
  fake("nvidia-smi", script);
  const seconds = script.includes("sleep") ? 0.5 : 60;
  const found = await looks(2, { seconds, bytes: 1 << 16 });
  expect(found.length).toBeGreaterThan(0);
  expect(found[0]?.[2]).toMatch(says);
  for (const [device, code] of found) expect([device, code]).toEqual([null, "unreadable"]);
});

test("npu-smi: a chip in alarm with its code, double-bit errors that come, a clock that stays low", async () => {
  fake(
    "npu-smi",
    `case "$3 $5" in
"ecc 0") echo "HBM Double Bit Error Count : $(cat errors)" ;;
"health 1") echo " Health Status : Alarm"; echo " Error Code : 80E01801"; echo " Error Information : NA" ;;
"common 0") echo "Aicore Usage Rate(%) : 99"; echo "Aicore Freq(MHZ) : 1800"; echo "Aicore curFreq(MHZ) : 900" ;;
"health "*) echo " Health Status : OK" ;;
" ") cat table ;;
*) echo "This device does not support it."; exit 1 ;;
esac`,
  );
  const rows = [0, 1].map(
    (npu) =>
      `| ${npu}  910B3 | ${npu === 1 ? "Alarm" : "OK"} | 101.8 43 0 / 0 |\n| 0 | 0000:C${npu}:00.0 | 97 0 / 0 33180/ 65536 |`,
  );
  writeFileSync(join(folder, "table"), `${rows.join("\n")}\n`);
  writeFileSync(join(folder, "errors"), "0");
  const found = await looks(2, {}, (look) => {
    if (look === 2) writeFileSync(join(folder, "errors"), "4");
  });
  expect(found).toContainEqual(["ascend 1", "unhealthy", "Health Alarm, 80E01801"]);
  expect(found).toContainEqual([
    "ascend 0",
    "uncorrectable-memory",
    "4 uncorrectable memory errors, 4 of them since the last look",
  ]);
  expect(found).toContainEqual(["ascend 0", "slow-clock", "computes at 50 % of its rated clock: 43 °C, 101.8 W"]);
});

test("npu-smi answers with its table and then hangs: unreadable, and no chip is called ill", async () => {
  fake("npu-smi", `[ "$2" = "" ] && exec cat table; exec sleep 1000`);
  writeFileSync(
    join(folder, "table"),
    "| 0  910B3 | OK | 101.8 43 0 / 0 |\n| 0 | 0000:C0:00.0 | 97 0 / 0 33180/ 65536 |\n",
  );
  const found = await looks(2, { seconds: 0.5 });
  expect(found.length).toBeGreaterThan(0);
  for (const [device, code] of found) expect([device, code]).toEqual([null, "unreadable"]);
});
