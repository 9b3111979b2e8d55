/** Token ids of whole documents (code, JSON, markdown, prose) as the Python tokenizer library gave them for the sample's vocabulary. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Tokenizer } from '@huggingface/tokenizers'
import { expect, test } from 'vitest'
import { CheckpointTokenizer } from '../../../main/engine/tokenizer/checkpoint-tokenizer.ts'
import { SAMPLE } from '../../tools/sample-path.ts'
import { domains } from '../calibration/reference-data.ts'

const files = {
  tokenizer: readFileSync(join(SAMPLE, 'tokenizer.json')),
  config: readFileSync(join(SAMPLE, 'tokenizer_config.json')),
  chatTemplate: undefined,
}

/** Documents are followed by token 0; what comes after the last one is cut off. */
function wholeDocuments(ids: Int32Array): number[][] {
  const documents: number[][] = [[]]
  for (const id of ids) {
    if (id === 0) documents.push([])
    else documents.at(-1)?.push(id)
  }
  return documents.slice(0, -1)
}

test('encoding the recorded documents gives the recorded ids: another split, merge order or normaliser would not', () => {
  const parse = (bytes: Uint8Array): object => JSON.parse(new TextDecoder().decode(bytes)) as object
  const decoder = new Tokenizer(parse(files.tokenizer), parse(files.config))
  const tokenizer = CheckpointTokenizer.create(files)
  const documents = domains().flatMap(({ batch }) => wholeDocuments(batch.ids))
  expect(documents).toHaveLength(20)
  for (const ids of documents) {
    const text = decoder.decode(ids, { skip_special_tokens: false, clean_up_tokenization_spaces: false })
    expect(tokenizer.encode(text)).toEqual(ids)
  }
})
