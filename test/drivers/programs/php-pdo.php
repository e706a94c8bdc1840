<?php
// PDO with its defaults: prepare() becomes a named statement of the server, of which PDO counts up the names.
const WHERE = "SELECT current_setting('port')::int";
const NPGSQL_RESET = ['SET SESSION AUTHORIZATION DEFAULT', 'RESET ALL', 'CLOSE ALL', 'UNLISTEN *', 'SELECT pg_advisory_unlock_all()',
    'DISCARD SEQUENCES', 'DISCARD TEMP'];

function say(...$seen): void
{
    echo ': ', strtr(implode(' ', array_map(fn ($thing) => is_string($thing) ? $thing : json_encode($thing), $seen)), ["\n" => ' | ']), "\n";
}

function place($port, string $statement): void
{
    echo "@ $port $statement\n";
}

function opened(string $dsn = '', array $options = []): PDO
{
    return new PDO("pgsql:$dsn", null, null, $options);
}

function ask(PDO $pdo, string $sql, array $values = []): array
{
    if ($values === []) return $pdo->query($sql)->fetchAll(PDO::FETCH_NUM);
    $statement = $pdo->prepare($sql);
    $statement->execute($values);
    return $statement->fetchAll(PDO::FETCH_NUM);
}

function locate(PDO $pdo, string $statement): void
{
    place(ask($pdo, WHERE)[0][0], $statement);
}

function failing(callable $act): void
{
    try {
        say('no error', $act());
    } catch (PDOException $error) {
        say($error->getCode(), $error->getMessage());
    }
}

function idiom(string $name, callable $show): void
{
    echo "= $name\n";
    try {
        $show(opened());
    } catch (Throwable $error) {
        echo '! ', $error->getLine(), ' ', strtr($error->getMessage(), ["\n" => ' | ']), "\n";
    }
}

idiom('autocommit', function (PDO $pdo) {
    for ($n = 0; $n < 5; $n++) locate($pdo, 'autocommit read');
    for ($n = 0; $n < 5; $n++) place(ask($pdo, WHERE . ', ?::int', [$n])[0][0], 'autocommit read');
    for ($n = 0; $n < 5; $n++) {
        [[$id, $port]] = ask($pdo, "INSERT INTO note (body) VALUES (?) RETURNING id, current_setting('port')", ["note $n"]);
        place($port, 'write');
        say($id, ask($pdo, 'SELECT body FROM note WHERE id = ?', [$id]), $pdo->lastInsertId(), $pdo->lastInsertId('note_id_seq'));
    }
    say($pdo->exec("UPDATE note SET body = 'changed' WHERE id > 2"), ask($pdo, 'SELECT * FROM note ORDER BY id'));
    say($pdo->exec('DELETE FROM note'), ask($pdo, 'SELECT count(*) FROM note'));
});

idiom('transactions', function (PDO $pdo) {
    foreach (['commit', 'rollBack', 'commit'] as $end) {
        $pdo->beginTransaction();
        locate($pdo, 'read in a transaction');
        ask($pdo, 'INSERT INTO note (body) VALUES (?)', [$end]);
        say(ask($pdo, 'SELECT body FROM note'), $pdo->inTransaction(), $pdo->$end(), $pdo->inTransaction());
    }
    say(ask($pdo, 'SELECT body FROM note ORDER BY id'));
});

idiom('read-only transactions', function (PDO $pdo) {
    for ($n = 0; $n < 3; $n++) {
        $pdo->beginTransaction();
        $pdo->exec('SET TRANSACTION READ ONLY');
        locate($pdo, 'read in a read-only transaction');
        place(ask($pdo, WHERE . ', ?::int', [$n])[0][0], 'read in a read-only transaction');
        $pdo->commit();
    }
    $pdo->exec('BEGIN READ ONLY');
    locate($pdo, 'read in a read-only transaction');
    failing(fn () => $pdo->exec("INSERT INTO note (body) VALUES ('no')"));
    $pdo->exec('ROLLBACK');
    $pdo->exec('SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY');
    locate($pdo, 'read in a read-only session');
});

idiom('savepoints', function (PDO $pdo) {
    $pdo->beginTransaction();
    $pdo->exec("INSERT INTO note (body) VALUES ('a')");
    $pdo->exec('SAVEPOINT one');
    failing(fn () => ask($pdo, 'INSERT INTO note (body) VALUES (?)', [null]));
    failing(fn () => ask($pdo, 'SELECT 1'));
    $pdo->exec('ROLLBACK TO one');
    $pdo->exec("INSERT INTO note (body) VALUES ('b')");
    $pdo->exec('RELEASE one');
    $pdo->commit();
    say(ask($pdo, "SELECT body FROM note WHERE body IN ('a', 'b') ORDER BY 1"));
});

idiom('prepared statements', function (PDO $pdo) {
    $where = $pdo->prepare(WHERE . ', ?::int');
    $add = $pdo->prepare('INSERT INTO note (body) VALUES (:body) RETURNING body');
    for ($n = 0; $n < 12; $n++) {
        $where->execute([$n]);
        place($where->fetchColumn(), 'prepared read');
    }
    for ($n = 0; $n < 5; $n++) {
        $pdo->beginTransaction();
        $add->execute(['body' => "prepared $n"]);
        $where->execute([$n]);
        say($add->fetchAll(), $where->fetchColumn(1));
        $n % 2 === 0 ? $pdo->commit() : $pdo->rollBack();
        $add->execute(['body' => "alone $n"]);
        say($add->fetchAll(), $add->rowCount());
    }
    $bad = $pdo->prepare('SELECT 1/?::int');
    foreach ([0, 1, 0, 1] as $n) failing(fn () => [$bad->execute([$n]), $bad->fetchAll()]);
    for ($n = 0; $n < 40; $n++) say(ask($pdo, "SELECT $n + ?::int", [$n]));
    foreach ([PDO::PGSQL_ATTR_DISABLE_PREPARES => true, PDO::ATTR_EMULATE_PREPARES => true] as $attribute => $value) {
        $statement = $pdo->prepare(WHERE . ', ?::text', [$attribute => $value]);
        $statement->execute(["it's"]);
        $row = $statement->fetch(PDO::FETCH_NUM);
        place($row[0], 'autocommit read');
        say($row[1]);
    }
});

idiom('copy', function (PDO $pdo) {
    $rows = array_map(fn ($n) => "copied $n", range(1, 20000));
    say($pdo->pgsqlCopyFromArray('note', $rows, "\t", '\\\\N', 'body'));
    $out = $pdo->pgsqlCopyToArray('note', "\t", '\\\\N', 'body');
    say(count($out), end($out));
    failing(fn () => $pdo->pgsqlCopyFromArray('tea', ["1\tx\ty"]));
    say(ask($pdo, 'SELECT count(*) FROM tea'));
});

idiom('listen', function (PDO $pdo) {
    $pdo->exec('LISTEN kettle');
    $talker = opened();
    for ($n = 0; $n < 3; $n++) ask($talker, "SELECT pg_notify('kettle', ?)", ["boils $n"]);
    for ($n = 0; $n < 3; $n++) {
        $note = $pdo->pgsqlGetNotify(PDO::FETCH_ASSOC, 20000);
        say($note['message'], $note['payload']);
    }
    $pdo->exec('UNLISTEN *');
    say(ask($pdo, 'SELECT count(*) FROM tea'));
});

idiom('types', function (PDO $pdo) {
    foreach ($pdo->query('SELECT * FROM specimen ORDER BY id', PDO::FETCH_ASSOC) as $row) {
        foreach ($row as $name => $value) say($name, gettype($value), is_resource($value) ? bin2hex(stream_get_contents($value)) : $value);
    }
    $add = $pdo->prepare('INSERT INTO returned (id, yes, raw, t) VALUES (?, ?, ?, ?)');
    $add->bindValue(1, 1, PDO::PARAM_INT);
    $add->bindValue(2, false, PDO::PARAM_BOOL);
    $add->bindValue(3, "\x00\xff\\'", PDO::PARAM_LOB);
    $add->bindValue(4, null, PDO::PARAM_NULL);
    $add->execute();
    say(ask($pdo, 'SELECT id, yes, encode(raw, \'hex\'), t FROM returned'));
    $pdo->beginTransaction();
    $oid = $pdo->pgsqlLOBCreate();
    $stream = $pdo->pgsqlLOBOpen($oid, 'w');
    fwrite($stream, 'a large object');
    fclose($stream);
    say(stream_get_contents($pdo->pgsqlLOBOpen($oid, 'r')), $pdo->pgsqlLOBUnlink($oid));
    $pdo->commit();
});

idiom('cursors', function (PDO $pdo) {
    $pdo->beginTransaction();
    $statement = $pdo->prepare('SELECT id FROM tea ORDER BY id', [PDO::ATTR_CURSOR => PDO::CURSOR_SCROLL]);
    $statement->execute();
    say($statement->fetch(), $statement->fetch(PDO::FETCH_NUM, PDO::FETCH_ORI_LAST), $statement->fetch(PDO::FETCH_NUM, PDO::FETCH_ORI_ABS, 5));
    $pdo->commit();
});

idiom('pool return', function (PDO $pdo) {
    foreach (["SET application_name = 'dirty'", 'CREATE TEMP TABLE dirt (n int)', 'SELECT pg_advisory_lock(7)', 'LISTEN dirt'] as $sql) $pdo->exec($sql);
    say(ask($pdo, 'SHOW application_name'));
    $pdo->exec('DISCARD ALL');
    say(ask($pdo, 'SHOW application_name'), ask($pdo, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"));
    failing(fn () => ask($pdo, 'SELECT count(*) FROM dirt'));
    foreach (NPGSQL_RESET as $sql) $pdo->exec($sql);
    $pdo->exec(implode('; ', NPGSQL_RESET));
    locate($pdo, 'autocommit read');
    foreach ([1, 2] as $_) {
        $kept = opened('', [PDO::ATTR_PERSISTENT => true]);
        locate($kept, 'autocommit read');
        $kept = null;
    }
});

idiom('options', function () {
    foreach (['', "application_name='tea shop'", "options='-c search_path=pg_catalog -c application_name=x'", 'client_encoding=LATIN1',
        'target_session_attrs=read-write', 'target_session_attrs=prefer-standby'] as $dsn) {
        $pdo = opened($dsn);
        foreach (['application_name', 'search_path', 'client_encoding'] as $name) say(ask($pdo, "SHOW $name"));
        say($pdo->getAttribute(PDO::ATTR_SERVER_VERSION));
    }
    foreach (['target_session_attrs=standby', 'dbname=nosuch', "options='-c nosuch=1'"] as $dsn) {
        try {
            opened($dsn);
            say('connected');
        } catch (PDOException $error) {
            say(preg_replace('/.*:/s', '', $error->getMessage()));
        }
    }
});

idiom('errors', function (PDO $pdo) {
    foreach (['SELEC 1', 'SELECT 1/0', 'SELECT * FROM nosuch', "INSERT INTO tea VALUES (1, 'x', 1)", "SELECT 'x'::int", 'SELECT 1; SELECT 1/0'] as $sql) {
        failing(fn () => $pdo->exec($sql));
        failing(fn () => ask($pdo, $sql));
        say(ask($pdo, 'SELECT count(*) FROM tea WHERE id = 1000'));
    }
    say($pdo->exec('SELECT 1; SELECT 2'));
});

idiom('changed tables', function (PDO $pdo) {
    $tea = $pdo->prepare('SELECT * FROM tea WHERE id = ?');
    foreach (['SELECT 1', 'ALTER TABLE tea ADD COLUMN extra int', 'ALTER TABLE tea DROP COLUMN extra'] as $sql) {
        $pdo->exec($sql);
        foreach ([1, 2] as $n) {
            try {
                $tea->execute([$n]);
            } catch (PDOException $error) {
                if ($error->getCode() !== '0A000') throw $error;
                $tea = $pdo->prepare('SELECT * FROM tea WHERE id = ?');
                $tea->execute([$n]);
            }
            say($tea->fetchAll());
        }
    }
});
