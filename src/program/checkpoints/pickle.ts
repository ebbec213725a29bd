/**
 * Reads a Python pickle as data: it builds nothing, imports nothing and calls nothing; classes are only names.
 * Knows: the opcodes of protocols 2 to 5 (https://docs.python.org/3/library/pickletools.html). Does not know: what the data mean.
 * A hostile pickle costs at most the limits, and ends in MalformedPickle.
 */

/** What `pickle` would have called `callable` with. Its `state`, list items and entries are kept apart. */
export interface PickledObject {
  readonly kind: "object";
  /** `module.name`; what was not a global is `?`. */
  readonly className: string;
  readonly args: Pickled;
  state: Pickled;
  readonly items: Pickled[];
  readonly entries: [Pickled, Pickled][];
}
export interface PickledGlobal {
  readonly kind: "global";
  readonly className: string;
}
export interface PickledDict {
  readonly kind: "dict";
  readonly entries: [Pickled, Pickled][];
}
export type Pickled =
  | undefined
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | Pickled[]
  | PickledDict
  | PickledGlobal
  | PickledObject;

export class MalformedPickle extends Error {
  override readonly name = "MalformedPickle";
}

/** Values that a pickle may make, and its bytes: far above the metadata of the largest models, far below a machine's memory. */
const maxOperations = 20_000_000;
const mark = Symbol("mark");
type Slot = Pickled | typeof mark;

/** The value of a pickle. MalformedPickle for what is none, for opcodes that reach outside, and beyond the limits. */
export function readPickle(bytes: Uint8Array): Pickled {
  const machine = new Machine(bytes);
  for (let operations = 0; operations < maxOperations; operations++) {
    const opcode = machine.byte();
    if (opcode === 0x2e) return machine.pop(); // STOP
    machine.run(opcode);
  }
  throw new MalformedPickle(`more than ${maxOperations} operations`);
}

class Machine {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;
  readonly #stack: Slot[] = [];
  readonly #memo = new Map<number, Pickled>();

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  byte(): number {
    return this.#bytes[this.#take(1)] ?? 0;
  }

  pop(): Pickled {
    const slot = this.#stack.pop();
    if (this.#stack.length === 0 && slot === undefined) return undefined;
    if (slot === mark) throw new MalformedPickle("a mark where a value is expected");
    return slot;
  }

  run(opcode: number): void {
    if (!(this.#constant(opcode) || this.#container(opcode) || this.#object(opcode))) {
      throw new MalformedPickle(`opcode 0x${opcode.toString(16)} at byte ${this.#at - 1} is not read`);
    }
  }

  /** Offset of `count` bytes, which are passed. */
  #take(count: number): number {
    const at = this.#at;
    if (!Number.isSafeInteger(count) || count < 0 || at + count > this.#bytes.length) {
      throw new MalformedPickle("is cut short");
    }
    this.#at += count;
    return at;
  }

  #long(): number {
    const value = this.#view.getBigUint64(this.#take(8), true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new MalformedPickle("is cut short");
    return Number(value);
  }

  #text(length: number): string {
    const at = this.#take(length);
    return utf8.decode(this.#bytes.subarray(at, at + length));
  }

  #raw(length: number): Uint8Array {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  #line(): string {
    const end = this.#bytes.indexOf(10, this.#at);
    if (end === -1) throw new MalformedPickle("is cut short");
    const text = this.#text(end - this.#at);
    this.#at++;
    return text;
  }

  #push(value: Pickled): true {
    this.#stack.push(value);
    return true;
  }

  #top(): Pickled {
    const slot = this.#stack.at(-1);
    if (this.#stack.length === 0 || slot === mark) throw new MalformedPickle("the stack is empty");
    return slot;
  }

  /** Values above the newest mark, which goes with them. */
  #popMark(): Pickled[] {
    const at = this.#stack.lastIndexOf(mark);
    if (at === -1) throw new MalformedPickle("no mark");
    const values = this.#stack.splice(at).slice(1);
    return values.map((value) => (value === mark ? undefined : value));
  }

  #constant(opcode: number): boolean {
    const view = this.#view;
    switch (opcode) {
      case 0x80: // PROTO
        if (this.byte() > 5) throw new MalformedPickle("a protocol later than 5");
        return true;
      case 0x95: // FRAME
        this.#take(8);
        return true;
      case 0x4e: // NONE
        return this.#push(null);
      case 0x88: // NEWTRUE
        return this.#push(true);
      case 0x89: // NEWFALSE
        return this.#push(false);
      case 0x4a: // BININT
        return this.#push(view.getInt32(this.#take(4), true));
      case 0x4b: // BININT1
        return this.#push(this.byte());
      case 0x4d: // BININT2
        return this.#push(view.getUint16(this.#take(2), true));
      case 0x8a: // LONG1
        return this.#push(integer(this.#raw(this.byte())));
      case 0x8b: // LONG4
        return this.#push(integer(this.#raw(view.getInt32(this.#take(4), true))));
      case 0x47: // BINFLOAT
        return this.#push(view.getFloat64(this.#take(8), false));
      case 0x8c: // SHORT_BINUNICODE
        return this.#push(this.#text(this.byte()));
      case 0x58: // BINUNICODE
        return this.#push(this.#text(view.getUint32(this.#take(4), true)));
      case 0x8d: // BINUNICODE8
        return this.#push(this.#text(this.#long()));
      case 0x55: // SHORT_BINSTRING
        return this.#push(this.#text(this.byte()));
      case 0x54: // BINSTRING
        return this.#push(this.#text(view.getInt32(this.#take(4), true)));
      case 0x43: // SHORT_BINBYTES
        return this.#push(this.#raw(this.byte()));
      case 0x42: // BINBYTES
        return this.#push(this.#raw(view.getUint32(this.#take(4), true)));
      case 0x8e: // BINBYTES8
      case 0x96: // BYTEARRAY8
        return this.#push(this.#raw(this.#long()));
      default:
        return false;
    }
  }

  #container(opcode: number): boolean {
    switch (opcode) {
      case 0x28: // MARK
        this.#stack.push(mark);
        return true;
      case 0x30: // POP
        this.#stack.pop();
        return true;
      case 0x31: // POP_MARK
        this.#popMark();
        return true;
      case 0x32: // DUP
        return this.#push(this.#top());
      case 0x29: // EMPTY_TUPLE
      case 0x5d: // EMPTY_LIST
      case 0x8f: // EMPTY_SET
        return this.#push([]);
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: // TUPLE3
        return this.#push(Array.from({ length: opcode - 0x84 }, () => this.pop()).reverse());
      case 0x74: // TUPLE
      case 0x6c: // LIST
      case 0x91: // FROZENSET
        return this.#push(this.#popMark());
      case 0x7d: // EMPTY_DICT
        return this.#push({ kind: "dict", entries: [] });
      case 0x64: // DICT
        return this.#push({ kind: "dict", entries: pairs(this.#popMark()) });
      case 0x61: // APPEND
        return this.#append([this.pop()]);
      case 0x65: // APPENDS
      case 0x90: // ADDITEMS
        return this.#append(this.#popMark());
      case 0x73: {
        // SETITEM
        const value = this.pop();
        return this.#set([[this.pop(), value]]);
      }
      case 0x75: // SETITEMS
        return this.#set(pairs(this.#popMark()));
      default:
        return false;
    }
  }

  #object(opcode: number): boolean {
    const view = this.#view;
    switch (opcode) {
      case 0x63: // GLOBAL
        return this.#push({ kind: "global", className: `${this.#line()}.${this.#line()}` });
      case 0x93: {
        // STACK_GLOBAL
        const name = this.pop();
        return this.#push({ kind: "global", className: `${String(this.pop())}.${String(name)}` });
      }
      case 0x52: // REDUCE
      case 0x81: // NEWOBJ
        return this.#made(this.pop());
      case 0x92: // NEWOBJ_EX
        this.pop();
        return this.#made(this.pop());
      case 0x62: {
        // BUILD
        const state = this.pop();
        const target = this.#top();
        if (isObject(target)) target.state = state;
        return true;
      }
      case 0x94: // MEMOIZE
        this.#memo.set(this.#memo.size, this.#top());
        return true;
      case 0x71: // BINPUT
        this.#memo.set(this.byte(), this.#top());
        return true;
      case 0x72: // LONG_BINPUT
        this.#memo.set(view.getUint32(this.#take(4), true), this.#top());
        return true;
      case 0x68: // BINGET
        return this.#recall(this.byte());
      case 0x6a: // LONG_BINGET
        return this.#recall(view.getUint32(this.#take(4), true));
      default:
        return false;
    }
  }

  #recall(index: number): true {
    if (!this.#memo.has(index)) throw new MalformedPickle(`nothing is remembered as ${index}`);
    return this.#push(this.#memo.get(index));
  }

  #made(args: Pickled): true {
    const callable = this.pop();
    const className = isGlobal(callable) ? callable.className : "?";
    return this.#push({ kind: "object", className, args, state: undefined, items: [], entries: [] });
  }

  #append(values: readonly Pickled[]): true {
    const target = this.#top();
    const list = Array.isArray(target) ? target : isObject(target) ? target.items : undefined;
    if (list === undefined) throw new MalformedPickle("appends to what is no list");
    for (const value of values) list.push(value);
    return true;
  }

  #set(entries: readonly [Pickled, Pickled][]): true {
    const target = this.#top();
    if (!isDict(target) && !isObject(target)) throw new MalformedPickle("sets an item of what is no dict");
    for (const entry of entries) target.entries.push(entry);
    return true;
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: false });

/** Two's complement, little-endian, any length. */
function integer(bytes: Uint8Array): number | bigint {
  if (bytes.length > 64) throw new MalformedPickle("an integer of more than 64 bytes");
  let value = 0n;
  for (let at = bytes.length - 1; at >= 0; at--) value = (value << 8n) | BigInt(bytes[at] ?? 0);
  if (bytes.length > 0 && ((bytes.at(-1) ?? 0) & 0x80) !== 0) value -= 1n << BigInt(8 * bytes.length);
  const small = Number(value);
  return Number.isSafeInteger(small) ? small : value;
}

function pairs(values: readonly Pickled[]): [Pickled, Pickled][] {
  if (values.length % 2 !== 0) throw new MalformedPickle("a key without a value");
  return Array.from({ length: values.length / 2 }, (_, index) => [values[2 * index], values[2 * index + 1]]);
}

const hasKind = (value: Pickled, kind: string): boolean =>
  typeof value === "object" && value !== null && "kind" in value && value.kind === kind;
export const isObject = (value: Pickled): value is PickledObject => hasKind(value, "object");
export const isGlobal = (value: Pickled): value is PickledGlobal => hasKind(value, "global");
export const isDict = (value: Pickled): value is PickledDict => hasKind(value, "dict");
