// What the folders of the scenarios are filled with: the project's own node_modules as a real tree, generated files where numbers
// matter, and saves as editors make them.
import { execFileSync } from 'node:child_process'
import { appendFileSync, mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { randomBytes } from './random.ts'

const MODULES = fileURLToPath(new URL('../../../node_modules', import.meta.url))
/** Big binaries of one file each: bytes without variety. */
const LEFT_OUT = ['@biomejs', '@esbuild']

/** Whole packages, in order of name, until there are `files` of them; with the links of `.bin`, modes and times. */
export function copyModules(target: string, files: number): void {
  mkdirSync(target)
  let copied = 0
  for (const name of readdirSync(MODULES).sort()) {
    if (copied >= files) return
    if (LEFT_OUT.includes(name)) continue
    execFileSync('cp', ['-a', join(MODULES, name), target])
    copied += Number(execFileSync('sh', ['-c', 'find "$0" | wc -l', join(target, name)], { encoding: 'utf8' }))
  }
}

/** `count` small files, `perDirectory` in each directory. */
export function writeMany(root: string, count: number, options: { perDirectory: number; bytes: number }): void {
  for (let index = 0; index < count; index++) {
    const directory = join(root, `d${Math.floor(index / options.perDirectory)}`)
    if (index % options.perDirectory === 0) mkdirSync(directory, { recursive: true })
    writeFileSync(join(directory, `f${index}`), randomBytes(options.bytes))
  }
}

/** A random file, written in pieces. */
export function writeBig(path: string, bytes: number): void {
  const PIECE = 1_000_000
  writeFileSync(path, '')
  for (let at = 0; at < bytes; at += PIECE) appendFileSync(path, randomBytes(Math.min(PIECE, bytes - at)))
}

/** As most editors save: a new file beside it, renamed over it. */
export function saveByRename(path: string, content: string | Uint8Array): void {
  const beside = join(dirname(path), '.save~')
  writeFileSync(beside, content)
  renameSync(beside, path)
}

/** A text of numbered lines, some of them replaced. */
export function lines(count: number, replaced: Readonly<Record<number, string>> = {}): string {
  let text = ''
  for (let at = 1; at <= count; at++) text += `${replaced[at] ?? `line ${at}`}\n`
  return text
}
