import { expect, test } from 'vitest'
import { textPieces } from '../../../../../../main/engine/calibration/data/text-pieces.ts'

test('pieces end behind lines and are the text when joined', () => {
  const text = 'one\ntwo\nthree\n'
  expect([...textPieces(text, 9)]).toEqual(['one\ntwo\n', 'three\n'])
})

test('a short text is one piece, an empty one as well', () => {
  expect([...textPieces('abc', 3)]).toEqual(['abc'])
  expect([...textPieces('', 3)]).toEqual([''])
})

test('a line without end is cut, but never inside a character', () => {
  const pieces = [...textPieces('ab😀😀', 3)]
  expect(pieces.join('')).toBe('ab😀😀')
  expect(pieces).toEqual(['ab😀', '😀'])
})
