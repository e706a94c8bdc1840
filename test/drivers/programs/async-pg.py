"""asyncpg with its defaults: binary everywhere, every statement prepared, types looked up in the catalog."""
import asyncio
import io
import os
import re

import asyncpg

from stage import idiom, place, say

WHERE = "SELECT current_setting('port')::int"
WHAT = (asyncpg.PostgresError, asyncpg.InterfaceError)


def shown(rows):
    return [tuple(row) for row in rows]


def on_a_connection(show):
    """Runs a coroutine function with a connection."""

    async def run():
        connection = await asyncpg.connect()
        try:
            await show(connection)
        finally:
            await connection.close()

    return lambda: asyncio.run(run())


async def locate(connection, statement):
    place(await connection.fetchval(WHERE), statement)


async def failing(awaitable):
    try:
        say('no error:', await awaitable)
    except WHAT as error:
        say(type(error).__name__, *(getattr(error, name, None) for name in ('sqlstate', 'message', 'detail', 'constraint_name', 'position')))


@idiom('autocommit')
@on_a_connection
async def _(connection):
    for n in range(10):
        await locate(connection, 'autocommit read')
    for n in range(5):
        row = await connection.fetchrow("INSERT INTO note (body) VALUES ($1) RETURNING id, current_setting('port')", f'note {n}')
        place(row[1], 'write')
        say(row[0], await connection.fetchval('SELECT body FROM note WHERE id = $1', row[0]))
    say(await connection.execute("UPDATE note SET body = 'changed' WHERE id > $1", 2), shown(await connection.fetch('SELECT * FROM note ORDER BY id')))
    say(await connection.execute('DELETE FROM note'), await connection.fetchval('SELECT count(*) FROM note'))
    say(await connection.execute("INSERT INTO note (body) VALUES ('simple'); SELECT 1; SELECT 2"))


@idiom('transactions')
@on_a_connection
async def _(connection):
    for _ in range(3):
        async with connection.transaction():
            await locate(connection, 'read in a transaction')
    async with connection.transaction():
        await connection.execute("INSERT INTO note (body) VALUES ('kept')")
        say(await connection.fetchval("SELECT count(*) FROM note WHERE body = 'kept'"), connection.is_in_transaction())
    try:
        async with connection.transaction():
            await connection.execute("INSERT INTO note (body) VALUES ('gone')")
            raise KeyError('changed my mind')
    except KeyError as error:
        say(error, connection.is_in_transaction())
    say(await connection.fetchval("SELECT count(*) FROM note WHERE body IN ('kept', 'gone')"))
    for level in ('serializable', 'repeatable_read', 'read_committed'):
        async with connection.transaction(isolation=level):
            say(await connection.fetchval('SHOW transaction_isolation'), await connection.fetchval('SELECT count(*) FROM tea'))
    async with connection.transaction(isolation='serializable', readonly=True, deferrable=True):
        say(await connection.fetchval('SHOW transaction_deferrable'), await connection.fetchval('SELECT count(*) FROM tea'))


@idiom('read-only transactions')
@on_a_connection
async def _(connection):
    for _ in range(3):
        async with connection.transaction(readonly=True):
            await locate(connection, 'read in a read-only transaction')
            await locate(connection, 'read in a read-only transaction')
            say(await connection.fetchval('SELECT count(*) FROM tea'))
    try:
        async with connection.transaction(readonly=True):
            await connection.execute("INSERT INTO note (body) VALUES ('no')")
    except WHAT as error:
        say(error.sqlstate, error)
    async with connection.transaction(readonly=True, isolation='repeatable_read'):
        await locate(connection, 'read in a read-only transaction')
        say(await connection.fetchval('SHOW transaction_isolation'))
    async with connection.transaction():
        await locate(connection, 'read in a transaction')
        say(await connection.fetchval("INSERT INTO note (body) VALUES ('yes') RETURNING body"))
    await connection.execute('SET default_transaction_read_only = on')
    await locate(connection, 'read in a read-only session')
    await failing(connection.execute("INSERT INTO note (body) VALUES ('no')"))
    reader = await asyncpg.connect(server_settings={'default_transaction_read_only': 'on'})
    await locate(reader, 'read in a read-only session')
    await failing(reader.execute("INSERT INTO note (body) VALUES ('no')"))
    await reader.close()


@idiom('savepoints')
@on_a_connection
async def _(connection):
    async with connection.transaction():
        await connection.execute("INSERT INTO note (body) VALUES ('a')")
        try:
            async with connection.transaction():
                await connection.execute("INSERT INTO note (body) VALUES ('gone too')")
                async with connection.transaction():
                    await connection.execute('INSERT INTO note (body) VALUES ($1)', None)
        except WHAT as error:
            say(error.sqlstate, error)
        async with connection.transaction():
            await connection.execute("INSERT INTO note (body) VALUES ('b')")
    say(shown(await connection.fetch("SELECT body FROM note WHERE body IN ('a', 'b', 'gone too') ORDER BY 1")))


@idiom('prepared statements')
@on_a_connection
async def _(connection):
    where = await connection.prepare(WHERE + ' + 0 * $1::int')
    for n in range(12):
        place(await where.fetchval(n), 'prepared read')
    say(where.get_parameters(), where.get_attributes(), where.get_statusmsg())
    tea = await connection.prepare('SELECT name FROM tea WHERE id = $1')
    add = await connection.prepare('INSERT INTO note (body) VALUES ($1) RETURNING body')
    for n in range(1, 6):
        async with connection.transaction():
            say(await tea.fetchval(n), await add.fetchval(f'prepared {n}'), await tea.fetchval(n + 1))
        async with connection.transaction(readonly=True):
            say(await tea.fetchval(n))
        say(await tea.fetchval(n))
    transaction = connection.transaction()
    await transaction.start()
    inside = await connection.prepare('SELECT stock FROM tea WHERE id = $1')
    say(await inside.fetchval(1))
    await transaction.rollback()
    say(await inside.fetchval(2))
    await connection.executemany('INSERT INTO note (body) VALUES ($1)', [(f'many {n}',) for n in range(1000)])
    say(await connection.fetchval("SELECT count(*) FROM note WHERE body LIKE 'many%'"))
    for n in range(150):
        say(await connection.fetchval(f'SELECT {n} + $1::int', n))
    say(await tea.fetchval(7), await tea.explain(7) is not None)
    async with connection.transaction():
        say(await (await connection.prepare('SELECT * FROM tea WHERE id < $1 ORDER BY id')).fetchrow(3))


@idiom('copy')
@on_a_connection
async def _(connection):
    say(await connection.copy_records_to_table('note', columns=['body'], records=[(f'copied {n}',) for n in range(20000)]))
    out = io.BytesIO()
    say(await connection.copy_from_query("SELECT body FROM note WHERE body LIKE 'copied%' AND id > $1", 5, output=out, format='csv'))
    say(len(out.getvalue()), out.getvalue()[:40])
    out = io.BytesIO()
    say(await connection.copy_from_table('tea', columns=['id', 'name'], output=out, format='binary'), out.getvalue()[:60])
    say(await connection.copy_to_table('tea', source=io.BytesIO(b'101\tx\t5\n')))
    await failing(connection.copy_to_table('tea', source=io.BytesIO(b'1\tx\ty\n')))
    async with connection.transaction():
        say(await connection.copy_to_table('tea', source=io.BytesIO(b'102;y;6\n'), delimiter=';', format='csv'))
        say(shown(await connection.fetch('SELECT * FROM tea WHERE id > 100 ORDER BY id')))


@idiom('listen')
@on_a_connection
async def _(listener):
    talker = await asyncpg.connect()
    heard = asyncio.Queue()
    hear = lambda _connection, _pid, channel, payload: heard.put_nowait((channel, payload))
    await listener.add_listener('kettle', hear)
    for n in range(3):
        await talker.execute("SELECT pg_notify('kettle', $1)", f'boils {n}')
    say([await asyncio.wait_for(heard.get(), 20) for _ in range(3)])
    await listener.execute("NOTIFY kettle, 'own'")
    say(await asyncio.wait_for(heard.get(), 20))
    await listener.remove_listener('kettle', hear)
    await talker.execute('NOTIFY kettle')
    say(await listener.fetchval('SELECT count(*) FROM tea'), heard.qsize())
    await talker.close()


@idiom('cancel')
@on_a_connection
async def _(connection):
    for n in range(3):
        try:
            await connection.fetchval('SELECT pg_sleep(60)', timeout=0.3)
        except asyncio.TimeoutError as error:
            say(type(error).__name__)
        say(await connection.fetchval('SELECT count(*) FROM tea'))
    task = asyncio.create_task(connection.execute("INSERT INTO note (body) SELECT 'cancelled' FROM pg_sleep(60)"))
    await asyncio.sleep(0.3)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError as error:
        say(type(error).__name__)
    say(await connection.fetchval("SELECT count(*) FROM note WHERE body = 'cancelled'"))
    try:
        async with connection.transaction():
            await connection.execute("INSERT INTO note (body) VALUES ('cancelled')")
            await connection.fetchval('SELECT pg_sleep(60)', timeout=0.3)
    except asyncio.TimeoutError as error:
        say(type(error).__name__)
    say(await connection.fetchval("SELECT count(*) FROM note WHERE body = 'cancelled'"), connection.is_closed())


@idiom('types')
@on_a_connection
async def _(connection):
    for row in await connection.fetch('SELECT * FROM specimen ORDER BY id'):
        for value in row:
            say(type(value).__name__, repr(value))
    columns = 'id, yes, i2, i4, i8, dec, f4, f8, t, v, c, raw, d, ti, ts, tz, span, u, j, jb, ai, at, m, p, net, r, b, o'
    marks = ', '.join(f'${n}' for n in range(1, columns.count(',') + 2))
    add = await connection.prepare(f'INSERT INTO returned ({columns}) VALUES ({marks})')
    for row in await connection.fetch(f'SELECT {columns} FROM specimen ORDER BY id'):
        await add.fetch(*row)
    same = columns.replace(' j,', '')
    say(await connection.fetchval(f'SELECT count(*) FROM (SELECT {same} FROM specimen INTERSECT SELECT {same} FROM returned) same'))
    await connection.set_type_codec('mood', encoder=str.lower, decoder=str.upper)
    say(await connection.fetchval("SELECT 'merry'::mood"), await connection.fetchval('SELECT $1::mood', 'CALM'))
    say(await connection.fetchval('SELECT $1::mood[]', ['CALM', 'merry']), await connection.fetchval('SELECT $1::pair[]', [('a', 1)]))
    say(connection.get_settings().client_encoding, connection.get_server_version())
    await failing(connection.fetchval('SELECT $1::int', 2**40))


@idiom('cursors')
@on_a_connection
async def _(connection):
    async with connection.transaction():
        total = 0
        async for row in connection.cursor('SELECT generate_series(1, $1::int)', 1000, prefetch=100):
            total += row[0]
        say(total)
        cursor = await connection.cursor('SELECT id FROM tea ORDER BY id')
        say(shown(await cursor.fetch(3)), await cursor.forward(10), await cursor.fetchrow())
    async with connection.transaction(readonly=True):
        async for row in connection.cursor("SELECT current_setting('port'), id FROM tea LIMIT 4", prefetch=2):
            place(row[0], 'read in a read-only transaction')


@idiom('pool return')
def _():
    async def show():
        async with asyncpg.create_pool(min_size=1, max_size=1) as pool:
            async with pool.acquire() as connection:
                await connection.execute("SET application_name = 'dirty'")
                await connection.execute('SELECT pg_advisory_lock(7)')
                await connection.execute('CREATE TEMP TABLE dirt AS SELECT 1 AS n')
                await connection.add_listener('dirt', lambda *_: None)
                await connection.execute('DECLARE held CURSOR WITH HOLD FOR SELECT 1')
                say(await connection.fetchval('SHOW application_name'))
                await connection.remove_listener('dirt', lambda *_: None)
            async with pool.acquire() as connection:
                say(await connection.fetchval('SHOW application_name'), await connection.fetchval('SELECT n FROM dirt'))
                say(await connection.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"))
                say(shown(await connection.fetch('SELECT * FROM pg_listening_channels()')))
                say(shown(await connection.fetch('SELECT name FROM pg_cursors WHERE is_holdable')))
                await connection.execute('DROP TABLE dirt')
            say(await pool.fetchval('SELECT count(*) FROM tea'))
        async with asyncpg.create_pool(min_size=1, max_size=1, statement_cache_size=0) as pool:
            say(await pool.execute('DISCARD ALL'))
            for statement in ('SET SESSION AUTHORIZATION DEFAULT', 'RESET ALL', 'CLOSE ALL', 'UNLISTEN *', 'SELECT pg_advisory_unlock_all()', 'DISCARD SEQUENCES', 'DISCARD TEMP'):
                await pool.execute(statement)
            place(await pool.fetchval(WHERE), 'autocommit read')
        async with asyncpg.create_pool(min_size=5, max_size=5) as pool:
            say(await asyncio.gather(*(pool.fetchval('SELECT $1::int', n) for n in range(100))) == list(range(100)))

    asyncio.run(show())


@idiom('options')
def _():
    base = f"postgres://{os.environ['PGUSER']}@{os.environ['PGHOST']}:{os.environ['PGPORT']}/{os.environ['PGDATABASE']}"
    names = ('application_name', 'search_path', 'statement_timeout', 'work_mem', 'geqo', 'client_encoding', 'TimeZone', 'jit')

    async def show():
        for query, more in (
            ('', {}),
            ('?application_name=tea%20shop', {}),
            ('?search_path=pg_catalog&work_mem=3MB', {}),
            ('?options=-c%20statement_timeout%3D12345%20-c%20geqo%3Doff', {}),
            ('', {'server_settings': {'application_name': 'x', 'jit': 'off', 'search_path': 'public, pg_catalog'}}),
            ('', {'statement_cache_size': 0, 'command_timeout': 60}),
            ('?sslmode=prefer', {}),
        ):
            connection = await asyncpg.connect(base + query, **more)
            for name in names:
                say(name, await connection.fetchval(f'SHOW {name}'))
            settings = connection.get_settings()
            say(settings.client_encoding, settings.server_version, settings.session_authorization, settings.is_superuser, settings.in_hot_standby)
            await connection.execute('RESET ALL')
            say(*[await connection.fetchval(f'SHOW {name}') for name in names])
            await connection.close()
        for bad in ('?nosuch=1', '?sslmode=require'):
            try:
                await asyncpg.connect(base + bad)
            except (*WHAT, ConnectionError) as error:
                say(type(error).__name__, re.sub(r'\d+', 'n', str(error)))

    asyncio.run(show())


@idiom('pipelining')
@on_a_connection
async def _(connection):
    """Its executemany() is one long pipeline in one implicit transaction."""
    await connection.executemany('INSERT INTO note (body) VALUES ($1)', [(f'bulk {n}',) for n in range(5000)])
    say(await connection.fetchval("SELECT count(*) FROM note WHERE body LIKE 'bulk%'"))
    await failing(connection.executemany('INSERT INTO tea VALUES ($1, $2, $3)', [(n, f'bulk {n}', 10 - n) for n in range(1001, 1020)]))
    say(await connection.fetchval('SELECT count(*) FROM tea WHERE id > 1000'))
    for _ in range(3):
        await connection.executemany(WHERE + ' + $1::int', [(n,) for n in range(20)])
        await locate(connection, 'pipelined read')


@idiom('errors')
@on_a_connection
async def _(connection):
    notices = []
    connection.add_log_listener(lambda _connection, message: notices.append((message.severity, message.message)))
    for statement in ('SELEC 1', 'SELECT 1/0', 'SELECT * FROM nosuch', 'SELECT nosuch(1)', "INSERT INTO tea VALUES (1, 'x', 1)", "INSERT INTO tea VALUES (1000, 'x', -1)", "SELECT 'x'::int", 'SELECT 1; SELECT 1/0', "DO $$ BEGIN RAISE EXCEPTION 'own' USING DETAIL = 'd', ERRCODE = 'XY123'; END $$"):
        await failing(connection.execute(statement))
        await failing(connection.fetch(statement))
        say(await connection.fetchval('SELECT count(*) FROM tea WHERE id = 1000'))
    await connection.execute("DO $$ BEGIN RAISE NOTICE 'boiling'; RAISE WARNING 'boils'; END $$")
    await asyncio.sleep(0)
    say(notices)
    say(await connection.fetch('-- nothing'))
    await connection.execute('BEGIN')
    await failing(connection.execute('SELECT 1/0'))
    await failing(connection.fetchval('SELECT 1'))
    say(connection.is_in_transaction())
    await connection.execute('ROLLBACK')
    say(connection.is_in_transaction(), await connection.fetchval('SELECT 1'))


@idiom('changed tables')
@on_a_connection
async def _(connection):
    for statement in ('SELECT 1', 'ALTER TABLE tea ADD COLUMN extra int', 'ALTER TABLE tea DROP COLUMN extra'):
        await connection.execute(statement)
        for n in (1, 2):
            say(await connection.fetchrow('SELECT * FROM tea WHERE id = $1', n))
