// Where the home of this device is, and where its daemon listens.
import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { join, resolve } from 'node:path'
import envPaths from 'env-paths'
import { quote } from '../core/display.ts'

export interface Place {
  readonly home: string
  /** The command with which a person gets at this same home. */
  readonly command: string
}

/** `--home`, else `$KITH_HOME`, else the platform's own place. */
export function findHome(flag: string | undefined, env: NodeJS.ProcessEnv, cwd: string): Place {
  if (flag !== undefined) return { home: resolve(cwd, flag), command: `kith --home ${quote(flag)}` }
  const { KITH_HOME } = env
  if (KITH_HOME !== undefined && KITH_HOME !== '') return { home: resolve(cwd, KITH_HOME), command: 'kith' }
  return { home: envPaths('kith', { suffix: '' }).data, command: 'kith' }
}

/** A path over the system's limit lies elsewhere, and the home says where. */
export function findSocket(home: string): string {
  const real = existsSync(home) ? realpathSync(home) : home
  const pointer = join(real, 'daemon.sock.path')
  return existsSync(pointer) ? readFileSync(pointer, 'utf8').trim() : join(real, 'daemon.sock')
}
