import { expect } from 'chai'
import { KithError } from '../../src/core/errors.ts'
import { runUntilStopped, type StartRequest, StopRequest } from '../../src/daemon/runs.ts'
import { silentLog } from './support/fake-daemon.ts'
import { refusal } from './support/refusal.ts'

describe('daemon/runs', () => {
  let stop: StopRequest
  let starts: StartRequest[]
  let stops: number
  let clean: boolean
  /** What happens once each daemon runs. */
  let lives: (((request: StartRequest) => void) | Error | null)[]
  let ready: number
  let left: number
  let notReady: Error | null
  /** Met when the note is left, or when a daemon stops. */
  let unwritable: Error | null
  let onStop: (() => void) | null
  let errors: string[]

  beforeEach(() => {
    stop = new StopRequest()
    starts = []
    stops = 0
    clean = true
    lives = []
    ready = 0
    left = 0
    notReady = null
    unwritable = null
    onStop = null
    errors = []
  })

  function run(starting: (request: StartRequest) => void = () => undefined): Promise<boolean> {
    return runUntilStopped({
      log: { ...silentLog, error: (_: unknown, text?: string) => errors.push(text ?? '') },
      stop,
      onStarted: async () => {
        if (notReady !== null) throw notReady
        ready++
      },
      leaveDamaged: async () => {
        if (unwritable !== null) throw unwritable
        left++
      },
      start: async request => {
        if (lives.length === 0) throw new Error('one start too many')
        starts.push(request)
        const life = lives.shift()
        if (life instanceof Error) throw life
        starting(request)
        setImmediate(() => life?.(request))
        return {
          stop: async () => {
            stops++
            onStop?.()
            return clean
          },
        }
      },
    })
  }

  const isDamaged = ({ onDatabaseDamaged }: StartRequest): void => onDatabaseDamaged()
  const rebuilds = (): boolean[] => starts.map(({ rebuild }) => rebuild)

  it('stops when that is asked', async () => {
    lives = [() => stop.ask()]
    expect(await run()).to.equal(true)
    expect({ rebuilds: rebuilds(), stops }).to.deep.equal({ rebuilds: [false], stops: 1 })
  })

  for (const damaged of [false, true])
    it(`stops while it starts${damaged ? ' anew' : ''}, and that is a clean end`, async () => {
      const starting = ({ rebuild }: StartRequest): void => {
        if (rebuild !== damaged) return
        expect(stop.signal.aborted).to.equal(false)
        stop.ask()
        throw stop.signal.reason
      }
      lives = damaged ? [new KithError('database-corrupt', 'so it is'), null] : [null]
      expect(await run(starting)).to.equal(true)
      expect({ rebuilds: rebuilds(), stops, ready }).to.deep.equal({
        rebuilds: damaged ? [false, true] : [false],
        ...{ stops: 0, ready: 0 },
      })
    })

  it('builds a damaged database anew by one more start', async () => {
    lives = [isDamaged, () => stop.ask()]
    expect(await run()).to.equal(true)
    expect({ rebuilds: rebuilds(), stops }).to.deep.equal({ rebuilds: [false, true], stops: 2 })
  })

  it('also where the damage is met before the daemon runs: it is ready once', async () => {
    lives = [new KithError('database-corrupt', 'so it is'), () => stop.ask()]
    expect(await run()).to.equal(true)
    expect({ rebuilds: rebuilds(), stops, ready }).to.deep.equal({ rebuilds: [false, true], stops: 1, ready: 1 })
  })

  it('goes on with what there is where it cannot be built anew', async () => {
    lives = [isDamaged, new KithError('no-space', 'no room'), () => stop.ask()]
    expect(await run()).to.equal(true)
    expect({ rebuilds: rebuilds(), stops, ready }).to.deep.equal({ rebuilds: [false, true, false], stops: 2, ready: 1 })
  })

  it('says why it does not run where nothing helps', async () => {
    lives = [new KithError('database-corrupt', 'so it is'), new KithError('no-space', 'no room')]
    expect((await refusal(run())).code).to.equal('no-space')
  })

  it('does so once: what is damaged again stays as it is until somebody stops it', async () => {
    const again = (request: StartRequest): void => {
      isDamaged(request)
      // Whatever that might have caused comes before this.
      setImmediate(() => setImmediate(() => stop.ask()))
    }
    lives = [isDamaged, again]
    expect(await run()).to.equal(true)
    expect({ rebuilds: rebuilds(), stops }).to.deep.equal({ rebuilds: [false, true], stops: 2 })
  })

  it('does not start again where the damaged one did not end well, which the next process is told of, or was to stop', async () => {
    clean = false
    lives = [isDamaged]
    expect(await run()).to.equal(false)
    expect(left).to.equal(1)
    clean = true
    lives = [
      request => {
        isDamaged(request)
        stop.ask()
      },
    ]
    expect(await run()).to.equal(true)
    expect(rebuilds()).to.deep.equal([false, false])
    expect(left, 'however clean the end was').to.equal(2)
  })

  it('leaves word of damage before the daemon stops, and of what was met while it stopped', async () => {
    const before: number[] = []
    const again = (request: StartRequest): void => {
      isDamaged(request)
      stop.ask()
    }
    lives = [isDamaged, again]
    onStop = () => before.push(left)
    expect(await run()).to.equal(true)
    expect({ before, left }, 'also of what was damaged again').to.deep.equal({ before: [1, 2], left: 2 })
    stop = new StopRequest()
    left = 0
    lives = [() => stop.ask()]
    onStop = () => starts.at(-1)?.onDatabaseDamaged()
    expect(await run()).to.equal(true)
    expect(left).to.equal(1)
  })

  it('leaves word of damage that is met before the daemon runs', async () => {
    const before: number[] = []
    lives = [new KithError('database-corrupt', 'so it is'), () => stop.ask()]
    expect(await run(() => void before.push(left))).to.equal(true)
    expect({ before, left }).to.deep.equal({ before: [1], left: 1 })
  })

  it('also where the daemon is stopped because it is not ready', async () => {
    notReady = new KithError('not-found', 'no such folder')
    lives = [null]
    expect((await refusal(run(isDamaged))).code).to.equal('not-found')
    expect({ left, stops }).to.deep.equal({ left: 1, stops: 1 })
  })

  it('ends as it would where that word cannot be left, and says so', async () => {
    unwritable = new Error('ENOSPC')
    clean = false
    lives = [isDamaged]
    expect(await run()).to.equal(false)
    expect(errors).to.deep.equal(['the next start cannot be told that the database is damaged'])
  })
})
