/** Bounds on what a safetensors file may claim. Each stops a class of attack before memory or time is spent. */

/** CWE-770: the format's own limit. The largest released header (2.4T model, 213 shards) is far below 1 MB a shard. */
export const MAX_HEADER_BYTES = 100_000_000
/** CWE-770: tensors of one shard; the largest model stored per expert (92 layers, 512 experts) has about 143,000 in all its shards. */
export const MAX_TENSORS_PER_SHARD = 500_000
/** CWE-1284: rank of a tensor; real ones have at most 5 (patch embedding). */
export const MAX_RANK = 16
/** CWE-770: characters of a tensor name; real ones stay below 100. */
export const MAX_NAME_CHARACTERS = 1024
/** CWE-770: entries of __metadata__. */
export const MAX_METADATA_ENTRIES = 10_000
/** CWE-770: entries of an index; the largest model stored per expert (92 layers, 512 experts) has about 143,000 tensors. */
export const MAX_INDEX_ENTRIES = 4_000_000
