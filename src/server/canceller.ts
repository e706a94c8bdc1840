import { sendCancel } from '../backend/cancel.ts';
import type { BackendConnection } from '../backend/connection.ts';
import type { BackendTls } from '../backend/tls.ts';
import type { Clock } from '../util/clock.ts';
import { errorOf } from '../util/errors.ts';
import type { Measures } from '../util/measures.ts';
import type { Telemetry } from '../util/telemetry.ts';
import type { Turn } from '../util/turn.ts';

const CANCEL_TIMEOUT_MS = 5_000;

export interface CancellerParts {
  readonly endpoint: (backend: number) => { readonly host: string; readonly port: number };
  readonly tls: () => BackendTls;
  readonly clock: Clock;
  readonly turn: Turn;
  readonly measures: Measures;
  readonly telemetry: Telemetry;
}

/**
 * Passes cancel requests on to backends. While one is on its way the connection is in quarantine: it is not given back
 * before the backend has taken the request and answered once more, so that nobody else's statement is hit.
 */
export class Canceller {
  readonly #parts: CancellerParts;

  constructor(parts: CancellerParts) {
    this.#parts = parts;
  }

  /** Cancels what runs on the connection. Resolves when the backend has been told, or could not be. */
  cancel(connection: BackendConnection): Promise<void> {
    connection.cancelsInFlight++;
    connection.cancelled = true;
    return this.#send(connection);
  }

  async #send(connection: BackendConnection): Promise<void> {
    const { endpoint, tls, clock, turn, measures, telemetry } = this.#parts;
    try {
      await sendCancel({
        ...endpoint(connection.backend),
        processId: connection.processId,
        secretKey: connection.secretKey,
        tls: connection.tls ? tls() : null,
        timeoutMs: CANCEL_TIMEOUT_MS,
        clock,
      });
      measures.cancels.inc('sent');
    } catch (error) {
      measures.cancels.inc('failed');
      telemetry.log('warn', 'cancel_failed', { error: errorOf(error) });
    }
    turn.run(
      () => {
        connection.cancelsInFlight--;
        connection.holder?.cancelFinished(connection);
      },
      (error) => connection.holder?.broken(error),
    );
  }
}
