// Histories that once failed, shrunk and kept: each file is named for what was wrong.
import { readdirSync, readFileSync } from 'node:fs'
import { expect } from 'chai'
import { runHistory } from './run-history.ts'
import type { History } from './steps.ts'

const FOLDER = new URL('./saved/', import.meta.url)

describe('histories that once failed', () => {
  for (const file of readdirSync(FOLDER).sort()) {
    it(file.replace(/\.json$/, '').replaceAll('-', ' '), async () => {
      const history = JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8')) as History
      const { failure, log } = await runHistory(history)
      if (failure !== null) expect.fail(`${failure}\n${log.slice(-80).join('\n')}`)
    })
  }
})
