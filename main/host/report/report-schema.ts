/** Shape of report.json for reading it back: the file may have been edited, or come from elsewhere. */
import * as z from 'zod/mini'
import { EXPORT_REPORT_SCHEMA, type ExportReport } from '../../../shared/domain/export-report.ts'

const MAX_LIST = 100_000
const text = z.string().check(z.maxLength(100_000))
const number = z.number()
const count = z.int().check(z.gte(0))
/** A map of the window has a cell for each. */
const layers = z.int().check(z.gte(0), z.lte(1_000))
const experts = z.int().check(z.gte(0), z.lte(8_192))
const list = <T extends z.ZodMiniType>(item: T) => z.array(item).check(z.maxLength(MAX_LIST))
const finding = z.object({ code: text, subject: text, message: text })
const rows = list(z.nullable(z.array(z.nullable(number)).check(z.maxLength(8_192))))
const engine = z.enum(['vllm', 'sglang', 'trtllm'])
const severity = z.enum(['error', 'warning', 'info'])
const measure = { relativeError: number, cosine: number }

const smoothing = z.object({
  method: z.enum(['awq_lite', 'smoothquant']),
  leftAlone: list(text),
  channels: list(
    z.object({
      layerIndex: count,
      name: text,
      vectorCount: count,
      scaledCount: count,
      alpha: z.optional(z.tuple([number, number])),
      errorWithout: number,
      errorWith: number,
    }),
  ),
})

const quality = z.object({
  windows: count,
  tokens: count,
  availableWindows: z.optional(count),
  original: z.optional(z.object({ nllMean: number, perplexity: number })),
  quantized: z.optional(z.object({ nllMean: number, perplexity: number })),
  klMean: z.optional(number),
  top1Agreement: z.optional(number),
  layers: list(
    z.object({
      layerIndex: count,
      ...measure,
      experts: list(z.object({ expertIndex: count, tokens: count, ...measure })),
    }),
  ),
  expertInputs: z.enum(['layer_max', 'per_expert']),
})

const verification = z.object({
  scope: z.enum(['headers', 'values', 'source']),
  isSound: z.boolean(),
  dialect: text,
  algorithm: text,
  kvCache: text,
  exportRulesVersion: count,
  engineRulesVersion: count,
  tensorCount: count,
  tensorBytes: count,
  layerCount: count,
  expertCount: count,
  quantizedMatrixCount: count,
  expectedQuantizedBytes: count,
  actualQuantizedBytes: count,
  comparedMatrixCount: count,
  rules: list(
    z.object({
      id: text,
      title: text,
      severity,
      origin: text,
      state: z.enum(['passed', 'broken', 'skipped']),
      findingCount: count,
    }),
  ),
  findings: list(z.object({ rule: text, severity, subject: text, message: text })),
  engines: list(
    z.object({
      engine,
      verdict: z.enum(['loads', 'warns', 'fails', 'unknown']),
      reason: text,
      rule: z.optional(text),
      subject: z.optional(text),
      origin: z.optional(text),
    }),
  ),
  tensorParallel: list(
    z.object({ size: count, isDivisible: z.boolean(), problemCount: count, problem: z.optional(text) }),
  ),
  errors: list(
    z.object({
      format: text,
      matrixCount: count,
      relativeError: number,
      largestShareOfBound: number,
      bound: text,
    }),
  ),
})

export const exportReportSchema: z.ZodMiniType<ExportReport> = z.object({
  schema: z.literal(EXPORT_REPORT_SCHEMA),
  producer: z.object({ name: text, version: text }),
  source: z.object({
    name: text,
    architecture: text,
    layerCount: layers,
    expertCount: experts,
    topK: count,
    sizeBytes: count,
  }),
  export: z.object({
    name: text,
    recipe: text,
    profile: text,
    dialect: text,
    kvCache: text,
    sizeBytes: count,
    bitsPerWeight: number,
    tensorCount: count,
    quantizedTensorCount: count,
    byFormat: list(z.object({ format: text, tensorCount: count, sourceBytes: count, outputBytes: count })),
  }),
  calibration: z.object({
    tokenCount: count,
    device: text,
    notices: list(text),
    expertTokens: rows,
    expertAmax: rows,
    uncoveredExperts: list(z.object({ layerIndex: count, expertIndex: count, fallback: text })),
  }),
  findings: list(finding),
  repairs: list(finding),
  serveCommands: list(z.object({ engine, command: text })),
  smoothing: z.optional(smoothing),
  quality: z.optional(quality),
  verification: z.optional(verification),
})
