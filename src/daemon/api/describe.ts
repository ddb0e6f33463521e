// How every route is described: JSON in, JSON out, errors of one shape. Names travel in bodies, never in paths: a name may hold any character.
import type { z } from '@hono/zod-openapi'
import { errorSchema } from './schema.ts'

export const API = '/api/v1'

const failure = { description: 'What went wrong', content: { 'application/json': { schema: errorSchema } } }

export function answers<S extends z.ZodType>(schema: S, description: string) {
  return {
    200: { description, content: { 'application/json': { schema } } },
    400: failure,
    404: failure,
    409: failure,
    500: failure,
  }
}

export function takes<S extends z.ZodType>(schema: S) {
  return { body: { required: true, content: { 'application/json': { schema } } } }
}
