/**
 * Every error code of the product with its kind. A code is a promise: scripts match on it, so it is never renamed.
 * The kind decides the exit code of the command line and how the window shows the error.
 */
export type ErrorKind =
  'input' | 'data' | 'environment' | 'unsupported' | 'quality' | 'cancelled' | 'stopped' | 'bug'

export const ERROR_KINDS = {
  // input: the user can fix it
  USAGE: 'input',
  RECIPE_UNKNOWN: 'input',
  RECIPE_INVALID: 'input',
  RECIPE_PATTERN_UNMATCHED: 'input',
  RECIPE_GROUP_MIXED: 'input',
  OUTPUT_NOT_EMPTY: 'input',
  OUTPUT_IN_USE: 'input',
  OUTPUT_INSIDE_SOURCE: 'input',
  SOURCE_INSIDE_OUTPUT: 'input',
  CHECKPOINT_NOT_FOUND: 'input',
  CALIBRATION_DATA_INVALID: 'input',
  CALIBRATION_DATA_EMPTY: 'input',
  AMAX_INVALID: 'input',
  AMAX_MISSING: 'input',
  SHARD_SIZE_INVALID: 'input',
  RESUME_NOTHING: 'input',
  RESUME_MISMATCH: 'input',
  REQUEST_INVALID: 'input',
  GRANT_UNKNOWN: 'input',
  JOB_UNKNOWN: 'input',
  JOB_RUNNING: 'input',
  CHECK_UNKNOWN: 'input',
  REPORT_INVALID: 'data',
  PARTIAL_UNKNOWN: 'input',
  // data: the file is wrong, permanently
  SAFETENSORS_HEADER_INVALID: 'data',
  SAFETENSORS_TRUNCATED: 'data',
  TENSOR_OUT_OF_BOUNDS: 'data',
  INDEX_INVALID: 'data',
  SHARD_MISSING: 'data',
  TENSOR_MISSING: 'data',
  TENSOR_NAME_UNKNOWN: 'data',
  TENSOR_SHAPE_INVALID: 'data',
  TENSOR_DTYPE_INVALID: 'data',
  CONFIG_MISSING: 'data',
  CONFIG_INVALID: 'data',
  FILE_TOO_LARGE: 'data',
  PATH_ESCAPES_CHECKPOINT: 'data',
  TOKENIZER_MISSING: 'data',
  TOKENIZER_INVALID: 'data',
  WEIGHT_NOT_FINITE: 'data',
  ACTIVATION_NOT_FINITE: 'data',
  SOURCE_CHANGED: 'data',
  JOURNAL_INVALID: 'data',
  SMOOTHING_INVALID: 'data',
  // unsupported: correct input that we do not handle
  ARCHITECTURE_UNSUPPORTED: 'unsupported',
  DTYPE_UNSUPPORTED: 'unsupported',
  BLOCK_SIZE_UNSUPPORTED: 'unsupported',
  FORMAT_UNSUPPORTED: 'unsupported',
  DIALECT_UNSUPPORTED: 'unsupported',
  ENGINE_REFUSES: 'unsupported',
  // environment: may work later or elsewhere
  DISK_FULL: 'environment',
  PERMISSION_DENIED: 'environment',
  READ_FAILED: 'environment',
  WRITE_FAILED: 'environment',
  DEVICE_UNAVAILABLE: 'environment',
  DEVICE_OUT_OF_MEMORY: 'environment',
  DEVICE_LOST: 'environment',
  DEVICE_RESULT_WRONG: 'environment',
  MEMORY_SHORT: 'environment',
  WORKER_CRASHED: 'environment',
  HOST_CRASHED: 'environment',
  // quality: finished, but a declared bound failed
  SCALE_NOT_FINITE: 'quality',
  EXPERT_UNCOVERED: 'quality',
  READ_BACK_MISMATCH: 'quality',
  QUALITY_NOT_FINITE: 'quality',
  // security: refused messages
  FORBIDDEN_SENDER: 'input',
  CANCELLED: 'cancelled',
  STOPPED: 'stopped',
  INVARIANT: 'bug',
} as const satisfies Record<string, ErrorKind>

export type ErrorCode = keyof typeof ERROR_KINDS

/** Process exit code of the command line for each kind (see docs: 0 done, 1 quality, 2 input, 3 environment, 130 cancelled, 143 stopped by the system, 70 our bug). */
export const EXIT_CODES = {
  quality: 1,
  input: 2,
  data: 2,
  unsupported: 2,
  environment: 3,
  cancelled: 130,
  stopped: 143,
  bug: 70,
} as const satisfies Record<ErrorKind, number>
