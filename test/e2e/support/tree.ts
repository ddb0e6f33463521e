// What a directory holds, read independently of the product: type, nine permission bits, mtime in whole ms of files, size, SHA-256 or
// link target. Names are compared in NFC, since each disk keeps its own spelling of equal names, and otherwise as bytes. The product's
// own `.kith` at the root is left out.
import { createHash } from 'node:crypto'
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** Path (UTF-8 in NFC, parts joined by `/`) → one line that says all that must be equal. */
export type Tree = ReadonlyMap<string, string>

const SLASH = Buffer.from('/')
const SHOWN = 8

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

export function readTree(root: string): Tree {
  const lines: [string, string][] = []
  const walk = (directory: Buffer, prefix: string): void => {
    const taken = new Set<string>()
    for (const name of readdirSync(directory, { encoding: 'buffer' })) {
      const spelled = name.toString('utf8')
      if (prefix === '' && spelled === '.kith') continue
      const normal = spelled.normalize('NFC')
      const shown = taken.has(normal) ? spelled : normal
      taken.add(shown)
      const path = Buffer.concat([directory, SLASH, name])
      lines.push([prefix + shown, describeEntry(path)])
      if (lstatSync(path).isDirectory()) walk(path, `${prefix}${shown}/`)
    }
  }
  walk(Buffer.from(root), '')
  return new Map(lines.sort(([a], [b]) => (a < b ? -1 : 1)))
}

function describeEntry(path: Buffer): string {
  const stat = lstatSync(path, { bigint: true })
  const mode = (stat.mode & 0o777n).toString(8).padStart(3, '0')
  if (stat.isDirectory()) return `directory ${mode}`
  if (stat.isSymbolicLink()) return `symlink → ${readlinkSync(path, { encoding: 'buffer' }).toString('latin1')}`
  if (!stat.isFile()) return 'other'
  return `file ${mode} mtime ${stat.mtimeNs / 1_000_000n} size ${stat.size} ${sha256(readFileSync(path))}`
}

/** Nothing when equal, else a few lines that say where they differ. */
export function diffTrees(a: Tree, b: Tree, names: readonly [string, string]): string {
  const lines: string[] = []
  for (const [path, line] of a) {
    const other = b.get(path)
    if (other === undefined) lines.push(`only on ${names[0]}: ${shown(path)} (${line})`)
    else if (other !== line) lines.push(`${shown(path)}: ${names[0]} ${line} | ${names[1]} ${other}`)
  }
  for (const [path, line] of b) if (!a.has(path)) lines.push(`only on ${names[1]}: ${shown(path)} (${line})`)
  const more = lines.length > SHOWN ? [`… and ${lines.length - SHOWN} more`] : []
  return [...lines.slice(0, SHOWN), ...more].join('\n')
}

/** The paths of regular files whose bytes are exactly `content`. */
export function pathsHolding(tree: Tree, content: string | Uint8Array): string[] {
  const hash = sha256(typeof content === 'string' ? Buffer.from(content) : content)
  return [...tree].filter(([, line]) => line.startsWith('file ') && line.endsWith(hash)).map(([path]) => path)
}

export function countFiles(tree: Tree): number {
  let files = 0
  for (const line of tree.values()) if (line.startsWith('file ')) files++
  return files
}

function shown(path: string): string {
  const text = JSON.stringify(path)
  return text.length > 90 ? `${text.slice(0, 87)}…"` : text
}
