// Sizes as people type them: `20GB`, `1.5 TB`, `500 MiB`, `1000000`. Pure.

const UNITS = ['', 'k', 'm', 'g', 't', 'p']

/** Whole bytes; null where it is no size. */
export function parseSize(text: string): number | null {
  const found = /^(\d+(?:\.\d+)?)\s*([kmgtp]?)(i?)b?$/i.exec(text.trim())
  if (found === null) return null
  const [, number = '', unit = '', binary = ''] = found
  if (unit === '' && binary !== '') return null
  const bytes = Math.round(Number(number) * (binary === '' ? 1000 : 1024) ** UNITS.indexOf(unit.toLowerCase()))
  return Number.isSafeInteger(bytes) ? bytes : null
}
