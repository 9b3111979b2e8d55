/** JSON whose numbers keep their text (`1e-06`, `10000000`), for configuration files that are written back. Types only here. */
import type { LosslessNumber } from 'lossless-json'

export type JsonValue = null | boolean | string | LosslessNumber | JsonObject | JsonValue[]
export interface JsonObject {
  [key: string]: JsonValue
}
