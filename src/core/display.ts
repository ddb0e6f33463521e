// Text that others made (names of files, devices, folders), made safe to print: nothing in it may move a cursor, start an escape
// sequence, break a line or turn the direction of what follows. For people's eyes only; never used to store or compare.

const UNSAFE = /[\p{Cc}\p{Bidi_Control}\p{Cs}\u2028\u2029\ufeff]/gu

function escapeOne(character: string): string {
  const code = character.codePointAt(0) ?? 0
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`
}

/** One line, without control characters, bidirectional controls or lone surrogates. */
export function printable(text: string): string {
  return text.replace(UNSAFE, escapeOne)
}

/** JSON text whose strings hold none of them raw: escaped as JSON does, so that a parser gets the true text back. */
export function printableJson(value: unknown, indent?: number): string {
  return escapeJsonText(JSON.stringify(value, null, indent))
}

/** The same for JSON text that exists already; the line breaks of its layout stay. */
export function escapeJsonText(json: string): string {
  return json.replace(UNSAFE, character => {
    const code = character.codePointAt(0) ?? 0
    return code < 0x20 ? character : `\\u${code.toString(16).padStart(4, '0')}`
  })
}

/** To the second, in the time of this machine, as a person may type it. */
export function localTime(ms: number): string {
  return new Date(ms).toLocaleString('sv-SE')
}

/** One word of a shell. */
export function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}
