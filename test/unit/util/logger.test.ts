import { describe, expect, it } from 'vitest';
import { BugError } from '../../../src/util/assert.ts';
import { OperationalError } from '../../../src/util/errors.ts';
import { Logger } from '../../../src/util/logger.ts';
import type { LogFields, LogLevel } from '../../../src/util/telemetry.ts';

function logged(level: LogLevel, event: string, fields?: LogFields): string[] {
  const lines: string[] = [];
  new Logger('debug', { write: (line) => void lines.push(line) }).log(level, event, fields);
  return lines;
}

function fieldsOf(fields: LogFields): Record<string, unknown> {
  const [line = ''] = logged('info', 'e', fields);
  const { level, time, event, ...rest } = JSON.parse(line);
  expect([level, event, typeof time]).toEqual(['info', 'e', 'string']);
  return rest;
}

describe('the log', () => {
  it('has one line of JSON for one event', () => {
    const lines = logged('warn', 'backend_lost', { backend: 'pg\n1', attempts: 3, up: false, lag_ms: null, gone: undefined });
    expect(lines).toHaveLength(1);
    expect(lines[0]?.endsWith('}\n')).toBe(true);
    expect(lines[0]?.slice(0, -1)).not.toContain('\n');
    expect(JSON.parse(lines[0] ?? '')).toEqual({
      level: 'warn',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      event: 'backend_lost',
      backend: 'pg\n1',
      attempts: 3,
      up: false,
      lag_ms: null,
    });
  });

  it('leaves out what is below its level, and can change it', () => {
    const lines: string[] = [];
    const logger = new Logger('warn', { write: (line) => void lines.push(line) });
    logger.log('info', 'a');
    logger.setLevel('debug');
    logger.log('debug', 'b');
    logger.setLevel('error');
    logger.log('warn', 'c');
    expect(lines.map((line) => JSON.parse(line).event)).toEqual(['b']);
  });

  it('shows of an error name, message, code and causes, and nothing else', () => {
    const database = Object.assign(new Error('duplicate key'), { code: '23505', detail: 'Key (a)=(canary)', where: 'canary' });
    const error = new OperationalError('backend_lost', 'connection lost', { cause: database, hint: 'h' });
    expect(fieldsOf({ error, err: error })).toEqual({
      error: {
        name: 'backend_lost',
        message: 'connection lost',
        code: '08006',
        cause: { name: 'Error', message: 'duplicate key', code: '23505' },
      },
      err: {
        name: 'backend_lost',
        message: 'connection lost',
        code: '08006',
        cause: { name: 'Error', message: 'duplicate key', code: '23505' },
      },
    });
  });

  it('shows where a defect happened, without repeating its message', () => {
    const { error } = fieldsOf({ error: new BugError('first\nsecond') });
    expect(error).toMatchObject({ name: 'BugError', message: 'first\nsecond' });
    expect((error as { stack: string }).stack).toMatch(/^at /);
  });

  it('ends a chain of causes that goes in a circle', () => {
    const error: Error & { cause?: unknown } = new Error('a');
    error.cause = error;
    expect(JSON.stringify(fieldsOf({ error })).split('"a"')).toHaveLength(6);
  });

  it('shows text off the wire as the UTF-8 that it is, and other text as it came', () => {
    const wire = Buffer.from('größe').toString('latin1');
    expect(fieldsOf({ wire, plain: 'größe', beyond: 'Ω', latin1: '\xe9' })).toEqual({
      wire: 'größe',
      plain: 'größe',
      beyond: 'Ω',
      latin1: 'é',
    });
  });
});
