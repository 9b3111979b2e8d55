/** Cuts a long document into pieces that a tokenizer handles in bounded memory. */

const PIECE_CHARACTERS = 1024 * 1024

/** Pieces of about a million characters that end behind a line where possible; a shorter text is one piece. Concatenated they are the text. */
export function* textPieces(text: string, pieceCharacters = PIECE_CHARACTERS): Iterable<string> {
  let begin = 0
  while (text.length - begin > pieceCharacters) {
    const newline = text.lastIndexOf('\n', begin + pieceCharacters - 1)
    let end = newline > begin ? newline + 1 : begin + pieceCharacters
    // Never between the halves of a surrogate pair.
    if (isHighSurrogate(text.charCodeAt(end - 1))) end += 1
    yield text.slice(begin, end)
    begin = end
  }
  yield text.slice(begin)
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff
}
