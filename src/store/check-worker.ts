// The process that checks a database for another one: `check-worker DIRECTORY`. What ends it ends nobody else. Says why on stderr.
import { isKithError } from '../core/errors.ts'
import { DAMAGED } from './check.ts'
import { openDatabase } from './database.ts'

async function check(directory: string): Promise<void> {
  const database = await openDatabase(directory)
  try {
    await database.check()
  } finally {
    await database.close()
  }
}

// Without the one who asked, at once: the next daemon must not find the database in use.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))
try {
  await check(process.argv[2] ?? '')
  process.exit(0)
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exit(isKithError(error) && error.code === 'database-corrupt' ? DAMAGED : 1)
}
