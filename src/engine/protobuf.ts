/**
 * Protocol-buffer wire format: a writer, and a walk over the fields of a message.
 * Knows: varints, lengths, field numbers. Does not know: what any message means. https://protobuf.dev/programming-guides/encoding/
 */

const utf8 = new TextEncoder();

/** A growing buffer with the writes that protocol buffers need; a message's length is put in once its body is written. */
export class Writer {
  #bytes = new Uint8Array(1024);
  #length = 0;

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  /** An integer of up to 53 bits; negative ones take ten bytes, as the format wants. */
  varint(field: number, value: number): void {
    this.#unsigned(field << 3);
    if (value >= 0) {
      this.#unsigned(value);
      return;
    }
    for (let rest = BigInt.asUintN(64, BigInt(value)), i = 0; i < 10; i++, rest >>= 7n) {
      this.#byte(Number(rest & 0x7fn) | (i < 9 ? 0x80 : 0));
    }
  }

  bytes(field: number, value: Uint8Array): void {
    this.#unsigned((field << 3) | 2);
    this.#unsigned(value.length);
    this.#raw(value);
  }

  text(field: number, value: string): void {
    // Names are ASCII and short: writing them here takes a tenth of the encoder's time, which is most of writing a graph.
    if (!isAscii(value)) {
      this.bytes(field, utf8.encode(value));
      return;
    }
    this.#unsigned((field << 3) | 2);
    this.#unsigned(value.length);
    this.#reserve(value.length);
    for (let i = 0; i < value.length; i++) this.#bytes[this.#length++] = value.charCodeAt(i);
  }

  /** Bytes that already are a field. */
  append(field: Uint8Array): void {
    this.#raw(field);
  }

  message(field: number, write: () => void): void {
    this.#unsigned((field << 3) | 2);
    const start = this.#length;
    write();
    const body = this.#length - start;
    let prefix = 1;
    for (let rest = body; rest > 0x7f; rest = Math.floor(rest / 128)) prefix++;
    this.#reserve(prefix);
    this.#bytes.copyWithin(start + prefix, start, this.#length);
    this.#length = start;
    this.#unsigned(body);
    this.#length += body;
  }

  #unsigned(value: number): void {
    let rest = value;
    for (; rest > 0x7f; rest = Math.floor(rest / 128)) this.#byte((rest % 128) | 0x80);
    this.#byte(rest);
  }

  #byte(byte: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = byte;
  }

  #raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + more));
    grown.set(this.#bytes);
    this.#bytes = grown;
  }
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false;
  return true;
}

/** One field of a message; `payload` is a view of the bytes of a length-delimited field and empty for numbers. */
export interface Field {
  readonly number: number;
  /** The whole field as it stands in the message, tag included. */
  readonly raw: Uint8Array;
  readonly payload: Uint8Array;
}

/** The fields of a message in order; throws Error where the bytes are not one. */
export function fieldsOf(message: Uint8Array): Field[] {
  const fields: Field[] = [];
  let at = 0;
  const unsigned = (): number => {
    for (let value = 0, scale = 1; ; scale *= 128) {
      const byte = message[at++];
      if (byte === undefined) throw new Error("a protocol-buffer message ends inside a number");
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  };
  const fixedSizes: Readonly<Record<number, number>> = { 1: 8, 5: 4 };
  while (at < message.length) {
    const start = at;
    const tag = unsigned();
    const wire = tag & 7;
    let payload = message.subarray(at, at);
    if (wire === 0) unsigned();
    else if (wire === 2) {
      const length = unsigned();
      payload = message.subarray(at, at + length);
      at += length;
    } else {
      const size = fixedSizes[wire];
      if (size === undefined) throw new Error(`wire type ${wire} is not used by ONNX`);
      at += size;
    }
    if (at > message.length) throw new Error("a protocol-buffer message ends inside a field");
    fields.push({ number: Math.floor(tag / 8), raw: message.subarray(start, at), payload });
  }
  return fields;
}
