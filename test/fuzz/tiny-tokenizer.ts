/** A byte-level BPE of a few tokens in the format of tokenizer.json. */
const letters = Array.from('abcdefghijklmnopqrstuvwxyz0123456789,.!?Ġ:{}"')

export const TINY_TOKENIZER = {
  version: '1.0',
  added_tokens: [
    {
      id: 100,
      content: '<|end|>',
      special: true,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
    },
  ],
  normalizer: { type: 'NFC' },
  pre_tokenizer: {
    type: 'Sequence',
    pretokenizers: [
      {
        type: 'Split',
        pattern: { Regex: "'s|\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+|\\s+" },
        behavior: 'Isolated',
        invert: false,
      },
      { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false },
    ],
  },
  post_processor: null,
  decoder: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false },
  model: {
    type: 'BPE',
    unk_token: null,
    vocab: Object.fromEntries(
      [...letters, 'he', 'll', 'hell', 'hello', 'wo'].map((token, id) => [token, id]),
    ),
    merges: ['h e', 'l l', 'he ll', 'hell o', 'w o'],
  },
}
