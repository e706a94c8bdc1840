import { describe, expect, test } from 'vitest';
import { PresentStatement, plainStep, ReplyScript, Segment, type SegmentSink, type Step } from '../../../src/backend/exchange.ts';
import { Ledger } from '../../../src/backend/ledger.ts';
import { FRONTEND } from '../../../src/protocol/codes.ts';
import { SessionStatements, StatementRegistry } from '../../../src/session/prepared-statements.ts';
import { shapeOf } from '../../../src/session/result-shape.ts';
import { NameStep, ObserveStep, ParseStep } from '../../../src/session/steps.ts';
import { ClientMessage, Work } from '../../../src/session/work.ts';
import { SettingsSet } from '../../../src/util/settings-set.ts';
import { backendMessage, clientMessage } from '../../support/transcript.ts';

const ready = backendMessage('ReadyForQuery', 'I');
const error = backendMessage('ErrorResponse', { S: 'ERROR', V: 'ERROR', C: '42601', M: 'no' });
const parsed = backendMessage('ParseComplete');
const bound = backendMessage('BindComplete');
const columns = backendMessage('RowDescription', [['n', 0, 0, 23, 4, -1, 0]]);

/** Hears nothing. */
const sink = (): SegmentSink => ({
  forward: () => undefined,
  error: () => undefined,
  copyIn: () => undefined,
  ready: () => undefined,
  parameter: () => false,
  lost: () => undefined,
});

/** What is known to be on a connection. */
class Present {
  readonly removed: number[] = [];
  unnamedForgotten = 0;
  removeStatement(id: number): void {
    this.removed.push(id);
  }
  forgetUnnamed(): void {
    this.unnamedForgotten++;
  }
}

/** A segment of a session on a connection of its own, and what takes it from the session, as when a read is moved elsewhere. */
function sent(...steps: readonly Step[]) {
  const ours = sink();
  const script = new ReplyScript();
  for (const step of steps) script.append(step);
  const segment = new Segment('forward', ours, null, script);
  const ledger = new Ledger({ notification: () => undefined, farewell: () => undefined, parameterChanged: () => undefined });
  ledger.push(segment);
  return { ledger, move: () => ledger.reassign((of) => of === ours, sink()) };
}

function parseOf(name: string): ClientMessage {
  const bytes = clientMessage('Parse', name, 'SELECT 1', []);
  const message = new ClientMessage(FRONTEND.parse, bytes, 0, bytes.length, bytes.length);
  message.name = name;
  return message;
}

const skippedIn = (work: Work) => work.skipped?.map(({ message, failing }) => [message.name, failing]) ?? null;

describe('a message that PostgreSQL skipped or refused', () => {
  test('is one of its work', () => {
    const work = new Work('batch', 0);
    const present = new Present();
    const { ledger } = sent(
      new ParseStep(present, work, { id: 7, named: true }, parseOf('a')),
      plainStep,
      new NameStep(work, parseOf('b'), null),
      new NameStep(work, parseOf('c'), parsed),
      new ParseStep(present, work, { id: 8, named: false }, null),
    );
    ledger.receive(Buffer.concat([error, ready]));
    expect(skippedIn(work)).toEqual([
      ['c', false],
      ['b', false],
      ['a', true],
    ]);
    expect(present).toMatchObject({ removed: [7], unnamedForgotten: 1 });
  });

  test('where its work is not run any more says something of the connection, and nothing of the work', () => {
    const work = new Work('batch', 0);
    const present = new Present();
    const { ledger, move } = sent(
      new NameStep(work, parseOf('a'), parsed),
      new ParseStep(present, work, { id: 7, named: true }, parseOf('b')),
      new ParseStep(present, work, { id: 8, named: false }, parseOf('')),
      new NameStep(work, parseOf('c'), null),
    );
    move();
    ledger.receive(Buffer.concat([error, ready]));
    expect(skippedIn(work)).toBe(null);
    expect(present).toMatchObject({ removed: [7], unnamedForgotten: 1 });
  });
});

describe('a description', () => {
  const statement = () => new SessionStatements(new StatementRegistry(1000), 10).define('a', 'SELECT 1', Buffer.from([0, 0]));

  test('is what the client is told, and what the connection has', () => {
    const definition = statement();
    const present = new PresentStatement(Buffer.from('p'), SettingsSet.empty);
    const { ledger } = sent(plainStep, new ObserveStep(definition, present));
    ledger.receive(Buffer.concat([bound, backendMessage('ParameterDescription', [25]), columns, ready]));
    expect([definition.told, present.shape]).toEqual([shapeOf(columns), shapeOf(columns)]);
    expect(definition.types).toBe('\0\x01\0\0\0\x19');
    expect(present.types).toBe(definition.types);
  });

  test('that came where its work is not run any more, the client was not told', () => {
    const definition = statement();
    const present = new PresentStatement(Buffer.from('p'), SettingsSet.empty);
    const { ledger, move } = sent(plainStep, new ObserveStep(definition, present));
    move();
    ledger.receive(Buffer.concat([bound, backendMessage('ParameterDescription', [25]), columns, ready]));
    expect([definition.told, definition.types]).toEqual([null, null]);
    expect([present.shape, present.types]).toEqual([shapeOf(columns), '\0\x01\0\0\0\x19']);
  });
});
