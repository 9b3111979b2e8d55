/** Made-up answers about a planned run: what is in its way, and what its patterns match. */
import type { PreflightProblem } from '../../../shared/domain/preflight.ts'
import type { RecipeScope, ScopeMatch } from '../../../shared/domain/recipe-scope.ts'
import type { RunOptions } from '../../../shared/domain/run-options.ts'
import { formatBytes } from '../../../shared/domain/format-text.ts'
import { previewPlan, type PreviewSize } from './preview-data.ts'

const LAYERS = 'model.language_model.layers.*'

/** The large model's plan does not fit into the 190 GiB that are free. */
export function previewProblems(size: PreviewSize, options: RunOptions): readonly PreflightProblem[] {
  const { outputBytes, freeDiskBytes } = previewPlan(size, options)
  if (freeDiskBytes === undefined || outputBytes <= freeDiskBytes) return []
  return [
    {
      severity: 'error',
      code: 'DISK_FULL',
      subject: '~/exports',
      problem: `the export needs ${formatBytes(outputBytes)}, ${formatBytes(freeDiskBytes)} are free`,
      remedy: 'free some space or choose a folder on another disk',
    },
  ]
}

export function previewScope(size: PreviewSize): RecipeScope {
  const [layers, linear] = size === 'large' ? [60, 45] : [4, 3]
  const full = layers - linear
  const match = (
    modules: string,
    quantizer: ScopeMatch['quantizer'],
    matched: number,
    decided = matched,
  ): ScopeMatch => ({ modules: `${LAYERS}.${modules}`, quantizer, matched, decided })
  const experts = (quantizer: 'weight' | 'input'): readonly ScopeMatch[] => [
    match('mlp.experts.gate_up_proj', quantizer, layers),
    match('mlp.experts.down_proj', quantizer, layers),
  ]
  const entry = (
    pattern: string,
    numbers: string | undefined,
    matches: readonly ScopeMatch[],
  ): RecipeScope['entries'][number] => ({
    ...{ pattern, numbers, matches },
    isEnabled: numbers !== undefined,
    parentClass: undefined,
  })
  const nvfp4 = 'e2m1, blocks of 16, e4m3 scales'
  return {
    entries: [
      entry('*', undefined, [
        match('mlp.experts.gate_up_proj', 'weight', layers, 0),
        match('self_attn.q_proj', 'weight', full),
        match('linear_attn.out_proj', 'weight', linear),
      ]),
      entry('*mlp.experts*weight_quantizer', nvfp4, experts('weight')),
      entry('*mlp.experts*input_quantizer', nvfp4, experts('input')),
      entry('*[kv]_bmm_quantizer', 'e4m3', [
        match('self_attn', 'key', full),
        match('self_attn', 'value', full),
      ]),
      entry('*lm_head*', undefined, []),
      entry('*router*', undefined, []),
      entry('*conv1d*', undefined, [match('linear_attn.conv1d', 'weight', linear)]),
    ],
    outcome: [
      { format: 'nvfp4', modules: `${LAYERS}.mlp.experts`, count: layers },
      { format: 'unquantized', modules: `${LAYERS}.linear_attn.out_proj`, count: linear },
      { format: 'unquantized', modules: `${LAYERS}.self_attn.q_proj`, count: full },
      { format: 'unquantized', modules: `${LAYERS}.mlp.shared_expert.gate_proj`, count: layers },
    ],
  }
}
