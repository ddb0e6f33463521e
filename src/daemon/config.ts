// `config.toml` in the home: what a person set. Read once at start, checked to the last key, and never written here. Nothing is guessed:
// a file that is damaged stops the start with the place that is wrong, since going on with defaults could listen or sync otherwise
// than its owner said. Missing keys have their defaults in this file.
import { readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { parse, TomlError } from 'smol-toml'
import { z } from 'zod'
import { printable } from '../core/display.ts'
import { KithError, systemCode } from '../core/errors.ts'

const MAX_NAME_BYTES = 63

const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const

const nameSchema = z
  .string()
  .trim()
  .min(1, 'must not be empty')
  .refine(name => Buffer.byteLength(name) <= MAX_NAME_BYTES, `must have at most ${MAX_NAME_BYTES} bytes`)

const configSchema = z.strictObject({
  /** What other devices call this one; from the first pairing on, `kith device rename` changes it. */
  name: nameSchema.optional(),
  /** TCP port for other devices; 0 or none: chosen at the first start and kept. */
  port: z.int().min(0).max(65_535).default(0),
  /** Look for devices on the local network; without it only known and given addresses are tried. */
  discovery: z.boolean().default(true),
  log: z.strictObject({ level: z.enum(LOG_LEVELS).default('info') }).prefault({}),
})

export interface Config {
  readonly name: string
  readonly port: number
  readonly discovery: boolean
  readonly log: { readonly level: (typeof LOG_LEVELS)[number] }
}

export async function loadConfig(path: string): Promise<Config> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') {
      throw invalid(path, `cannot be read (${systemCode(error) ?? 'error'}): mend its permissions`, error)
    }
    text = ''
  }
  return parseConfig(text, path)
}

export function parseConfig(text: string, path: string): Config {
  let table: unknown
  try {
    table = parse(text)
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    const what = error.message.split('\n')[0] ?? ''
    throw invalid(path, `is damaged in line ${error.line}, column ${error.column} (${what}): mend or remove it`, error)
  }
  const result = configSchema.safeParse(table)
  if (!result.success) {
    const issue = result.error.issues[0]
    throw invalid(path, issue === undefined ? 'is wrong' : describe(issue), result.error)
  }
  const { name, ...rest } = result.data
  return { name: name ?? defaultName(), ...rest }
}

function describe(issue: z.core.$ZodIssue): string {
  if (issue.code === 'unrecognized_keys') {
    const key = [...issue.path, issue.keys[0]].join('.')
    return `has a key that Kith does not know, "${key}": mend or remove it`
  }
  return `has a wrong value for "${issue.path.join('.')}" (${issue.message}): mend or remove it`
}

/** The host's own short name. */
function defaultName(): string {
  const short = hostname().split('.')[0] ?? ''
  return nameSchema.safeParse(short).data ?? 'device'
}

function invalid(path: string, what: string, cause: unknown): KithError {
  return new KithError('config-invalid', printable(`${path} ${what}.`), { cause })
}
