import { FRONTEND } from '../protocol/codes.ts';
import { clientRules, type FramerRules } from '../protocol/limits.ts';

/** A Parse must be held whole, because the statement may have to be prepared again elsewhere. Longer ones are refused. */
const MAX_PARSE_MESSAGE_BYTES = 16 * 1024 * 1024;

/**
 * What a session's framer demands: a Query up to the length that is parsed, a Bind up to the length that a batch is kept.
 */
export function sessionFrames(limits: { readonly maxParseBytes: number; readonly batchBytes: number }): FramerRules {
  const rules = clientRules(limits.maxParseBytes);
  const headBytes = Uint32Array.from(rules.headBytes);
  headBytes[FRONTEND.bind] = limits.batchBytes;
  headBytes[FRONTEND.parse] = MAX_PARSE_MESSAGE_BYTES;
  return { ...rules, headBytes };
}
