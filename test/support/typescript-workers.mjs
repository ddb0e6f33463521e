// Loaded before the tests beside tsx, which leaves worker threads alone: in them TypeScript files are loaded too.
import { isMainThread } from 'node:worker_threads'
import { register } from 'tsx/esm/api'

if (!isMainThread) register()
