import { join } from 'node:path'

/** The checkpoint that comes with the program. */
export const SAMPLE = join(import.meta.dirname, '../../assets/sample/tiny-qwen3.5-moe')
