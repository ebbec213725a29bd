/**
 * Makes the checkout ready to run: installs dependencies when they differ from the lock, builds when sources changed.
 * Runs before `npm start`, `npm test` and `npm run bench`, so it must not depend on anything that it installs.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, lstatSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  fail(`Node ${process.versions.node} is too old; dualgauge needs Node 20.19 or newer`);
}

const lock = hash([join(root, "package-lock.json")]);
const modules = join(root, "node_modules");
const lockStamp = join(modules, ".dualgauge-lock");
if (read(lockStamp) !== lock) {
  // npm ci empties the folder that it is given: through a link it would empty the one of another checkout.
  if (lstatSync(modules, { throwIfNoEntry: false })?.isSymbolicLink()) {
    fail("node_modules is a link to packages of another lock; run npm ci where it points, or remove the link");
  }
  say("installing dependencies (npm ci) …");
  run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
  writeFileSync(lockStamp, lock);
}

const sources = hash([join(root, "tsconfig.json"), join(root, "tsconfig.build.json"), ...walk(join(root, "src"))]);
const buildStamp = join(root, "dist", ".sources");
if (read(buildStamp) !== sources) {
  say("building …");
  rmSync(join(root, "dist"), { recursive: true, force: true });
  run(process.execPath, [join(root, "node_modules", "typescript", "bin", "tsc"), "-p", "tsconfig.build.json"]);
  writeFileSync(buildStamp, sources);
}

function hash(files) {
  const sha = createHash("sha256");
  for (const file of files) sha.update(file.slice(root.length)).update("\0").update(readFileSync(file)).update("\0");
  return sha.digest("hex");
}

function walk(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

function read(file) {
  return existsSync(file) ? readFileSync(file, "utf8") : undefined;
}

function run(command, args) {
  // stdout belongs to the command that follows (it may be JSON), so everything set-up prints goes to stderr.
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ["ignore", 2, 2] });
  if (status !== 0) fail(`${command} ${args.join(" ")} failed${error ? `: ${error.message}` : ""}`);
}

function say(line) {
  process.stderr.write(`dualgauge set-up: ${line}\n`);
}

function fail(line) {
  say(line);
  process.exit(2);
}
