// One file of tests in a mount and a network namespace of its own, which go with it and with all that it mounted.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export interface Counts {
  passed: number
  failed: number
  skipped: number
}

const APART = ['unshare', '--mount', '--net', '--propagation', 'private', '--']
const MOCHA = fileURLToPath(new URL('../../node_modules/.bin/mocha', import.meta.url))
const CONFIG = fileURLToPath(new URL('../../.mocharc.e2e.json', import.meta.url))

/** Runs one file of tests; what it prints goes to `say`. */
export async function runApart(
  file: string,
  options: {
    readonly environment?: NodeJS.ProcessEnv
    readonly grep?: string
    readonly say: (text: string) => void
  },
): Promise<Counts> {
  const { environment = {}, grep, say } = options
  const [command = '', ...rest] = APART
  const chosen = grep === undefined ? [] : ['--grep', grep]
  const child = spawn(command, [...rest, MOCHA, '--config', CONFIG, ...chosen, file], {
    env: { ...process.env, KITH_FAULT: 'unshared', ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const forward = (signal: NodeJS.Signals): void => void child.kill(signal)
  process.on('SIGTERM', forward)
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part
    say(part)
  })
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  process.off('SIGTERM', forward)
  const count = (word: string): number => Number(new RegExp(`^ +(\\d+) ${word}\\b`, 'm').exec(text)?.[1] ?? 0)
  const counts = { passed: count('passing'), failed: count('failing'), skipped: count('pending') }
  // A run that ended before it could count, and a file without a test.
  const ran = counts.passed + counts.failed + counts.skipped
  if (counts.failed === 0 && (code !== 0 || ran === 0)) counts.failed = 1
  return counts
}
