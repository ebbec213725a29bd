/**
 * Says whether words on a line are somebody's report of what happened, or only words: data, arguments, code, comments, advice.
 * Knows: how such lines look. Does not know: rules.
 */
import type { LogLine } from "./line.ts";

const comment = /^\s*(?:#|\/\/|\/\*|\*\s|--\s|\+{1,3}\s|>>>\s|\.\.\.\s|\$\s|%\s|<!--|;;?\s|\|\s)/;
const settings = /^\s*(?:export\s+|set\s+)?[A-Z][A-Z0-9_]{2,}=\S|^\s*[\w-]+\s*\.{4,}\s*\S|^\s*--?[a-z][\w-]*(?:[= ]|$)/;
const frame =
  /^\s+(?:File "|at \w|raise\b|return\b|assert\b|if\b|except\b|with\b|for\b|def\b|print\b|log(?:ger|ging)?\.)/;
/** A list of codes with what they mean. */
const glossary = /^\s*(?:E[A-Z]\d{4}|ERR\d{5}|\d{6}|0x[0-9a-f]{8}|S?[Xx]id \d+)\s{2,}[^\s:]/i;
/** A line of the program's text, as tracebacks quote it under the file's. */
const quotedCode =
  /^\s{3,}(?:return |raise |await |yield |self\.|[\w.]+(?:\[[^\]]*\])? ?[+*/|-]?= ?[^=]|[\w.]+\([^)]*\)?$)/;
const indented = /^(?:\s{4,}|\t)\S/;
const dataKey =
  /(?:^|[\s,{(["'])(?:input_?text|text|prompt|sample|doc|document|content|question|answer|completion|generat(?:ed|ion)(?:[ _]text)?|(?:model )?output|reply|response|caption|instruction|query|conversation|example|decoded|transcript|story|passage|title|description|help|usage|comment|docstring|note|tip|hint|input_str|tokens?|words?|corpus|dataset|train_data|eval[ _]sample|user|assistant|human|predict(?:ion|ed)|reference|ground[_ ]?truth|gold|hypothes[ie]s|observation|thought|tool[_ ]?(?:call|output|result|response)|action[_ ]input)s?["']?(?:\s*(?:\[\w*\]|#?\d+|\(\w+\)))?\s*(?::|=|->|=>)\s*/i;
const pastTalk =
  /(?:\b(?:no|not|without|never|zero|0|if|unless|when|whenever|avoids?|prevents?|for|handles?|handling|catch(?:es|ing)?|checks?|checking|against|on|about|simulat\w+|inject\w*|fake|mock\w*|called|named|word|phrase|like|see|grep|search\w*|count(?:ing|ed)? of|number of|total|past|previous|earlier|last)\s+(?:an?\s+|the\s+|any\s+|of\s+|for\s+)*)$/i;
const recovering =
  /\b(?:retrying|will retry|will be retried|retried|retry (?:\d+|attempt|in|after)|trying again|attempt \d+ ?(?:\/|of) ?\d+|recovered|succeeded|resolved|falling back|fell back|skipping|skipped|ignor(?:ed|ing)|continuing|using .{0,20}instead|using (?:the )?(?:internal|default|fallback|built-?in)\b|reconnected|reducing(?!.{0,60}\b(?:may|might|could|can) help))\b|重试|已恢复|忽略/i;
const reportKey =
  /(?:err(?:or)?|reason|msg|message|status|detail|exception|cause|failure|what)(?:_\w+)?["']?\s*[=:]\s*["']$/i;
const tests = /\b(?:PASSED|passed|XFAIL|test_\w+|ok \d+ -)\b|::test_/;

/** Whether a server is asked yet says nothing of the job's end. */
const othersProbe = /\bReadiness probe (?:failed|errored)\b/;

/** `data`: no evidence at all. `told`: evidence of something that the speaker himself survived. */
export type Evidence = "report" | "told" | "data";

/** What the words at `start`…`end` of the line's body are. `indentedIsReport`: for stacks whose reports are indented; `numbers`: lists of numbers have keys like data ("consumed samples: 12"). */
export function evidenceOf(
  line: LogLine,
  start: number,
  end: number,
  { indentedIsReport, numbers }: { indentedIsReport: boolean; numbers: boolean },
): Evidence {
  const { body, level } = line;
  if (comment.test(body) || settings.test(body) || frame.test(body) || tests.test(body)) return "data";
  if (quotedCode.test(body) || glossary.test(body) || othersProbe.test(body)) return "data";
  if (!indentedIsReport && indented.test(body)) return "data";
  const before = body.slice(0, start);
  if (
    /^\s*[{[]\s*["']/.test(before) &&
    isOpen(before) &&
    !(numbers && /^\s*\{'?"?(?:loss|train_loss|step|epoch|grad_norm)/.test(body))
  )
    return "data";
  if (!numbers && dataKey.test(before)) return "data";
  if (/^(?:\s+(?:events?|errors?|count|total|detected|seen))?\s*[:=]\s*0\s*(?:$|[,;|])/.test(body.slice(end)))
    return "data";
  if (/\/$/.test(before) && /^[\w-]*(?:\.\w{1,5}\b|\/)/.test(body.slice(end))) return "data"; // a part of a path
  if (!/["'`]/.test(body.slice(start, end).replace(/\w'\w/g, "")) && quoted(before, body.slice(end))) return "data";
  if (pastTalk.test(before) && level !== "error") return "data";
  if (!numbers && recovering.test(body)) return "told";
  return "report";
}

/** A list that ended before the words, as a launcher prints a command, does not hold them. */
const isOpen = (before: string): boolean =>
  count(before, "{") + count(before, "[") > count(before, "}") + count(before, "]");

/** Inside a pair of double, typographic or back quotes, or of single quotes that are no apostrophes; unless the key says error. */
function quoted(before: string, after: string): boolean {
  const double = before.lastIndexOf('"');
  if (double >= 0 && count(before, '"') % 2 === 1 && after.includes('"'))
    return !reportKey.test(before.slice(0, double + 1));
  if (count(before, "`") % 2 === 1 && after.includes("`")) return true;
  if (/[“「『][^”」』]*$/.test(before) && /[”」』]/.test(after)) return true;
  const single = /(?:^|[\s=(:,[{])'[^']*$/.exec(before);
  if (single === null || !/'(?:$|[\s,)\].}:;])/.test(after)) return false;
  return !reportKey.test(before.slice(0, single.index + single[0].indexOf("'") + 1));
}

function count(text: string, character: string): number {
  let found = 0;
  for (let at = text.indexOf(character); at >= 0; at = text.indexOf(character, at + 1)) found++;
  return found;
}
