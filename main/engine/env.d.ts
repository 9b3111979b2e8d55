/** The few globals the engine may use: they exist in Node, Electron and workers alike. No DOM, no Node types here. */
declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean })
  decode(input?: ArrayBufferView | ArrayBuffer): string
}
declare class TextEncoder {
  encode(input?: string): Uint8Array<ArrayBuffer>
}
declare const performance: { now(): number }
declare class AbortSignal {
  readonly aborted: boolean
  throwIfAborted(): void
}
