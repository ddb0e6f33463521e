#!/usr/bin/env node
// The command `kith`. Loads only what the command at hand needs: asking for the version, or a shell that completes a word, must not wait
// for a network library.
import { ownVersion } from './version.ts'

const args = process.argv.slice(2)

// `kith events | head` ends when its reader does; a command that has something to clean up hears it as Ctrl-C.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  if (process.listenerCount('SIGINT') === 0) process.exit(0)
  process.kill(process.pid, 'SIGINT')
})

if (args.length === 1 && (args[0] === '--version' || args[0] === '-V')) process.stdout.write(`${ownVersion()}\n`)
else {
  const { runCli } = await import('./program.ts')
  process.exitCode = await runCli(args, {
    env: process.env,
    cwd: process.cwd(),
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
  })
}
