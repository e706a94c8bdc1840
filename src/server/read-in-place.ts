import net from 'node:net';
import { Duplex } from 'node:stream';

/** One read takes at most this much. Ours: as for backends. */
const READ_BUFFER_BYTES = 64 * 1024;

/** All plain clients are read into it, one after the other: it stays in the processor's cache. */
const readBuffer = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);

type Handle = NonNullable<net.SocketConstructorOpts['handle']>;

/**
 * Moves the connection of a socket that has just been accepted to one that is read without a buffer for each read: Node
 * allocates 64 KB for those, unless a socket has `onread` (`net.createConnection`), which accepted ones cannot be given. In all
 * else it is as the other, half-open allowed. What the move takes is undocumented, and looked at before it is done: where it is
 * not as expected, the socket itself is returned.
 */
export function readInPlace(accepted: net.Socket): net.Socket {
  const handle: unknown = Reflect.get(accepted, '_handle');
  if (!isReadInto(handle) || accepted.readableLength > 0 || accepted.writableLength > 0) return accepted;
  Reflect.set(accepted, '_handle', null);
  if (Reflect.get(accepted, '_handle') !== null) return accepted;
  // Without its handle that says no more than that it is not used any longer.
  accepted.destroy();
  const socket = new net.Socket({
    handle,
    allowHalfOpen: true,
    onread: {
      buffer: readBuffer,
      callback: (bytes) => {
        const chunk = Buffer.allocUnsafeSlow(bytes);
        readBuffer.copy(chunk, 0, 0, bytes);
        // Past the stream, where it has nothing to add.
        if (socket.readableFlowing !== true || socket.readableLength > 0) return socket.push(chunk);
        socket.emit('data', chunk);
        return true;
      },
    },
  });
  // With `onread` it would be deaf while it is paused; the end of the connection is to be noticed as always.
  socket.pause = () => Duplex.prototype.pause.call(socket) as net.Socket;
  return socket;
}

function isReadInto(handle: unknown): handle is Handle {
  return typeof handle === 'object' && handle !== null && 'useUserBuffer' in handle && typeof handle.useUserBuffer === 'function';
}
