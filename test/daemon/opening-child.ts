// A process that opens the database of the home in DIRECTORY as the daemon does: `node --import tsx opening-child.ts DIRECTORY`. Prints whether it
// was built anew; closes it when its input ends.
import { join } from 'node:path'
import { folderListFile } from '../../src/daemon/folder-list.ts'
import { openOrRebuild } from '../../src/daemon/open-database.ts'
import { silentLog } from './support/fake-daemon.ts'

const at = (name: string): string => join(process.argv[2] ?? '', name)
const { rebuilt, close } = await openOrRebuild(
  { list: folderListFile(at('folders.json')), log: silentLog },
  { home: { database: at('database'), openingsFile: at('openings.json') } },
)
process.stdout.write(`${JSON.stringify({ rebuilt })}\n`)
process.stdin.on('end', () => void close()).resume()
