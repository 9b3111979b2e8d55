/** All engine rules. Versions of the single files are added up, so that any change shows in reports. */
import type { EngineRules } from './engine-rule.ts'
import { SGLANG_RULES } from './sglang.ts'
import { TRTLLM_RULES } from './trtllm.ts'
import { VLLM_RULES } from './vllm.ts'

export const ENGINE_RULES: readonly EngineRules[] = [VLLM_RULES, SGLANG_RULES, TRTLLM_RULES]

export const ENGINE_RULES_VERSION = ENGINE_RULES.reduce((sum, { version }) => sum + version, 0)
