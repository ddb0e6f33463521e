// One daemon a home. The lock is a file that names its holder by pid and start time, so that one left by a killed daemon, even where
// its pid is in use again, is taken over. In the moment between "the holder is dead" and the take-over two starters could meet; then the
// database's own lock, which the kernel keeps, decides. Never takes a lock whose holder lives.
import { readFileSync } from 'node:fs'
import { readFile, rename, rm } from 'node:fs/promises'
import { z } from 'zod'
import { KithError, systemCode } from '../core/errors.ts'
import { createAtomic } from './atomic-file.ts'

const ATTEMPTS = 5

const holderSchema = z.object({ pid: z.int().positive(), started: z.string().nullable() })
type Holder = z.infer<typeof holderSchema>

export interface Lock {
  release(): Promise<void>
}

export async function acquireLock(path: string): Promise<Lock> {
  const mine = `${JSON.stringify({ pid: process.pid, started: startOf(process.pid) } satisfies Holder)}\n`
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (await createAtomic(path, mine)) return { release: () => release(path, mine) }
    const found = await readOrNull(path)
    if (found === null) continue
    const holder = parse(found)
    if (holder !== null && isAlive(holder)) throw running(holder.pid)
    await setAside(path, found)
  }
  throw new KithError('daemon-running', 'Another daemon is starting for this home: wait a moment and try again.')
}

/** Takes away a lock that was judged dead, unless another starter replaced it meanwhile: then that one is put back. */
async function setAside(path: string, judged: string): Promise<void> {
  const aside = `${path}.${process.pid}`
  try {
    await rename(path, aside)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return
    throw error
  }
  const caught = await readOrNull(aside)
  if (caught !== null && caught !== judged) await createAtomic(path, caught)
  await rm(aside, { force: true })
}

async function release(path: string, mine: string): Promise<void> {
  if ((await readOrNull(path)) === mine) await rm(path, { force: true })
}

function running(pid: number): KithError {
  return new KithError(
    'daemon-running',
    `A daemon is running for this home already (pid ${pid}): use it, stop it with "kith stop", or choose another home with --home.`,
  )
}

function parse(text: string): Holder | null {
  try {
    return holderSchema.parse(JSON.parse(text))
  } catch {
    // Torn by a power cut: no daemon that lives writes it in parts.
    return null
  }
}

function isAlive(holder: Holder): boolean {
  try {
    process.kill(holder.pid, 0)
  } catch (error) {
    if (systemCode(error) === 'ESRCH') return false
  }
  const started = startOf(holder.pid)
  if (started === 'ended') return false
  return started === null || holder.started === null || started === holder.started
}

/** What tells two processes of one pid apart; null where the system does not say; 'ended' for one that only waits to be collected. */
function startOf(pid: number): string | null {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The name, in brackets, may hold anything; after it: state is field 3, start time field 22.
    const rest = fields.slice(fields.lastIndexOf(')') + 2).split(' ')
    if (rest[0] === 'Z' || rest[0] === 'X') return 'ended'
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
    return `${boot}:${rest[19] ?? ''}`
  } catch {
    return null
  }
}

async function readOrNull(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null
    throw error
  }
}
