import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import type { FolderStore } from '../../src/core/ports.ts'
import { openDatabase } from '../../src/store/database.ts'
import { stateOf } from '../contract/store-contract.ts'
import { MemoryStore } from '../support/memory-store.ts'
import { seeded } from '../support/random.ts'
import { batchOf } from './committing.ts'
import { newHome, removeHomes } from './homes.ts'
import { counterOf, FOLDER } from './samples.ts'

const KILLS = 24
const SCRIPT = fileURLToPath(new URL('./committing.ts', import.meta.url))

describe('database, killed while it commits', () => {
  const { SEED: seed = String(Date.now()) } = process.env
  const random = seeded(seed)
  let child: ChildProcess | null = null

  before(() => console.log(`      seed ${seed}, ${KILLS} kills`))
  afterEach(async () => {
    child?.kill('SIGKILL')
    await removeHomes()
  })

  it('has every acknowledged commit, whole, and nothing of another', async function () {
    this.timeout(240_000)
    const directory = await newHome()
    const oracle = new MemoryStore(FOLDER)
    let stored = -1
    for (let kill = 0; kill < KILLS; kill++) {
      const acknowledged = await commitUntilKilled(directory, stored + 1, 1 + random.int(40))
      const database = await openDatabase(directory)
      const store: FolderStore = database.folder(FOLDER)
      const last = counterOf(await store.meta())
      expect(last, 'an acknowledged commit is lost').to.be.at.least(acknowledged)
      while (stored < last) await oracle.commit(batchOf(++stored))
      expect(await stateOf(store)).to.deep.equal(await stateOf(oracle))
      const { lists = [], bases = [], dots = [] } = batchOf(last)
      for (const list of lists) expect((await store.list(list.content))?.chunks).to.deep.equal(list.chunks)
      for (const { content, bytes } of bases)
        expect(Buffer.compare((await store.base(content)) ?? Buffer.alloc(0), bytes)).to.equal(0)
      for (const { node, actor, seq, content } of dots) expect(store.contentOfDot(node, actor, seq)).to.equal(content)
      await database.close()
    }
    console.log(`      ${stored + 1} commits`)
  })

  /** Kills it at some moment after `count` acknowledgements; returns the last number that was acknowledged. */
  async function commitUntilKilled(directory: string, first: number, count: number): Promise<number> {
    const running = spawn(process.execPath, ['--import', 'tsx', SCRIPT, directory, String(first)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    child = running
    const exited = once(running, 'exit')
    let last = first - 1
    for await (const line of createInterface({ input: running.stdout })) {
      last = Number(line)
      if (last === first + count - 1) {
        const delayUs = random.int(3_000)
        const start = performance.now()
        while ((performance.now() - start) * 1_000 < delayUs);
        running.kill('SIGKILL')
      }
    }
    expect((await exited)[1]).to.equal('SIGKILL')
    return last
  }
})
