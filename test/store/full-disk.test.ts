import { spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'

const SCRIPT = fileURLToPath(new URL('./filling.ts', import.meta.url))
const MOUNTED = 'mount -t tmpfs -o size=16m none "$1" && exec "$2" --import tsx "$3" "$1" "$4"'

describe('database on a disk that is full', () => {
  it('loses and invents nothing, and goes on by itself', async function () {
    this.timeout(120_000)
    if (spawnSync('unshare', ['-m', 'true']).status !== 0) {
      console.log('      SKIP: mounting a small disk needs `unshare -m`')
      this.skip()
    }
    const { SEED: seed = String(Date.now()) } = process.env
    const disk = await mkdtemp(join(tmpdir(), 'kith-full-'))
    try {
      const shell = ['-m', '--propagation', 'private', 'sh', '-c', MOUNTED, 'sh', disk, process.execPath, SCRIPT, seed]
      const run = spawnSync('unshare', shell, { encoding: 'utf8', timeout: 100_000 })
      console.log(`      seed ${seed}\n${run.stdout.replace(/^/gm, '      ').trimEnd()}`)
      expect(run.stderr).to.equal('')
      expect(run.status).to.equal(0)
    } finally {
      await rm(disk, { recursive: true })
    }
  })
})
