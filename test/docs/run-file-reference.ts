/**
 * Writes docs/reference/run-file.md: keys, types, ranges and defaults from the schema, meanings from run-file-keys.
 * Knows: JSON Schema as zod writes it, Markdown. Does not know: where the text is stored.
 */
import * as z from "zod";
import { RunFile } from "../../src/spec/run-file.ts";

const Node = z.looseObject({
  type: z.string().optional(),
  const: z.unknown().optional(),
  enum: z.array(z.unknown()).optional(),
  default: z.unknown().optional(),
  anyOf: z.array(z.unknown()).optional(),
  properties: z.record(z.string(), z.unknown()).optional(),
  required: z.array(z.string()).optional(),
  items: z.unknown().optional(),
  pattern: z.string().optional(),
  minimum: z.number().optional(),
  maximum: z.number().optional(),
  exclusiveMinimum: z.number().optional(),
  exclusiveMaximum: z.number().optional(),
});
type Node = z.infer<typeof Node>;

export interface Key {
  /** Dotted, `[]` for the items of a list. */
  readonly path: string;
  readonly type: string;
  /** `required`, a value, or empty where absence has its own meaning. */
  readonly fallback: string;
}

/** All keys in the order of the schema. */
export function keys(): Key[] {
  return keysOf(Node.parse(z.toJSONSchema(RunFile, { io: "input", unrepresentable: "any" })), "");
}

function keysOf(node: Node, prefix: string): Key[] {
  return Object.entries(node.properties ?? {}).flatMap(([name, value]) => {
    const child = Node.parse(value);
    const path = prefix + name;
    const fallback = node.required?.includes(name) ? "required" : defaultOf(child);
    const items = child.items === undefined ? undefined : Node.parse(child.items);
    const below = items === undefined ? keysOf(child, `${path}.`) : keysOf(items, `${path}[].`);
    return [{ path, type: typeOf(child), fallback }, ...below];
  });
}

/** Groups and empty lists have no default worth reading. */
function defaultOf(node: Node): string {
  if (node.default === undefined || node.properties || node.items !== undefined) return "";
  return `\`${JSON.stringify(node.default)}\``;
}

function typeOf(node: Node): string {
  if (node.const !== undefined) return `\`${JSON.stringify(node.const)}\``;
  if (node.enum) return node.enum.map((value) => `\`${value}\``).join(", ");
  if (node.anyOf) return node.anyOf.map((part) => typeOf(Node.parse(part))).join(" or ");
  if (node.items !== undefined) {
    const item = Node.parse(node.items);
    return item.properties ? "list of groups" : `list of ${typeOf(item)}`;
  }
  if (node.properties) return "group";
  if (node.type === "integer" || node.type === "number") return [node.type, range(node)].filter(Boolean).join(" ");
  return node.pattern ? `string \`${node.pattern}\`` : (node.type ?? "any");
}

function range(node: Node): string {
  const max = node.maximum === Number.MAX_SAFE_INTEGER ? undefined : node.maximum;
  const parts: string[] = [];
  if (node.exclusiveMinimum !== undefined) parts.push(`> ${node.exclusiveMinimum}`);
  if (node.minimum !== undefined && node.minimum !== Number.MIN_SAFE_INTEGER) parts.push(`≥ ${node.minimum}`);
  if (node.exclusiveMaximum !== undefined) parts.push(`< ${node.exclusiveMaximum}`);
  if (max !== undefined) parts.push(`≤ ${max}`);
  return parts.join(", ");
}

/** The whole page. */
export function page(meanings: Readonly<Record<string, string>>): string {
  const groups = ["name", "model", "data", "train", "program", "pools", "failover", "port", "serve"];
  const cell = (text: string): string => text.replaceAll("|", "\\|");
  const rows = keys();
  const sections = groups.map((group) => {
    const own = rows.filter(({ path }) => path.split(/[.[]/)[0] === group);
    const body = own
      .filter(({ path }) => path !== group || own.length === 1)
      .map(
        ({ path, type, fallback }) => `| \`${path}\` | ${cell(type)} | ${fallback} | ${cell(meanings[path] ?? "")} |`,
      );
    return [
      `## ${group}`,
      "",
      ...(own.length > 1 ? [meanings[group] ?? "", ""] : []),
      "| key | type | default | meaning |",
      "|---|---|---|---|",
      ...body,
      "",
    ].join("\n");
  });
  return [
    "# run.yaml",
    "",
    "Everything that one run is. `dualgauge init` writes one, `dualgauge check run.yaml` reads it and changes nothing.",
    "An unknown key is an error that names its line and the nearest known key; so is a value out of range.",
    "",
    "<!-- by: npx vitest run test/docs -u (from the schema in src/spec/run-file.ts) -->",
    "",
    ...sections,
  ].join("\n");
}
