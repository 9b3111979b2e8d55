/** Calibration text from bytes; says where a file stops being text. */
import { AppError } from '../../../../shared/errors/app-error.ts'

/** UTF-8 without its byte order mark. Throws CALIBRATION_DATA_INVALID naming `file:line` of the first byte that is not UTF-8. */
export function decodeText(name: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new AppError('CALIBRATION_DATA_INVALID', {
      subject: `${name}:${String(lineOfDamage(bytes))}`,
      problem: 'the line is not UTF-8 text',
      remedy: 'convert the file to UTF-8',
    })
  }
}

/** 1-based. No byte of a longer UTF-8 character is a newline, so every line can be tried on its own. */
function lineOfDamage(bytes: Uint8Array): number {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let begin = 0
  for (let line = 1; ; line += 1) {
    const newline = bytes.indexOf(0x0a, begin)
    try {
      decoder.decode(bytes.subarray(begin, newline < 0 ? bytes.length : newline))
    } catch {
      return line
    }
    if (newline < 0) return line
    begin = newline + 1
  }
}
