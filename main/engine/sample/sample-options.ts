/** Which checkpoint to synthesise: the layouts that occur in released and re-exported checkpoints, independently of each other. */
import type { ExpertLayout } from '../models/moe-model.ts'
import type { SampleNumbers } from './sample-shapes.ts'

export interface SampleLayout {
  readonly numbers: SampleNumbers
  readonly expertLayout: ExpertLayout
  /** `nested`: text_config and `model.language_model.`; `flat`: text-only configuration and `model.`. */
  readonly prefix: 'nested' | 'flat'
  readonly mtpLayout: ExpertLayout | 'none'
  /** False leaves lm_head out and ties it to the embeddings. */
  readonly hasHead: boolean
  /** Only with the nested prefix. */
  readonly hasVision: boolean
  /** Storage of A_log and linear_attn.norm: F32 in Qwen3.5, BF16 in Qwen3.6. */
  readonly stateDtype: 'F32' | 'BF16'
}
