# DBD::Pg with its defaults: AutoCommit, statements with placeholders prepared by the server at their second execution.
use strict;
use warnings;
use DBI;
use DBD::Pg qw(:pg_types);
use Data::Dumper;
$Data::Dumper::Terse = $Data::Dumper::Useqq = $Data::Dumper::Sortkeys = 1;
$Data::Dumper::Indent = 0;
$| = 1;
binmode STDOUT, ':utf8';

my $WHERE = "SELECT current_setting('port')::int";
my @NPGSQL_RESET = ('SET SESSION AUTHORIZATION DEFAULT', 'RESET ALL', 'CLOSE ALL', 'UNLISTEN *', 'SELECT pg_advisory_unlock_all()',
    'DISCARD SEQUENCES', 'DISCARD TEMP');

sub say_ { my $text = join ' ', map { ref $_ ? Dumper($_) : defined $_ ? $_ : 'undef' } @_; $text =~ s/\n/ | /g; print ": $text\n" }
sub place { print "@ $_[0] $_[1]\n" }
sub opened { my ($dsn, %more) = @_; DBI->connect("dbi:Pg:$dsn", undef, undef, { RaiseError => 1, PrintError => 0, PrintWarn => 0, %more }) }
sub ask { my ($dbh, $sql, @values) = @_; $dbh->selectall_arrayref($sql, undef, @values) }
sub locate { my ($dbh, $statement) = @_; place(ask($dbh, $WHERE)->[0][0], $statement) }
sub failing { my ($dbh, $code) = @_; eval { $code->(); 1 } ? say_('no error') : say_($dbh->state, $dbh->errstr) }
sub idiom {
    my ($name, $show) = @_;
    print "= $name\n";
    my $dbh;
    eval { $dbh = opened(''); $show->($dbh); 1 } or do { my $error = $@; $error =~ s/\n/ | /g; print "! $error\n" };
    eval { $dbh->disconnect } if $dbh;
}

idiom('autocommit', sub {
    my $dbh = shift;
    locate($dbh, 'autocommit read') for 1 .. 5;
    place(ask($dbh, "$WHERE, ?::int", $_)->[0][0], 'autocommit read') for 1 .. 5;
    for my $n (1 .. 5) {
        my ($id, $port) = $dbh->selectrow_array("INSERT INTO note (body) VALUES (?) RETURNING id, current_setting('port')", undef, "note $n");
        place($port, 'write');
        say_($id, ask($dbh, 'SELECT body FROM note WHERE id = ?', $id), $dbh->last_insert_id(undef, undef, 'note', undef));
    }
    say_($dbh->do("UPDATE note SET body = 'changed' WHERE id > 2"), ask($dbh, 'SELECT * FROM note ORDER BY id'));
    say_($dbh->do('DELETE FROM note'), ask($dbh, 'SELECT count(*) FROM note'), $dbh->ping);
});

idiom('transactions', sub {
    my $dbh = shift;
    for my $end ('commit', 'rollback', 'commit') {
        $dbh->begin_work;
        locate($dbh, 'read in a transaction');
        $dbh->do('INSERT INTO note (body) VALUES (?)', undef, $end);
        say_(ask($dbh, 'SELECT body FROM note'), $dbh->ping);
        $dbh->$end;
    }
    say_(ask($dbh, 'SELECT body FROM note ORDER BY id'));
    $dbh->{AutoCommit} = 0;
    $dbh->do("INSERT INTO note (body) VALUES ('gone')");
    $dbh->rollback;
    say_(ask($dbh, "SELECT count(*) FROM note WHERE body = 'gone'"));
    $dbh->commit;
    $dbh->{AutoCommit} = 1;
});

idiom('read-only transactions', sub {
    my $dbh = shift;
    $dbh->{ReadOnly} = 1;
    for (1 .. 3) {
        $dbh->begin_work;
        locate($dbh, 'read in a read-only transaction');
        say_(ask($dbh, 'SELECT name FROM tea WHERE id = ?', 7));
        $dbh->commit;
    }
    $dbh->begin_work;
    failing($dbh, sub { $dbh->do("INSERT INTO note (body) VALUES ('no')") });
    $dbh->rollback;
    $dbh->{ReadOnly} = 0;
    $dbh->begin_work;
    $dbh->do('SET TRANSACTION READ ONLY');
    locate($dbh, 'read in a read-only transaction');
    $dbh->commit;
    $dbh->do('SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY');
    locate($dbh, 'read in a read-only session');
});

idiom('savepoints', sub {
    my $dbh = shift;
    $dbh->begin_work;
    $dbh->do("INSERT INTO note (body) VALUES ('a')");
    $dbh->pg_savepoint('one');
    failing($dbh, sub { $dbh->do('INSERT INTO note (body) VALUES (NULL)') });
    failing($dbh, sub { ask($dbh, 'SELECT 1') });
    $dbh->pg_rollback_to('one');
    $dbh->do("INSERT INTO note (body) VALUES ('b')");
    $dbh->pg_release('one');
    $dbh->commit;
    say_(ask($dbh, "SELECT body FROM note WHERE body IN ('a', 'b') ORDER BY 1"));
});

idiom('prepared statements', sub {
    my $dbh = shift;
    my $where = $dbh->prepare("$WHERE, ?::int");
    my $add = $dbh->prepare('INSERT INTO note (body) VALUES (?) RETURNING body');
    for my $n (1 .. 12) { $where->execute($n); place($where->fetchrow_arrayref->[0], 'prepared read'); $where->finish }
    for my $n (1 .. 5) {
        $dbh->begin_work;
        $add->execute("prepared $n");
        $where->execute($n);
        say_($add->fetchall_arrayref, $where->fetchrow_arrayref->[1], $where->{NAME}, $where->{pg_type});
        $where->finish;
        $n % 2 ? $dbh->commit : $dbh->rollback;
        $add->execute("alone $n");
        say_($add->fetchall_arrayref);
    }
    my $bad = $dbh->prepare('SELECT 1/?::int');
    for my $n (0, 1, 0, 1) { failing($dbh, sub { $bad->execute($n); say_($bad->fetchall_arrayref) }) }
    my @many = map { $dbh->prepare("SELECT $_ + ?::int") } 1 .. 40;
    for my $sth (@many) { $sth->execute(1); $sth->execute(2); say_($sth->fetchall_arrayref) }
    $dbh->{pg_switch_prepared} = 0;
    $add->execute_array({ ArrayTupleStatus => \my @status }, [ 'x', 'y' ]);
    say_(scalar @status);
});

idiom('copy', sub {
    my $dbh = shift;
    $dbh->do('COPY note (body) FROM STDIN');
    $dbh->pg_putcopydata("copied $_ \\\\ \\t\n") for 1 .. 20000;
    say_($dbh->pg_putcopyend);
    $dbh->do("COPY (SELECT body FROM note WHERE body LIKE 'copied%' ORDER BY id) TO STDOUT");
    my ($lines, $row, $last) = (0, '', '');
    while ($dbh->pg_getcopydata($row) >= 0) { $lines++; $last = $row }
    say_($lines, $last);
    $dbh->do('COPY tea FROM STDIN');
    $dbh->pg_putcopydata("1\tx\ty\n");
    failing($dbh, sub { $dbh->pg_putcopyend });
    say_(ask($dbh, 'SELECT count(*) FROM tea'));
});

idiom('listen', sub {
    my $dbh = shift;
    my $talker = opened('');
    $dbh->do('LISTEN kettle');
    $talker->do("SELECT pg_notify('kettle', ?)", undef, "boils $_") for 1 .. 3;
    my ($heard, $until) = (0, time + 20);
    while ($heard < 3 && time < $until) {
        while (my $note = $dbh->pg_notifies) { say_($note->[0], $note->[2]); $heard++ }
        select undef, undef, undef, 0.01;
    }
    $dbh->do("NOTIFY kettle, 'own'");
    my $own = $dbh->pg_notifies;
    say_($own->[2]);
    $dbh->do('UNLISTEN *');
    $talker->disconnect;
    say_(ask($dbh, 'SELECT count(*) FROM tea'));
});

idiom('cancel', sub {
    my $dbh = shift;
    for my $sql ('SELECT pg_sleep(60)', "INSERT INTO note (body) SELECT 'cancelled' FROM pg_sleep(60)") {
        $dbh->do($sql, { pg_async => DBD::Pg::PG_ASYNC() });
        select undef, undef, undef, 0.5;
        say_($dbh->pg_ready);
        failing($dbh, sub { say_($dbh->pg_cancel) });
        say_(ask($dbh, "SELECT count(*) FROM note WHERE body = 'cancelled'"));
    }
});

idiom('types', sub {
    my $dbh = shift;
    for my $row (@{ ask($dbh, 'SELECT * FROM specimen ORDER BY id') }) { say_([$_]) for @$row }
    my $add = $dbh->prepare('INSERT INTO returned (id, t, raw, ai, at, tz) VALUES (?, ?, ?, ?, ?, ?)');
    $add->bind_param(3, undef, { pg_type => PG_BYTEA });
    $add->execute(@$_) for @{ ask($dbh, 'SELECT id, t, raw, ai, at, tz FROM specimen ORDER BY id') };
    say_(ask($dbh, 'SELECT id, t, raw, ai, at, tz FROM returned ORDER BY id'));
    say_([ map { $_->[2] } @{ $dbh->table_info(undef, 'public', undef, 'TABLE')->fetchall_arrayref } ]);
    say_([ $dbh->primary_key(undef, 'public', 'tea') ], $dbh->{pg_server_version});
});

idiom('pool return', sub {
    my $dbh = shift;
    $dbh->do($_) for "SET application_name = 'dirty'", 'CREATE TEMP TABLE dirt (n int)', 'SELECT pg_advisory_lock(7)', 'LISTEN dirt';
    say_(ask($dbh, 'SHOW application_name'));
    $dbh->do('DISCARD ALL');
    say_(ask($dbh, 'SHOW application_name'), ask($dbh, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"));
    failing($dbh, sub { ask($dbh, 'SELECT count(*) FROM dirt') });
    $dbh->do($_) for @NPGSQL_RESET;
    $dbh->do(join '; ', @NPGSQL_RESET);
    locate($dbh, 'autocommit read');
});

idiom('options', sub {
    for my $dsn ('', "application_name='tea shop'", "options='-c search_path=pg_catalog -c application_name=x'", 'client_encoding=LATIN1',
        'target_session_attrs=read-write', 'target_session_attrs=prefer-standby') {
        my $dbh = opened($dsn);
        say_(map { ask($dbh, "SHOW $_") } qw(application_name search_path client_encoding));
        $dbh->disconnect;
    }
    for my $dsn ('target_session_attrs=standby', 'dbname=nosuch', "options='-c nosuch=1'") {
        eval { opened($dsn); 1 } ? say_('connected') : say_($DBI::errstr =~ /([^:]*)$/);
    }
});

idiom('errors', sub {
    my $dbh = shift;
    for my $sql ('SELEC 1', 'SELECT 1/0', 'SELECT * FROM nosuch', "INSERT INTO tea VALUES (1, 'x', 1)", "SELECT 'x'::int", 'SELECT 1; SELECT 1/0') {
        failing($dbh, sub { $dbh->do($sql) });
        failing($dbh, sub { ask($dbh, $sql) });
        say_(ask($dbh, 'SELECT count(*) FROM tea WHERE id = 1000'));
    }
    local $SIG{__WARN__} = sub { say_('notice', @_) };
    $dbh->{PrintWarn} = 1;
    $dbh->do("DO \$\$ BEGIN RAISE NOTICE 'boiling'; RAISE WARNING 'boils'; END \$\$");
    say_($dbh->do('SELECT 1; SELECT 2'));
});

idiom('changed tables', sub {
    my $dbh = shift;
    my $tea = $dbh->prepare('SELECT * FROM tea WHERE id = ?');
    for my $sql ('SELECT 1', 'ALTER TABLE tea ADD COLUMN extra int', 'ALTER TABLE tea DROP COLUMN extra') {
        $dbh->do($sql);
        for my $n (1 .. 4) {
            if (!eval { $tea->execute($n); 1 }) {
                die $@ if $dbh->state ne '0A000';
                $tea = $dbh->prepare('SELECT * FROM tea WHERE id = ?');
                $tea->execute($n);
            }
            say_($tea->fetchall_arrayref);
        }
    }
});
