import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type DescribingStep,
  Guard,
  plainStep,
  ReplyScript,
  Segment,
  type SegmentMode,
  type SegmentSink,
  type Step,
} from '../../../src/backend/exchange.ts';
import { Ledger, type LedgerOwner } from '../../../src/backend/ledger.ts';
import { ProtocolError } from '../../../src/protocol/protocol-error.ts';
import { cutAt, cutsWithin } from '../../support/cuts.ts';
import { backendMessage, splitStream, tell } from '../../support/transcript.ts';

const ready = (status = 'I') => backendMessage('ReadyForQuery', status);
const done = backendMessage('CommandComplete', 'SELECT 1');
const row = backendMessage('DataRow', ['x'.repeat(40)]);
const error = (severity = 'ERROR') => backendMessage('ErrorResponse', { S: severity, V: severity, C: '57014', M: 'no' });
const parsed = backendMessage('ParseComplete');
const bound = backendMessage('BindComplete');

/** Writes down all that a ledger says, in order; what is forwarded, by the names of its messages. */
class Scribe implements SegmentSink, LedgerOwner {
  readonly told: string[] = [];
  withholds = false;
  parameterAnswer: boolean | Buffer = true;
  #bytes: Buffer[] = [];

  forward(_segment: Segment, slice: Buffer, start: number, end: number): void {
    this.#bytes.push(Buffer.from(slice.subarray(start, end)));
  }

  error(segment: Segment): void {
    if (this.withholds) segment.discarding = true;
  }

  copyIn(): void {
    this.say('copy in');
  }

  ready(segment: Segment, status: number): void {
    this.say(`ready ${segment.mode} ${String.fromCharCode(status)}${segment.failed ? ' failed' : ''}`);
  }

  parameter(): boolean | Buffer {
    return this.parameterAnswer;
  }

  lost(segment: Segment): void {
    this.say(`lost ${segment.mode}`);
  }

  notification(_slice: Buffer, start: number, end: number): void {
    this.say(`notification of ${end - start}`);
  }

  farewell(): void {
    this.say('farewell');
  }

  parameterChanged(name: string, value: string): void {
    this.say(`${name}=${value}`);
  }

  say(what: string): void {
    this.#forwarded();
    this.told.push(what);
  }

  /** Everything, with what was forwarded since the last event. */
  all(): string[] {
    this.#forwarded();
    return this.told;
  }

  #forwarded(): void {
    const bytes = Buffer.concat(this.#bytes);
    this.#bytes = [];
    if (bytes.length > 0) this.told.push(...splitStream('S', bytes).map(({ bytes }) => `> ${tell('S', bytes)?.name ?? 'hex'}`));
  }
}

function bench(modes: readonly SegmentMode[] = ['forward'], guard: Guard | null = null) {
  const scribe = new Scribe();
  const ledger = new Ledger(scribe);
  const segments = modes.map((mode) => new Segment(mode, scribe, guard, null));
  for (const segment of segments) ledger.push(segment);
  return { scribe, ledger, segments };
}

/** A forwarded segment with a script of steps. */
function scripted(...steps: readonly Step[]) {
  const scribe = new Scribe();
  const ledger = new Ledger(scribe);
  const script = new ReplyScript();
  for (const step of steps) script.append(step);
  const segment = new Segment('forward', scribe, null, script);
  ledger.push(segment);
  return { scribe, ledger, segment, script };
}

const harmless = { undo: () => undefined, disown: () => undefined };
const drop: Step = { action: 'drop', reply: null, ...harmless };
const emit = (reply: Buffer): Step => ({ action: 'emit', reply, ...harmless });

describe('segments in a row', () => {
  test('get each its own replies, by their mode', () => {
    const { scribe, ledger, segments } = bench(['swallow', 'forward', 'capture']);
    ledger.receive(Buffer.concat([done, ready('T'), row, done, ready('T'), row, row, done, ready()]));
    expect(scribe.all()).toEqual([
      'ready swallow T',
      '> DataRow',
      '> CommandComplete',
      '> ReadyForQuery',
      'ready forward T',
      'ready capture I',
    ]);
    expect(Buffer.concat(segments[2]?.captured ?? [])).toEqual(Buffer.concat([row, row]));
    expect([ledger.owed, ledger.current, ledger.status]).toEqual([0, null, 0x49]);
  });

  test('that are guarded and fail say why', () => {
    const guard = new Guard();
    const { scribe, ledger } = bench(['swallow'], guard);
    ledger.receive(Buffer.concat([error(), ready('E')]));
    expect(scribe.all()).toEqual(['ready swallow E failed']);
    expect(guard.failure).toEqual(error());
  });

  describe('without a Sync', () => {
    const unsynced = (...steps: readonly Step[]) => {
      const scribe = new Scribe();
      const ledger = new Ledger(scribe);
      const script = new ReplyScript();
      for (const step of steps) script.append(step);
      const guard = new Guard();
      const segment = new Segment('swallow', scribe, guard, script);
      segment.synced = false;
      segment.isClients = true;
      ledger.push(segment);
      ledger.push(new Segment('forward', scribe, guard, null));
      return { scribe, ledger, guard };
    };

    test('end with their last reply', () => {
      const { scribe, ledger } = unsynced(drop, drop, drop);
      ledger.receive(Buffer.concat([parsed, bound]));
      expect(scribe.all()).toEqual([]);
      ledger.receive(Buffer.concat([row, done]));
      expect(scribe.all()).toEqual(['ready swallow I']);
      ledger.receive(Buffer.concat([row, done, ready('T')]));
      expect(scribe.all()).toEqual(['ready swallow I', '> DataRow', '> CommandComplete', '> ReadyForQuery', 'ready forward T']);
    });

    test('end with an error, and say whose it is', () => {
      const { scribe, ledger, guard } = unsynced(drop, drop, drop);
      ledger.receive(Buffer.concat([parsed, error()]));
      expect(scribe.all()).toEqual(['ready swallow I failed']);
      expect([guard.failure, guard.isClients]).toEqual([error(), true]);
    });
  });

  test('may be entered while another is completed', () => {
    const { scribe, ledger } = bench();
    const later = new Segment('forward', scribe, null, null);
    scribe.ready = () => {
      scribe.say('ready');
      if (ledger.owed === 0 && scribe.told.filter((what) => what === 'ready').length === 1) ledger.push(later);
    };
    ledger.receive(Buffer.concat([done, ready(), row, ready()]));
    expect(scribe.all()).toEqual(['> CommandComplete', '> ReadyForQuery', 'ready', '> DataRow', '> ReadyForQuery', 'ready']);
  });

  test('are taken out when the connection is lost, the oldest first', () => {
    const { ledger, segments } = bench(['forward', 'swallow']);
    expect(ledger.abandon()).toEqual(segments);
    expect(ledger.owed).toBe(0);
  });
});

describe('an error', () => {
  test('is forwarded with all that came before', () => {
    const { scribe, ledger } = bench();
    ledger.receive(Buffer.concat([row, error(), ready()]));
    expect(scribe.all()).toEqual(['> DataRow', '> ErrorResponse', '> ReadyForQuery', 'ready forward I failed']);
  });

  test('that is withheld takes with it what was not forwarded yet, up to ReadyForQuery', () => {
    const { scribe, ledger } = bench();
    scribe.withholds = true;
    ledger.receive(Buffer.concat([row, error(), row, ready()]));
    expect(scribe.all()).toEqual(['ready forward I failed']);
  });

  test('that ends the connection is no reply', () => {
    const { scribe, ledger } = bench();
    ledger.receive(Buffer.concat([row, error('FATAL')]));
    expect(scribe.all()).toEqual(['> DataRow', 'farewell']);
  });

  test('that nobody asked for is a farewell', () => {
    const { scribe, ledger } = bench([]);
    ledger.receive(error('FATAL'));
    expect(scribe.all()).toEqual(['farewell']);
  });
});

describe('a script', () => {
  test('drops replies to messages of ours, and puts ours in their places', () => {
    const { scribe, ledger } = scripted(drop, emit(parsed), plainStep, plainStep, emit(backendMessage('CloseComplete')));
    ledger.receive(Buffer.concat([parsed, bound, row, done, ready()]));
    expect(scribe.all()).toEqual([
      '> ParseComplete',
      '> BindComplete',
      '> DataRow',
      '> CommandComplete',
      '> CloseComplete',
      '> ReadyForQuery',
      'ready forward I',
    ]);
  });

  test('gives what is due at once, and what is appended later, when it is told', () => {
    const { scribe, ledger, segment, script } = scripted(emit(parsed));
    expect(scribe.all()).toEqual(['> ParseComplete']);
    script.append(emit(parsed));
    ledger.stepped(segment);
    expect(scribe.all()).toEqual(['> ParseComplete', '> ParseComplete']);
  });

  test('of a segment that waits for its turn gives nothing before that', () => {
    const { scribe, ledger } = bench();
    const script = new ReplyScript();
    script.append(emit(parsed));
    const behind = new Segment('forward', scribe, null, script);
    ledger.push(behind);
    ledger.stepped(behind);
    ledger.receive(ready());
    expect(scribe.all()).toEqual(['> ReadyForQuery', 'ready forward I', '> ParseComplete']);
  });

  test('takes back, last first, what failed and what was skipped behind it', () => {
    const undone: string[] = [];
    const step = (name: string): Step => ({
      action: 'forward',
      reply: null,
      ...harmless,
      undo: (failing) => undone.push(failing ? `${name}!` : name),
    });
    const { ledger } = scripted(step('parse'), step('bind'), step('execute'), step('close'));
    ledger.receive(Buffer.concat([parsed, error(), ready()]));
    expect(undone).toEqual(['close', 'execute', 'bind!']);
  });

  test.each([
    ['a reply that no request draws', [parsed, parsed]],
    ['ReadyForQuery before all replies', [ready()]],
  ])('does not let pass %s', (_what, messages) => {
    const { ledger } = scripted(plainStep);
    expect(() => ledger.receive(Buffer.concat(messages))).toThrow(ProtocolError);
  });
});

describe('what comes by itself', () => {
  const parameter = backendMessage('ParameterStatus', 'TimeZone', 'UTC');

  test('notifications are told in their place', () => {
    const { scribe, ledger } = bench();
    const notification = backendMessage('NotificationResponse', 1, 'news', '');
    ledger.receive(Buffer.concat([row, notification, done, ready()]));
    expect(scribe.all()).toEqual([
      '> DataRow',
      `notification of ${notification.length}`,
      '> CommandComplete',
      '> ReadyForQuery',
      'ready forward I',
    ]);
  });

  test.each<[answer: boolean | Buffer, seen: string[]]>([
    [true, ['> ParameterStatus']],
    [false, []],
    [backendMessage('ParameterStatus', 'TimeZone', 'CET'), ['> ParameterStatus']],
  ])('a setting is shown to the client as the sink says (%#)', (answer, seen) => {
    const { scribe, ledger } = bench();
    scribe.parameterAnswer = answer;
    ledger.receive(Buffer.concat([row, parameter, ready()]));
    expect(scribe.all()).toEqual(['TimeZone=UTC', '> DataRow', ...seen, '> ReadyForQuery', 'ready forward I']);
  });

  test('a setting that changes outside of forwarded replies is noted, and shown to nobody', () => {
    const { scribe, ledger } = bench(['swallow']);
    ledger.receive(Buffer.concat([parameter, ready(), parameter, backendMessage('NoticeResponse', { M: 'hello' })]));
    expect(scribe.all()).toEqual(['TimeZone=UTC', 'ready swallow I', 'TimeZone=UTC']);
  });

  test.each([
    ['DataRow', row],
    ['ReadyForQuery', ready()],
    ['CopyInResponse', backendMessage('CopyInResponse', 0, [])],
  ])('%s does not', (_what, message) => {
    expect(() => bench([]).ledger.receive(message)).toThrow(ProtocolError);
  });
});

test('COPY is announced before it is forwarded', () => {
  const { scribe, ledger } = bench();
  ledger.receive(Buffer.concat([backendMessage('CopyInResponse', 0, [0]), done, ready()]));
  expect(scribe.all()).toEqual(['copy in', '> CopyInResponse', '> CommandComplete', '> ReadyForQuery', 'ready forward I']);
});

test('a connection that ends inside a message is known by it', () => {
  const { ledger } = bench();
  ledger.receive(Buffer.concat([row, row.subarray(0, 20)]));
  expect(ledger.cutInside).toBe(true);
  ledger.receive(row.subarray(20));
  expect(ledger.cutInside).toBe(false);
});

test('an answer to a question of ours has a limit', () => {
  const { ledger } = bench(['capture']);
  const large = backendMessage('DataRow', ['x'.repeat(1_000_000)]);
  expect(() => {
    for (let count = 0; count < 5; count++) ledger.receive(large);
  }).toThrow(ProtocolError);
});

describe('a description that is looked at', () => {
  const parameters = backendMessage('ParameterDescription', [23]);
  const columns = backendMessage('RowDescription', [['n'.repeat(100), 0, 0, 23, 4, -1, 0]]);
  const nothing = backendMessage('NoData');
  const refusal = error();
  const seen: (string | null)[] = [];
  const look = (action: DescribingStep['action'], answer: Buffer | null): Step => ({
    action,
    reply: null,
    ...harmless,
    parameters: (message) => void seen.push(message.toString('latin1')),
    described: (message) => {
      seen.push(message === null ? null : message.toString('latin1'));
      return answer;
    },
  });

  test.each([
    ['observe', ['> ParameterDescription', '> RowDescription', '> BindComplete', '> ReadyForQuery', 'ready forward I']],
    ['check', ['> BindComplete', '> ReadyForQuery', 'ready forward I']],
  ] as const)('is seen whole however it is cut, to %s', (action, told) => {
    const stream = Buffer.concat([parsed, parameters, columns, bound, ready()]);
    fc.assert(
      fc.property(cutsWithin(stream.length), (cuts) => {
        seen.length = 0;
        const { scribe, ledger } = scripted(drop, look(action, null), plainStep);
        for (const chunk of cutAt(stream, cuts)) ledger.receive(chunk);
        expect(scribe.all()).toEqual(told);
        expect(seen).toEqual([...(action === 'check' ? [] : [parameters.toString('latin1')]), columns.toString('latin1')]);
      }),
    );
  });

  test('that is refused gives an error in place of the rest, and its ReadyForQuery', () => {
    for (const rest of [[bound, row, done], [error()], []]) {
      const stream = Buffer.concat([parsed, parameters, columns, ...rest, ready('E'), done, ready()]);
      fc.assert(
        fc.property(cutsWithin(stream.length), (cuts) => {
          const { scribe, ledger, segment } = scripted(plainStep, look('check', refusal), plainStep, plainStep);
          ledger.push(new Segment('forward', scribe, null, null));
          let told = 0;
          segment.onError = () => told++;
          for (const chunk of cutAt(stream, cuts)) ledger.receive(chunk);
          expect(scribe.all()).toEqual([
            '> ParseComplete',
            '> ErrorResponse',
            '> ReadyForQuery',
            'ready forward E failed',
            '> CommandComplete',
            '> ReadyForQuery',
            'ready forward I',
          ]);
          expect(told).toBe(1);
        }),
      );
    }
  });

  test('that is refused leaves the rest to be lost with the connection, of which it says why', () => {
    const { scribe, ledger } = scripted(look('check', refusal));
    ledger.receive(Buffer.concat([nothing, error('FATAL')]));
    for (const segment of ledger.abandon()) scribe.lost(segment);
    expect(scribe.all()).toEqual(['> ErrorResponse', 'farewell', 'lost forward']);
  });

  test('is not refused to one who is gone', () => {
    const { scribe, ledger, segment } = scripted(look('check', refusal), plainStep);
    segment.mode = 'swallow';
    ledger.receive(Buffer.concat([parameters, nothing, bound, ready()]));
    expect(scribe.all()).toEqual(['ready swallow I failed']);
  });

  test('that is longer than any is not kept', () => {
    seen.length = 0;
    const { scribe, ledger } = scripted(look('check', null));
    const long = backendMessage('RowDescription', [['n'.repeat(1_100_000), 0, 0, 23, 4, -1, 0]]);
    for (const chunk of cutAt(long, [10, 60_000])) ledger.receive(chunk);
    ledger.receive(ready());
    expect(seen).toEqual([null]);
    expect(scribe.all()).toEqual(['> ReadyForQuery', 'ready forward I']);
  });

  test('does not come when the batch fails before it, which is told once', () => {
    const { ledger, segment } = scripted(plainStep, look('check', null));
    let told = 0;
    segment.onError = () => told++;
    ledger.receive(Buffer.concat([error(), ready()]));
    expect(told).toBe(1);
  });
});

test('cut anywhere, in a buffer that is used again and again, the stream gives the same', () => {
  const stream = Buffer.concat([
    ...[done, ready('T')],
    ...[parsed, bound, row, row, backendMessage('NoticeResponse', { M: 'a notice' }), done, ready('T')],
    ...[row, row, done, ready('T')],
    ...[parsed, error(), ready('E')],
  ]);
  const run = (chunks: readonly Buffer[]) => {
    const scribe = new Scribe();
    const ledger = new Ledger(scribe);
    const script = new ReplyScript();
    for (const step of [drop, emit(parsed), plainStep, plainStep]) script.append(step);
    const failing = new ReplyScript();
    for (const step of [plainStep, plainStep, plainStep]) failing.append(step);
    const captured = new Segment('capture', scribe, null, null);
    ledger.push(new Segment('swallow', scribe, new Guard(), null));
    ledger.push(new Segment('forward', scribe, null, script));
    ledger.push(captured);
    ledger.push(new Segment('forward', scribe, null, failing));
    const buffer = Buffer.alloc(stream.length);
    for (const chunk of chunks) {
      chunk.copy(buffer);
      ledger.receive(buffer.subarray(0, chunk.length));
      buffer.fill(0xff);
    }
    return [...scribe.all(), Buffer.concat(captured.captured ?? []).toString('hex')];
  };
  const whole = run([stream]);
  expect(whole).toContain('ready forward E failed');
  fc.assert(
    fc.property(cutsWithin(stream.length), (cuts) => {
      expect(run(cutAt(stream, cuts))).toEqual(whole);
    }),
  );
});
