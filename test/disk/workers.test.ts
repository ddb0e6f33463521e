// The threads of the disk: what they may take.
import { once } from 'node:events'
import type { Worker } from 'node:worker_threads'
import { expect } from 'chai'
import { DiskWorkers } from '../../src/disk/workers.ts'

describe('disk/workers', () => {
  it('no thread lets what is young in its heap grow as large as V8 would', async () => {
    const workers = new DiskWorkers()
    try {
      const started = once(process, 'worker')
      workers.warm()
      const [worker] = (await started) as [Worker]
      expect(worker.resourceLimits?.maxYoungGenerationSizeMb).to.be.within(1, 8)
    } finally {
      await workers.close()
    }
  })
})
