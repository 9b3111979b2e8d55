/** Made-up answers for preview builds: the sample's shape and a 60 x 512 model. Never part of the product's bundle. */
import type {
  AppInfo,
  DeviceInfo,
  FolderListing,
  GrantId,
  GrantPurpose,
  PathGrant,
} from '../../../shared/domain/app-info.ts'
import type { CheckpointSummary, TensorRow } from '../../../shared/domain/checkpoint-summary.ts'
import type { PlanSummary } from '../../../shared/domain/plan-summary.ts'
import type { RecipeSummary } from '../../../shared/domain/recipe-summary.ts'
import type { RunOptions } from '../../../shared/domain/run-options.ts'
import { tensorSizeBytes } from '../../../shared/domain/dtype.ts'

export type PreviewSize = 'tiny' | 'large'

export const previewInfo: AppInfo = {
  version: '0.1.0',
  surface: 'browser',
  hasNativeDialogs: false,
  hasSample: true,
  cpuCount: 8,
}

export const previewDevices: readonly DeviceInfo[] = [
  { device: 'cpu', isAvailable: true, detail: '8 threads' },
  { device: 'webgpu', isAvailable: true, detail: 'Vulkan adapter' },
  { device: 'cuda', isAvailable: false, detail: 'no CUDA library was found' },
]

export function previewGrant(name: string, purpose: GrantPurpose): PathGrant {
  return {
    grantId: `g_preview_${purpose}` as GrantId,
    purpose,
    displayPath: `~/models/${name}`,
    name,
  }
}

const NAMES = { tiny: 'tiny-qwen3.5-moe', large: 'Qwen3.5-397B-A17B' }

export function checkpointName(size: PreviewSize): string {
  return NAMES[size]
}

export function previewCheckpoint(size: PreviewSize): CheckpointSummary {
  const isLarge = size === 'large'
  const layerCount = isLarge ? 60 : 4
  const expertCount = isLarge ? 512 : 32
  const unit = isLarge ? 2 ** 30 : 2 ** 20
  const roles: readonly (readonly [string, number, number])[] = isLarge
    ? [
        ['expert', 120, 720.4],
        ['mtp', 19, 12.3],
        ['linear_attention', 405, 7.6],
        ['attention', 90, 3.1],
        ['shared_expert', 240, 1.4],
        ['embedding', 1, 1.9],
        ['lm_head', 1, 1.9],
        ['vision', 333, 0.9],
        ['router', 60, 0.2],
        ['norm', 121, 0.001],
      ]
    : [
        ['expert', 8, 24],
        ['mtp', 17, 6.6],
        ['embedding', 1, 2],
        ['lm_head', 1, 2],
        ['linear_attention', 27, 1.43],
        ['shared_expert', 16, 0.75],
        ['vision', 32, 0.4],
        ['attention', 6, 0.38],
        ['router', 4, 0.06],
        ['norm', 9, 0.005],
      ]
  const bytesByRole = roles.map(([role, tensorCount, amount]) => ({
    role,
    tensorCount,
    sizeBytes: Math.round(amount * unit),
  }))
  const totalBytes = bytesByRole.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  const shardCount = isLarge ? 94 : 4
  return {
    name: NAMES[size],
    displayPath: `~/models/${NAMES[size]}`,
    family: 'qwen3_5_moe',
    architecture: 'Qwen3_5MoeForConditionalGeneration',
    prefix: 'model.language_model.',
    expertLayout: 'fused',
    mtpLayout: 'per_expert',
    hasVision: true,
    layerCount,
    layerKinds: Array.from({ length: layerCount }, (_, index) =>
      index % 4 === 3 ? 'full_attention' : 'linear_attention',
    ),
    expertCount,
    topK: isLarge ? 10 : 4,
    hiddenSize: isLarge ? 4096 : 256,
    expertWidth: isLarge ? 1024 : 128,
    vocabSize: isLarge ? 248_320 : 4096,
    tensorCount: bytesByRole.reduce((sum, { tensorCount }) => sum + tensorCount, 0),
    parameterCount: totalBytes / 2,
    totalBytes,
    bytesByRole,
    bytesByDtype: [
      { dtype: 'BF16', sizeBytes: totalBytes - 4096 },
      { dtype: 'F32', sizeBytes: 4096 },
    ],
    shards: Array.from({ length: shardCount }, (_, index) => ({
      fileName: `model.safetensors-${pad(index + 1)}-of-${pad(shardCount)}.safetensors`,
      sizeBytes: Math.round(totalBytes / shardCount),
      tensorCount: Math.round(1390 / shardCount),
    })),
    sideFiles: [
      { fileName: 'chat_template.jinja', sizeBytes: 4117 },
      { fileName: 'generation_config.json', sizeBytes: 202 },
      { fileName: 'preprocessor_config.json', sizeBytes: 390 },
      { fileName: 'tokenizer.json', sizeBytes: 334_102 },
      { fileName: 'tokenizer_config.json', sizeBytes: 1420 },
    ],
    hasTokenizer: true,
    problems: isLarge
      ? [
          {
            severity: 'warning',
            subject: 'config.json: quantization_config',
            message: 'it is present but empty; the export replaces it',
          },
          {
            severity: 'error',
            subject: 'model.language_model.layers.41.mlp.gate.e_score_correction_bias',
            message: 'this tensor is not part of the family; it is carried over unchanged',
          },
        ]
      : [],
  }
}

/** At least `minimumRows`, by further layers. */
export function previewTensors(size: PreviewSize, minimumRows = 0): readonly TensorRow[] {
  const expertRows = (size === 'large' ? 512 : 32) * 3
  const layers = Math.max(size === 'large' ? 60 : 4, Math.ceil(minimumRows / expertRows))
  const rows: TensorRow[] = []
  for (let layer = 0; layer < layers; layer += 1) {
    for (let expert = 0; expert < (size === 'large' ? 512 : 32); expert += 1) {
      for (const part of ['gate_proj', 'up_proj', 'down_proj']) {
        const shape = part === 'down_proj' ? [4096, 1024] : [1024, 4096]
        rows.push({
          name: `model.language_model.layers.${String(layer)}.mlp.experts.${String(expert)}.${part}.weight`,
          role: 'expert',
          dtype: 'BF16',
          shape,
          sizeBytes: tensorSizeBytes('BF16', shape),
          fileName: `model.safetensors-${pad(layer + 1)}-of-00094.safetensors`,
        })
      }
    }
  }
  return rows
}

export const previewRecipes: readonly RecipeSummary[] = (
  [
    [
      'nvfp4_experts_only-kv_fp8',
      'NVFP4 weights and inputs in the routed experts only',
      'nvfp4',
      'fp8',
      true,
      4.5,
    ],
    [
      'nvfp4_experts_only_input_scale1-kv_fp8_cast',
      'NVFP4 in the routed experts only, input scale fixed to 1, so that no data is needed',
      'nvfp4',
      'fp8_cast',
      false,
      4.5,
    ],
    ['nvfp4_default-kv_fp8', 'NVFP4 weights and inputs in every linear layer', 'nvfp4', 'fp8', true, 4.5],
    [
      'nvfp4_default-kv_nvfp4_cast',
      'NVFP4 weights and inputs in every linear layer',
      'nvfp4',
      'nvfp4_cast',
      true,
      4.5,
    ],
    [
      'nvfp4_mlp_only-kv_fp8',
      'NVFP4 weights and inputs in experts and shared experts',
      'nvfp4',
      'fp8',
      true,
      4.5,
    ],
    [
      'nvfp4_weight_only-kv_fp16',
      'NVFP4 weights in every linear layer, inputs stay 16 bit',
      'nvfp4',
      'none',
      false,
      4.5,
    ],
    [
      'mxfp4_mlp_weight_only',
      'MXFP4 weights in experts and shared experts, inputs stay 16 bit',
      'mxfp4',
      'none',
      false,
      4.25,
    ],
    ['fp8_default-kv_fp8', 'FP8 weights and inputs in every linear layer', 'fp8', 'fp8', true, 8],
    [
      'fp8_2d_blockwise_weight_only',
      'FP8 weights with a scale per 128 x 128 tile, inputs stay 16 bit',
      'fp8',
      'none',
      false,
      8.002,
    ],
    ['mxfp8-kv_fp8_cast', 'MXFP8 weights and inputs in every linear layer', 'mxfp8', 'fp8_cast', false, 8.25],
    ['int8', 'INT8 weights per channel and inputs', 'int8', 'none', true, 8.01],
  ] as const
).map(([name, purpose, format, kvCache, needsData, bitsPerWeight]) => ({
  name,
  purpose,
  formats: [format],
  kvCache,
  needsData,
  bitsPerWeight,
  covers: name.includes('experts_only')
    ? (['experts'] as const)
    : (['experts', 'shared_experts', 'attention'] as const),
  gpus:
    format === 'nvfp4' || format === 'fp8'
      ? [{ dialect: 'modelopt', minimum: format === 'fp8' ? 89 : 75, maximum: undefined } as const]
      : [],
}))

export function previewPlan(size: PreviewSize, options: RunOptions): PlanSummary {
  const { totalBytes, bytesByRole } = previewCheckpoint(size)
  const recipe = previewRecipes.find(({ name }) => name === options.recipe)
  const format = recipe?.formats[0] ?? 'nvfp4'
  const expertBytes = bytesByRole.find(({ role }) => role === 'expert')?.sizeBytes ?? 0
  const quantized = Math.round((expertBytes * (recipe?.bitsPerWeight ?? 4.5)) / 16)
  const outputBytes = totalBytes - expertBytes + quantized
  return {
    recipe: options.recipe,
    profile: options.profile,
    dialect: options.dialect ?? 'modelopt',
    kvCache: options.kv ?? recipe?.kvCache ?? 'none',
    sourceBytes: totalBytes,
    outputBytes,
    bitsPerWeight: recipe?.bitsPerWeight ?? 4.5,
    byFormat: [
      {
        format,
        tensorCount: size === 'large' ? 92_160 : 384,
        sourceBytes: expertBytes,
        outputBytes: quantized,
      },
      {
        format: 'unquantized',
        tensorCount: 1270,
        sourceBytes: totalBytes - expertBytes,
        outputBytes: totalBytes - expertBytes,
      },
    ],
    shards: Array.from({ length: Math.ceil(outputBytes / options.maxShardSizeBytes) }, (_, index) => ({
      fileName: `model-${pad(index + 1)}.safetensors`,
      sizeBytes: options.maxShardSizeBytes,
    })),
    tensorCount: 1_654,
    needsCalibration: recipe?.needsData ?? true,
    calibrationSiteCount: size === 'large' ? 61_440 : 256,
    scratchBytes: 0,
    peakMemoryBytes: size === 'large' ? 5.2 * 2 ** 30 : 310 * 2 ** 20,
    freeDiskBytes: size === 'large' ? 190 * 2 ** 30 : 81 * 2 ** 30,
    estimatedDurationMs: size === 'large' ? 3_912_000 : 7_400,
    engines: [
      { engine: 'vllm', verdict: 'loads', reason: 'ModelOpt NVFP4 experts with FP8 KV cache' },
      {
        engine: 'sglang',
        verdict: 'warns',
        reason: 'input scales differ between experts; the largest of a layer is used for all',
      },
      { engine: 'trtllm', verdict: 'unknown', reason: 'no rule is known for this model family' },
    ],
    warnings:
      size === 'large'
        ? ['128 samples of 512 tokens give each expert 1,280 tokens on average; rare experts may see none']
        : [],
  }
}

export const previewFolders: FolderListing = {
  displayPath: '~/models',
  parentEntryId: 'e_home',
  entries: [
    { entryId: 'e_1', name: 'Qwen3.5-397B-A17B', kind: 'folder', sizeBytes: 0, isCheckpoint: true },
    { entryId: 'e_2', name: 'tiny-qwen3.5-moe', kind: 'folder', sizeBytes: 0, isCheckpoint: true },
    { entryId: 'e_3', name: 'archive', kind: 'folder', sizeBytes: 0, isCheckpoint: false },
    { entryId: 'e_4', name: 'calibration.jsonl', kind: 'file', sizeBytes: 8_120_331, isCheckpoint: false },
    { entryId: 'e_5', name: 'notes.txt', kind: 'file', sizeBytes: 912, isCheckpoint: false },
  ],
}

export function pad(number: number): string {
  return String(number).padStart(5, '0')
}
