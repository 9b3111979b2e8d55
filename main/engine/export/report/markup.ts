/** HTML from templates in which every value is escaped. Tensor names, module names and file names come from checkpoints: hostile input. */

export class Markup {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

type Part = Markup | string | number | readonly Part[] | undefined

/** `html\`<p>${name}</p>\``: strings are escaped, Markup is not, lists are joined, undefined is nothing. */
export function html(strings: TemplateStringsArray, ...values: readonly Part[]): Markup {
  let text = strings[0] ?? ''
  values.forEach((value, index) => {
    text += partText(value) + (strings[index + 1] ?? '')
  })
  return new Markup(text)
}

function partText(value: Part): string {
  if (value === undefined) return ''
  if (value instanceof Markup) return value.text
  if (typeof value === 'string' || typeof value === 'number') return escapeText(String(value))
  return value.map(partText).join('')
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
  '`': '&#96;',
}

/** Characters that would be invisible, break the file or turn the direction of the text around them. */
const UNSEEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff\ufffe\uffff]/gu

/** Safe inside elements and quoted attributes; what cannot be seen is written as its code point. */
export function escapeText(text: string): string {
  return text
    .replace(
      UNSEEN,
      (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}}`,
    )
    .replace(/[&<>"'`]/g, (character) => ENTITIES[character] ?? '')
}
