/**
 * The few WebAssembly types that the engine uses; @types/node 20 has none, and the DOM library would bring a browser's globals.
 * Knows: declarations. Does not know: implementations (V8 has them).
 */
declare namespace WebAssembly {
  class Memory {
    constructor(descriptor: { initial: number; maximum?: number });
    readonly buffer: ArrayBuffer;
  }
  class Module {
    constructor(bytes: ArrayBufferView | ArrayBuffer);
  }
  type Exports = Record<string, ((...values: number[]) => unknown) | Memory>;
  class Instance {
    constructor(module: Module, imports: Record<string, Record<string, Memory>>);
    readonly exports: Exports;
  }
}
