"""psycopg 3 with its defaults: every statement opens a transaction unless autocommit is on, the fifth execution is prepared."""
import threading

import psycopg
import psycopg_pool
from psycopg.rows import dict_row
from psycopg.types.composite import CompositeInfo, register_composite
from psycopg.types.enum import EnumInfo, register_enum

from stage import idiom, place, say

WHERE = "SELECT current_setting('port')::int"


def ask(connection, statement, *parameters, **options):
    """All rows of a statement, or how many it touched."""
    cursor = connection.execute(statement, *parameters, **options)
    return cursor.fetchall() if cursor.description else cursor.rowcount


def locate(connection, statement, sql=WHERE, *parameters, **options):
    place(ask(connection, sql, *parameters, **options)[0][0], statement)


def failing(connection, statement, *parameters):
    try:
        ask(connection, statement, *parameters)
    except psycopg.Error as error:
        diag = error.diag
        say(type(error).__name__, error.sqlstate, diag.message_primary, diag.message_detail, diag.constraint_name, diag.statement_position)
    else:
        say('no error:', statement)


def autocommitting(**options):
    return psycopg.connect('', autocommit=True, **options)


@idiom('autocommit')
def _():
    with autocommitting() as connection:
        for _ in range(10):
            locate(connection, 'autocommit read')
        for n in range(5):
            inserted, port = ask(connection, "INSERT INTO note (body) VALUES (%s) RETURNING id, current_setting('port')", (f'note {n}',))[0]
            place(port, 'write')
            say(inserted, ask(connection, 'SELECT body FROM note WHERE id = %s', (inserted,)))
        say(ask(connection, "UPDATE note SET body = 'changed' WHERE id > 2"), ask(connection, 'SELECT * FROM note ORDER BY id'))
        say(ask(connection, 'DELETE FROM note'), ask(connection, 'SELECT count(*) FROM note'))
        with connection.cursor() as cursor:
            cursor.executemany('INSERT INTO note (body) VALUES (%s) RETURNING body', [(f'many {n}',) for n in range(50)], returning=True)
            seen = [cursor.fetchone()]
            while cursor.nextset():
                seen.append(cursor.fetchone())
            say(seen)


@idiom('transactions')
def _():
    connection = psycopg.connect('')
    for _ in range(3):
        locate(connection, 'read in a transaction')
        connection.rollback()
    with connection.transaction():
        ask(connection, "INSERT INTO note (body) VALUES ('kept')")
        say(ask(connection, "SELECT body FROM note WHERE body = 'kept'"), connection.info.transaction_status)
    try:
        with connection.transaction():
            ask(connection, "INSERT INTO note (body) VALUES ('gone')")
            raise KeyError('changed my mind')
    except KeyError as error:
        say(error, connection.info.transaction_status)
    say(ask(connection, "SELECT count(*) FROM note WHERE body IN ('kept', 'gone')"))
    connection.commit()
    for level in psycopg.IsolationLevel:
        connection.isolation_level = level
        say(ask(connection, 'SHOW transaction_isolation'), ask(connection, 'SELECT count(*) FROM tea'))
        connection.commit()
    connection.isolation_level = None
    connection.deferrable = True
    say(ask(connection, 'SHOW transaction_deferrable'))
    connection.rollback()
    branch = connection.xid(1, 'branch', 'of a tree')
    connection.tpc_begin(branch)
    ask(connection, "INSERT INTO note (body) VALUES ('two phases')")
    connection.tpc_rollback()
    say(ask(connection, "SELECT count(*) FROM note WHERE body = 'two phases'"))
    connection.rollback()
    say(connection.tpc_recover())
    with autocommitting() as other, other.transaction(force_rollback=True):
        ask(other, "INSERT INTO note (body) VALUES ('forced')")
    say(ask(connection, "SELECT count(*) FROM note WHERE body = 'forced'"))
    connection.close()


@idiom('read-only transactions')
def _():
    connection = psycopg.connect('')
    connection.read_only = True
    for _ in range(3):
        locate(connection, 'read in a read-only transaction')
        locate(connection, 'read in a read-only transaction')
        say(ask(connection, 'SELECT count(*) FROM tea'))
        connection.commit()
    failing(connection, "INSERT INTO note (body) VALUES ('no')")
    connection.rollback()
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    locate(connection, 'read in a read-only transaction')
    say(ask(connection, 'SHOW transaction_isolation'))
    connection.commit()
    connection.isolation_level = None
    connection.read_only = False
    locate(connection, 'read in a transaction')
    say(ask(connection, "INSERT INTO note (body) VALUES ('yes') RETURNING body"))
    connection.rollback()
    connection.close()
    with autocommitting() as connection:
        connection.read_only = True
        with connection.transaction():
            locate(connection, 'read in a read-only transaction')
        connection.read_only = None
        ask(connection, 'SET default_transaction_read_only = on')
        locate(connection, 'read in a read-only session')
        failing(connection, "INSERT INTO note (body) VALUES ('no')")


@idiom('savepoints')
def _():
    connection = psycopg.connect('')
    with connection.transaction():
        ask(connection, "INSERT INTO note (body) VALUES ('a')")
        try:
            with connection.transaction():
                ask(connection, "INSERT INTO note (body) VALUES ('gone too')")
                with connection.transaction(savepoint_name='third level'):
                    failing(connection, 'INSERT INTO note (body) VALUES (NULL)')
                    failing(connection, 'SELECT 1')
                    raise KeyError('leave both')
        except KeyError as error:
            say(error)
        with connection.transaction():
            ask(connection, "INSERT INTO note (body) VALUES ('b')")
        with connection.transaction():
            ask(connection, "INSERT INTO note (body) VALUES ('c')")
            raise psycopg.Rollback()
    say(ask(connection, "SELECT body FROM note WHERE body IN ('a', 'b', 'c', 'gone too') ORDER BY 1"))
    connection.close()


@idiom('prepared statements')
def _():
    with autocommitting() as connection:
        for n in range(12):
            locate(connection, 'prepared read', WHERE + ', %s::int', (n,))
        for n in range(12):
            say(ask(connection, 'SELECT name FROM tea WHERE id = %s', (n,), prepare=True))
        for _ in range(8):
            with connection.transaction():
                say(ask(connection, 'SELECT name FROM tea WHERE id = %s', (1,)))
                say(ask(connection, 'INSERT INTO note (body) VALUES (%s) RETURNING body', ('prepared',), prepare=True))
        try:
            with connection.transaction():
                ask(connection, 'SELECT id FROM tea WHERE stock = %s', (10,), prepare=True)
                raise KeyError('the statement stays, the transaction goes')
        except KeyError as error:
            say(error)
        say(ask(connection, 'SELECT id FROM tea WHERE stock = %s', (10,), prepare=True))
        for n in range(150):
            say(ask(connection, f'SELECT {n} + %s', (n,), prepare=True))
        say(ask(connection, 'SELECT name FROM tea WHERE id = %s', (1,)))
        say(ask(connection, 'SELECT count(*) FROM pg_prepared_statements')[0][0] <= 101)
        ask(connection, 'DEALLOCATE ALL')
        say(ask(connection, 'SELECT name FROM tea WHERE id = %s', (2,)))
        ask(connection, 'SET search_path = pg_catalog, public')
        say(ask(connection, 'SELECT name FROM tea WHERE id = %s', (3,)))


@idiom('copy')
def _():
    connection = psycopg.connect('')
    with connection.cursor() as cursor:
        with cursor.copy('COPY note (body) FROM STDIN') as copy:
            for n in range(20000):
                copy.write_row((f'copied {n} \\ \t',))
        say(cursor.rowcount)
        with cursor.copy("COPY (SELECT body FROM note WHERE body LIKE 'copied%') TO STDOUT") as copy:
            rows = list(copy.rows())
        say(len(rows), rows[-2:])
        connection.commit()
    connection.autocommit = True
    with connection.cursor() as cursor:
        with cursor.copy('COPY (SELECT id, name FROM tea ORDER BY id) TO STDOUT (FORMAT binary)') as copy:
            copy.set_types(['int4', 'text'])
            say(list(copy.rows())[:3])
        with cursor.copy('COPY tea FROM STDIN (FORMAT binary)') as copy:
            copy.set_types(['int4', 'text', 'int4'])
            copy.write_row((101, 'x', 5))
        for bad in ('1\tx\ty\n', 'x'):
            try:
                with cursor.copy('COPY tea FROM STDIN') as copy:
                    copy.write(bad)
            except psycopg.Error as error:
                say(error.sqlstate, error.diag.context)
        try:
            with cursor.copy('COPY tea FROM STDIN') as copy:
                copy.write('1000\tx\t5\n')
                raise KeyError('left in the middle')
        except psycopg.errors.QueryCanceled as error:
            say(error)
    say(ask(connection, 'SELECT * FROM tea WHERE id > 100'))
    connection.close()


@idiom('listen')
def _():
    with autocommitting() as listener, autocommitting() as talker:
        ask(listener, 'LISTEN kettle')
        for n in range(3):
            ask(talker, "SELECT pg_notify('kettle', %s)", (f'boils {n}',))
        notes = listener.notifies()
        say([(note.channel, note.payload) for _, note in zip(range(3), notes)])
        notes.close()
        heard = []
        listener.add_notify_handler(lambda note: heard.append((note.channel, note.payload)))
        ask(listener, "NOTIFY kettle, 'own'")
        with listener.transaction():
            ask(listener, "NOTIFY kettle, 'at commit'")
            say(heard)
        say(heard)
        ask(listener, 'UNLISTEN kettle')
        ask(talker, 'NOTIFY kettle')
        say(ask(listener, 'SELECT count(*) FROM tea'), heard)


@idiom('cancel')
def _():
    with autocommitting() as connection:
        for statement in ('SELECT pg_sleep(60)', 'DO $$ BEGIN PERFORM pg_sleep(60); END $$'):
            timer = threading.Timer(0.5, connection.cancel)
            timer.start()
            failing(connection, statement)
            timer.join()
            say(ask(connection, 'SELECT count(*) FROM tea'))
        timer = threading.Timer(0.5, connection.cancel)
        try:
            with connection.transaction():
                ask(connection, "INSERT INTO note (body) VALUES ('cancelled')")
                timer.start()
                ask(connection, 'SELECT pg_sleep(60)')
        except psycopg.errors.QueryCanceled as error:
            say(error)
        say(ask(connection, "SELECT count(*) FROM note WHERE body = 'cancelled'"))


@idiom('types')
def _():
    with autocommitting() as connection:
        register_composite(CompositeInfo.fetch(connection, 'pair'), connection)
        register_enum(EnumInfo.fetch(connection, 'mood'), connection)
        columns = 'id, yes, i2, i4, i8, dec, f4, f8, t, v, c, raw, d, ti, ts, tz, span, u, ai, at, m, p, net, r, o'
        for binary in (False, True):
            rows = connection.execute('SELECT * FROM specimen ORDER BY id', binary=binary).fetchall()
            for row in rows:
                for value in row:
                    say(type(value).__name__, repr(value))
            for row in connection.execute(f'SELECT {columns} FROM specimen ORDER BY id', binary=binary):
                marks = ['%b' if binary and not isinstance(value, (tuple, list)) and name not in ('t', 'v', 'c', 'm') else '%s' for name, value in zip(columns.split(', '), row)]
                connection.execute(f'INSERT INTO returned ({columns}) VALUES ({", ".join(marks)})', row, binary=binary)
            say(ask(connection, f'SELECT count(*) FROM (SELECT {columns} FROM specimen INTERSECT SELECT {columns} FROM returned) same'))
            ask(connection, 'TRUNCATE returned')
        say(connection.cursor(row_factory=dict_row).execute('SELECT id, name FROM tea WHERE id = 1').fetchall())
        say(ask(connection, 'SELECT %s, %s::text, %s', ('100%', "it's \\ here", None)), connection.info.encoding, connection.info.server_version)
        client = psycopg.ClientCursor(connection)
        say(client.mogrify('SELECT %s', ("it's",)), client.execute('SELECT %s, %s', ("it's", 1)).fetchall())


@idiom('cursors')
def _():
    connection = psycopg.connect('')
    with connection.cursor('named') as cursor:
        cursor.itersize = 100
        cursor.execute('SELECT n FROM generate_series(1, %s) n', (1000,))
        say(sum(row[0] for row in cursor))
    with connection.cursor('scrolling', scrollable=True) as cursor:
        cursor.execute('SELECT id FROM tea ORDER BY id')
        say(cursor.fetchmany(3))
        cursor.scroll(10)
        say(cursor.fetchone())
        cursor.scroll(0, mode='absolute')
        say(cursor.fetchone())
    connection.commit()
    with connection.cursor('held', withhold=True) as cursor:
        cursor.execute('SELECT id FROM tea ORDER BY id')
        connection.commit()
        say(cursor.fetchmany(2))
        connection.commit()
        say(cursor.fetchmany(2))
    connection.commit()
    connection.close()
    connection = psycopg.connect('')
    connection.read_only = True
    with connection.cursor('read_only') as cursor:
        cursor.execute("SELECT id, current_setting('port') FROM tea ORDER BY id LIMIT 2")
        for _, port in cursor:
            place(port, 'read in a read-only transaction')
    connection.commit()
    with connection.cursor() as cursor:
        total = 0
        for row in cursor.stream('SELECT generate_series(1, 10000)'):
            total += row[0]
        say(total)
    connection.close()


@idiom('pool return')
def _():
    def reset(connection):
        connection.execute('DISCARD ALL')

    with psycopg_pool.ConnectionPool('', min_size=1, max_size=2, reset=reset, kwargs={'autocommit': True}) as pool:
        with pool.connection() as connection:
            ask(connection, "SET application_name = 'dirty'")
            ask(connection, 'CREATE TEMP TABLE dirt (n int)')
            ask(connection, 'SELECT pg_advisory_lock(7)')
            ask(connection, 'LISTEN dirt')
            say(ask(connection, 'SHOW application_name'), ask(connection, 'SELECT count(*) FROM dirt'))
        pool.check()
        with pool.connection() as connection:
            say(ask(connection, 'SHOW application_name'), ask(connection, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"))
            failing(connection, 'SELECT count(*) FROM dirt')
            say(ask(connection, 'SELECT * FROM pg_listening_channels()'))
            for statement in ('SET SESSION AUTHORIZATION DEFAULT', 'RESET ALL', 'CLOSE ALL', 'UNLISTEN *', 'SELECT pg_advisory_unlock_all()', 'DISCARD SEQUENCES', 'DISCARD TEMP'):
                ask(connection, statement)
            locate(connection, 'autocommit read')
    with psycopg_pool.ConnectionPool('', min_size=1) as pool:
        try:
            with pool.connection() as connection:
                ask(connection, 'SELECT 1/0')
        except psycopg.Error as error:
            say(error)
        with pool.connection() as connection:
            say(ask(connection, 'SELECT 1'))


@idiom('options')
def _():
    for options in (
        {'application_name': 'tea shop'},
        {'options': '-c search_path=pg_catalog -c statement_timeout=12345'},
        {'options': '-c work_mem=3MB --geqo=off -c application_name=with\\ space'},
        {'target_session_attrs': 'read-write'},
        {'target_session_attrs': 'primary'},
        {'target_session_attrs': 'prefer-standby'},
        {'client_encoding': 'LATIN1'},
    ):
        with autocommitting(**options) as connection:
            for name in ('application_name', 'search_path', 'statement_timeout', 'work_mem', 'geqo', 'client_encoding', 'TimeZone', 'DateStyle'):
                say(name, ask(connection, f'SHOW {name}'))
            say(*(connection.info.parameter_status(name) for name in ('application_name', 'client_encoding', 'in_hot_standby', 'session_authorization', 'is_superuser')))
            parameters = connection.info.get_parameters()
            say(sorted((name, value) for name, value in parameters.items() if name not in ('port', 'dbname')))
    for options in ({'target_session_attrs': 'standby'}, {'target_session_attrs': 'read-only'}, {'options': '-c nosuch=1'}, {'sslmode': 'require'}, {'dbname': 'nosuch'}):
        try:
            psycopg.connect('', **options)
        except psycopg.OperationalError as error:
            say(str(error).rpartition(':')[2])
        else:
            say('connected', options)


@idiom('pipelining')
def _():
    with autocommitting() as connection:
        with connection.pipeline() as pipeline:
            cursors = [connection.execute(f"SELECT current_setting('port')::int, %s::int", (n,)) for n in range(30)]
            pipeline.sync()
            for n, cursor in enumerate(cursors):
                port, number = cursor.fetchone()
                place(port, 'pipelined read')
                say(number == n)
        try:
            with connection.pipeline() as pipeline:
                connection.execute("INSERT INTO note (body) VALUES ('piped') RETURNING body")
                pipeline.sync()
                connection.execute('SELECT 1/0')
                connection.execute("INSERT INTO note (body) VALUES ('skipped')")
                pipeline.sync()
        except psycopg.Error as error:
            say(type(error).__name__)
        say(connection.execute("SELECT body FROM note WHERE body IN ('piped', 'skipped')").fetchall())
        with connection.pipeline(), connection.transaction():
            ports = [connection.execute(WHERE) for _ in range(3)]
            connection.execute("INSERT INTO note (body) VALUES ('in one')")
            for cursor in ports:
                place(cursor.fetchone()[0], 'read in a transaction')
        connection.read_only = True
        with connection.pipeline() as pipeline, connection.transaction():
            cursor = connection.execute(WHERE)
            pipeline.sync()
            place(cursor.fetchone()[0], 'read in a read-only transaction')
        connection.read_only = None
        try:
            with connection.pipeline(), connection.transaction():
                connection.execute("INSERT INTO note (body) VALUES ('taken back')")
                connection.execute('SELECT nosuch')
        except psycopg.Error as error:
            say(type(error).__name__)
        say(ask(connection, "SELECT count(*) FROM note WHERE body IN ('in one', 'taken back')"))
        with connection.pipeline():
            connection.cursor().executemany('INSERT INTO note (body) VALUES (%s)', [(f'bulk {n}',) for n in range(500)])
        say(ask(connection, "SELECT count(*) FROM note WHERE body LIKE 'bulk%'"))


@idiom('errors')
def _():
    with autocommitting() as connection:
        notices = []
        connection.add_notice_handler(lambda diag: notices.append((diag.severity, diag.message_primary)))
        for statement in ('SELEC 1', 'SELECT 1/0', 'SELECT * FROM nosuch', 'SELECT nosuch(1)', "INSERT INTO tea VALUES (1, 'x', 1)", "INSERT INTO tea VALUES (1000, 'x', -1)", "SELECT 'x'::int", 'SELECT 1; SELECT 1/0', "DO $$ BEGIN RAISE EXCEPTION 'own' USING DETAIL = 'd', ERRCODE = 'XY123'; END $$"):
            failing(connection, statement)
            failing(connection, statement.replace('%', '%%') + ' -- %s', (1,))
            say(ask(connection, 'SELECT count(*) FROM tea WHERE id = 1000'))
        ask(connection, "DO $$ BEGIN RAISE NOTICE 'boiling'; RAISE WARNING 'boils'; END $$")
        say(notices)
        cursor = connection.execute('SELECT 1; SELECT 2')
        say(cursor.fetchall(), cursor.nextset(), cursor.fetchall())
        say(ask(connection, "INSERT INTO note (body) VALUES ('multi'); SELECT body FROM note WHERE body = 'multi'"))
        say(ask(connection, ''), ask(connection, '-- nothing\nSELECT 2'))
    with psycopg.connect('') as connection:
        failing(connection, 'SELECT 1/0')
        failing(connection, 'SELECT 1')
        say(connection.info.transaction_status)
        connection.rollback()
        say(connection.info.transaction_status, ask(connection, 'SELECT 1'))


@idiom('changed tables')
def _():
    with autocommitting() as connection:
        for statement in ('SELECT 1', 'ALTER TABLE tea ADD COLUMN extra int', 'ALTER TABLE tea DROP COLUMN extra'):
            ask(connection, statement)
            for n in range(7):
                try:
                    say(ask(connection, 'SELECT * FROM tea WHERE id = %s', (n,)))
                except psycopg.errors.FeatureNotSupported:
                    say(ask(connection, 'SELECT * FROM tea WHERE id = %s', (n,), prepare=False))
