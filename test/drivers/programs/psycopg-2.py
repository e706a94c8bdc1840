"""psycopg2 with its defaults: every statement opens a transaction unless autocommit is on."""
import io
import select
import threading
import time

import psycopg2
import psycopg2.errors
import psycopg2.extensions
import psycopg2.extras
import psycopg2.pool

from stage import idiom, place, say

WHERE = "SELECT current_setting('port')::int"


def ask(connection, statement, *parameters):
    """All rows of a statement, or how many it touched."""
    with connection.cursor() as cursor:
        cursor.execute(statement, *parameters)
        return cursor.fetchall() if cursor.description else cursor.rowcount


def locate(connection, statement, sql=WHERE):
    place(ask(connection, sql)[0][0], statement)


def autocommitting(**options):
    connection = psycopg2.connect('', **options)
    connection.autocommit = True
    return connection


def failing(connection, statement, *parameters):
    try:
        ask(connection, statement, *parameters)
    except psycopg2.Error as error:
        diag = error.diag
        say(type(error).__name__, error.pgcode, diag.message_primary, diag.message_detail, diag.constraint_name, diag.statement_position)
    else:
        say('no error:', statement)


@idiom('autocommit')
def _():
    connection = autocommitting()
    for _ in range(10):
        locate(connection, 'autocommit read')
    for n in range(5):
        inserted, port = ask(connection, f"INSERT INTO note (body) VALUES (%s) RETURNING id, current_setting('port')", (f'note {n}',))[0]
        place(port, 'write')
        say(inserted, ask(connection, 'SELECT body FROM note WHERE id = %s', (inserted,)))
    say(ask(connection, "UPDATE note SET body = 'changed' WHERE id > 2"), ask(connection, 'SELECT * FROM note ORDER BY id'))
    say(ask(connection, 'DELETE FROM note'), ask(connection, 'SELECT count(*) FROM note'))
    with connection.cursor() as cursor:
        psycopg2.extras.execute_values(cursor, 'INSERT INTO note (body) VALUES %s', [(f'values {n}',) for n in range(250)])
        psycopg2.extras.execute_batch(cursor, 'UPDATE note SET body = %s WHERE body = %s', [(f'v{n}', f'values {n}') for n in range(250)])
        cursor.executemany('DELETE FROM note WHERE body = %s', [(f'v{n}',) for n in range(10)])
    say(ask(connection, 'SELECT count(*), min(body), max(body) FROM note'))
    connection.close()


@idiom('transactions')
def _():
    connection = psycopg2.connect('')
    for _ in range(3):
        locate(connection, 'read in a transaction')
        connection.rollback()
    with connection:
        ask(connection, "INSERT INTO note (body) VALUES ('kept')")
        say(ask(connection, 'SELECT body FROM note'), connection.info.transaction_status)
    try:
        with connection:
            ask(connection, "INSERT INTO note (body) VALUES ('gone')")
            raise KeyError('changed my mind')
    except KeyError as error:
        say(error, connection.info.transaction_status)
    say(ask(connection, "SELECT count(*) FROM note WHERE body IN ('kept', 'gone')"))
    connection.commit()
    for level in ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'):
        connection.set_session(isolation_level=level)
        say(ask(connection, 'SHOW transaction_isolation'), ask(connection, 'SELECT count(*) FROM tea'))
        connection.commit()
    connection.set_session(deferrable=True, isolation_level='DEFAULT')
    say(ask(connection, 'SHOW transaction_deferrable'))
    connection.rollback()
    branch = connection.xid(1, 'branch', 'of a tree')
    connection.tpc_begin(branch)
    ask(connection, "INSERT INTO note (body) VALUES ('two phases')")
    connection.tpc_rollback()
    say(ask(connection, "SELECT count(*) FROM note WHERE body = 'two phases'"), connection.tpc_recover())
    connection.close()


@idiom('read-only transactions')
def _():
    connection = psycopg2.connect('')
    connection.set_session(readonly=True)
    for _ in range(3):
        locate(connection, 'read in a read-only transaction')
        locate(connection, 'read in a read-only transaction')
        say(ask(connection, 'SELECT count(*) FROM tea'))
        connection.commit()
    failing(connection, "INSERT INTO note (body) VALUES ('no')")
    connection.rollback()
    connection.set_session(isolation_level='REPEATABLE READ')
    locate(connection, 'read in a read-only transaction')
    say(ask(connection, 'SHOW transaction_isolation'))
    connection.commit()
    connection.set_session(readonly=False)
    locate(connection, 'read in a transaction')
    say(ask(connection, "INSERT INTO note (body) VALUES ('yes') RETURNING body"))
    connection.rollback()
    connection.set_session(autocommit=True, readonly=True)
    locate(connection, 'read in a read-only session')
    failing(connection, "INSERT INTO note (body) VALUES ('no')")
    connection.set_session(readonly='DEFAULT', isolation_level='DEFAULT')
    say(ask(connection, "INSERT INTO note (body) VALUES ('again') RETURNING body"))
    connection.close()


@idiom('savepoints')
def _():
    connection = psycopg2.connect('')
    ask(connection, "INSERT INTO note (body) VALUES ('a')")
    ask(connection, 'SAVEPOINT one')
    failing(connection, 'INSERT INTO note (id, body) VALUES (NULL, NULL)')
    failing(connection, 'SELECT 1')
    ask(connection, 'ROLLBACK TO SAVEPOINT one')
    ask(connection, "INSERT INTO note (body) VALUES ('b')")
    ask(connection, 'RELEASE SAVEPOINT one')
    connection.commit()
    say(ask(connection, "SELECT body FROM note WHERE body IN ('a', 'b') ORDER BY 1"))
    ask(connection, 'SAVEPOINT two')
    ask(connection, "SET LOCAL application_name = 'inside'")
    ask(connection, 'ROLLBACK TO two')
    say(ask(connection, 'SHOW application_name'))
    connection.close()


@idiom('copy')
def _():
    connection = psycopg2.connect('')
    with connection.cursor() as cursor:
        lines = ''.join(f'copied {n} \\\\ \\t\n' for n in range(20000))
        cursor.copy_expert('COPY note (body) FROM STDIN', io.StringIO(lines))
        say(cursor.rowcount)
        out = io.StringIO()
        cursor.copy_to(out, 'note', columns=('body',))
        say(len(out.getvalue()), out.getvalue()[-60:])
        connection.commit()
    connection.autocommit = True
    with connection.cursor() as cursor:
        out = io.StringIO()
        cursor.copy_expert('COPY (SELECT id, name FROM tea ORDER BY id) TO STDOUT (FORMAT csv, HEADER)', out)
        say(out.getvalue()[:60])
        try:
            cursor.copy_from(io.StringIO('1\tx\ty\n'), 'tea')
        except psycopg2.Error as error:
            say(error.pgcode, error.diag.context)
        cursor.copy_from(io.StringIO('101\tx\t5\n'), 'tea')
    say(ask(connection, 'SELECT * FROM tea WHERE id > 100'))
    connection.close()


@idiom('listen')
def _():
    listener, talker = autocommitting(), autocommitting()
    ask(listener, 'LISTEN kettle')
    for n in range(3):
        ask(talker, "SELECT pg_notify('kettle', %s)", (f'boils {n}',))
    deadline = time.monotonic() + 20
    while len(listener.notifies) < 3 and time.monotonic() < deadline:
        select.select([listener], [], [], 1)
        listener.poll()
    say([(note.channel, note.payload) for note in listener.notifies])
    listener.notifies.clear()
    ask(listener, "NOTIFY kettle, 'own'")
    say([(note.channel, note.payload) for note in listener.notifies])
    listener.notifies.clear()
    ask(listener, 'UNLISTEN kettle')
    ask(talker, 'NOTIFY kettle')
    say(ask(listener, 'SELECT count(*) FROM tea'), listener.notifies)
    listener.close()
    talker.close()


@idiom('cancel')
def _():
    connection = autocommitting()
    for statement in ('SELECT pg_sleep(60)', "DO $$ BEGIN PERFORM pg_sleep(60); END $$"):
        timer = threading.Timer(0.5, connection.cancel)
        timer.start()
        failing(connection, statement)
        timer.join()
        say(ask(connection, 'SELECT count(*) FROM tea'))
    connection.autocommit = False
    ask(connection, "INSERT INTO note (body) VALUES ('cancelled')")
    timer = threading.Timer(0.5, connection.cancel)
    timer.start()
    failing(connection, 'SELECT pg_sleep(60)')
    failing(connection, 'SELECT 1')
    connection.rollback()
    say(ask(connection, "SELECT count(*) FROM note WHERE body = 'cancelled'"))
    connection.close()


@idiom('types')
def _():
    connection = autocommitting()
    psycopg2.extras.register_uuid(conn_or_curs=connection)
    psycopg2.extras.register_composite('pair', connection)
    psycopg2.extras.register_inet(conn_or_curs=connection)
    psycopg2.extras.register_default_jsonb(conn_or_curs=connection)
    rows = ask(connection, 'SELECT * FROM specimen ORDER BY id')
    for row in rows:
        for value in row:
            say(type(value).__name__, bytes(value) if isinstance(value, memoryview) else repr(value))
    columns = 'id, yes, i2, i4, i8, dec, f4, f8, t, v, c, raw, d, ti, ts, tz, span, u, ai, at, m, p, net, r, b, o'
    for row in ask(connection, f'SELECT {columns} FROM specimen ORDER BY id'):
        marks = ['%s'] * len(row)
        ask(connection, f'INSERT INTO returned ({columns}) VALUES ({", ".join(marks)})'.replace("%s, %s)", "%s, %s)"), row)
    say(ask(connection, f'SELECT count(*) FROM (SELECT {columns} FROM specimen INTERSECT SELECT {columns} FROM returned) same'))
    say(ask(connection, "SELECT %s, %s, %s", ('100%', "it's \\ here", None)), connection.encoding, connection.server_version)
    connection.set_client_encoding('LATIN1')
    say(ask(connection, "SELECT 'é', octet_length(%s)", ('é',)), connection.encoding)
    connection.close()


@idiom('cursors')
def _():
    connection = psycopg2.connect('')
    with connection.cursor('named') as cursor:
        cursor.itersize = 100
        cursor.execute('SELECT n FROM generate_series(1, 1000) n')
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
    connection = psycopg2.connect('')
    connection.set_session(readonly=True)
    with connection.cursor('read_only') as cursor:
        cursor.execute("SELECT id, current_setting('port') FROM tea ORDER BY id LIMIT 2")
        for _, port in cursor:
            place(port, 'read in a read-only transaction')
    connection.close()


@idiom('pool return')
def _():
    pool = psycopg2.pool.ThreadedConnectionPool(1, 3, '')
    first = pool.getconn()
    ask(first, "SET application_name = 'dirty'")
    ask(first, 'CREATE TEMP TABLE dirt (n int)')
    first.commit()
    pool.putconn(first)
    again = pool.getconn()
    say(again is first, ask(again, 'SHOW application_name'), ask(again, 'SELECT count(*) FROM dirt'))
    again.rollback()
    again.reset()
    say(ask(again, 'SHOW application_name'))
    again.rollback()
    again.autocommit = True
    ask(again, "SET work_mem = '1MB'")
    ask(again, 'SELECT pg_advisory_lock(7)')
    ask(again, 'LISTEN dirt')
    ask(again, 'DISCARD ALL')
    failing(again, 'SELECT count(*) FROM dirt')
    say(ask(again, 'SHOW work_mem'), ask(again, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"))
    say(ask(again, 'SELECT * FROM pg_listening_channels()'))
    for statement in ('SET SESSION AUTHORIZATION DEFAULT', 'RESET ALL', 'CLOSE ALL', 'UNLISTEN *', 'SELECT pg_advisory_unlock_all()', 'DISCARD SEQUENCES', 'DISCARD TEMP'):
        ask(again, statement)
    locate(again, 'autocommit read')
    pool.closeall()


@idiom('options')
def _():
    for options in (
        {'application_name': 'tea shop'},
        {'options': '-c search_path=pg_catalog -c statement_timeout=12345'},
        {'options': '-c work_mem=3MB --geqo=off -c application_name=with\\ space'},
        {'target_session_attrs': 'read-write'},
        {'target_session_attrs': 'primary'},
        {'target_session_attrs': 'prefer-standby'},
        {'target_session_attrs': 'any', 'connect_timeout': 5},
        {'client_encoding': 'LATIN1'},
        {'sslmode': 'prefer', 'gssencmode': 'disable', 'keepalives': 1, 'tcp_user_timeout': 10000},
        {'fallback_application_name': 'fallback'},
        {'replication': 'database'},
    ):
        connection = autocommitting(**options)
        for name in ('application_name', 'search_path', 'statement_timeout', 'work_mem', 'geqo', 'client_encoding', 'TimeZone', 'DateStyle'):
            say(name, ask(connection, f'SHOW {name}'))
        say(*(connection.info.parameter_status(name) for name in ('application_name', 'client_encoding', 'in_hot_standby', 'session_authorization', 'is_superuser')))
        connection.close()
    for options in ({'target_session_attrs': 'standby'}, {'target_session_attrs': 'read-only'}, {'options': '-c nosuch=1'}, {'sslmode': 'require'}, {'dbname': 'nosuch'}):
        try:
            psycopg2.connect('', **options)
        except psycopg2.OperationalError as error:
            say(str(error).rpartition(':')[2])
        else:
            say('connected', options)


@idiom('errors')
def _():
    connection = autocommitting()
    for statement in ('SELEC 1', 'SELECT 1/0', 'SELECT * FROM nosuch', 'SELECT nosuch(1)', "INSERT INTO tea VALUES (1, 'x', 1)", "INSERT INTO tea VALUES (1000, 'x', -1)", "SELECT 'x'::int", 'SELECT 1; SELECT 1/0', "DO $$ BEGIN RAISE EXCEPTION 'own' USING DETAIL = 'd', ERRCODE = 'XY123'; END $$"):
        failing(connection, statement)
        say(ask(connection, 'SELECT count(*) FROM tea WHERE id = 1000'))
    ask(connection, "DO $$ BEGIN RAISE NOTICE 'boiling'; RAISE WARNING 'boils'; END $$")
    say(connection.notices)
    say(ask(connection, 'SELECT 1; SELECT 2'), ask(connection, "INSERT INTO note (body) VALUES ('multi'); SELECT body FROM note WHERE body = 'multi'"))
    say(ask(connection, ' '.join(['SELECT 1'])), ask(connection, '-- nothing\nSELECT 2'))
    connection.autocommit = False
    failing(connection, 'SELECT 1/0')
    failing(connection, 'SELECT 1')
    say(connection.info.transaction_status)
    connection.rollback()
    say(connection.info.transaction_status, ask(connection, 'SELECT 1'))
    connection.close()
