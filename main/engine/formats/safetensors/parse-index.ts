/** Reads model.safetensors.index.json: which tensor is in which shard, in the order of the file. */
import { AppError } from '../../../../shared/errors/app-error.ts'
import { asObject, parseJson } from '../hf-config/lossless-json.ts'

/** CWE-22: a shard name is one plain segment inside the checkpoint folder. */
const PLAIN_NAME = /^[^/\\\u0000-\u001f]+\.safetensors$/

/** Tensor name -> shard file name. Throws INDEX_INVALID, PATH_ESCAPES_CHECKPOINT. */
export function parseIndex(text: string, fileName: string): ReadonlyMap<string, string> {
  const root = asObject(parseJson(text, fileName, 'INDEX_INVALID'))
  const weightMap = root === undefined ? undefined : asObject(root['weight_map'])
  if (weightMap === undefined) {
    throw new AppError('INDEX_INVALID', {
      subject: fileName,
      problem: 'there is no weight_map object',
      remedy: 'get an undamaged copy of the index',
    })
  }
  const shards = new Map<string, string>()
  for (const [name, shard] of Object.entries(weightMap)) {
    if (typeof shard !== 'string' || !PLAIN_NAME.test(shard) || shard.startsWith('..')) {
      throw new AppError('PATH_ESCAPES_CHECKPOINT', {
        subject: `${fileName}: ${name}`,
        problem: `${JSON.stringify(shard)} is not the name of a .safetensors file in this folder`,
        remedy: 'do not use this checkpoint, its index points elsewhere',
      })
    }
    shards.set(name, shard)
  }
  return shards
}
