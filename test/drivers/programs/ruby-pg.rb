# ruby-pg with its defaults, and through it libpq as it is: simple queries, exec_params, named statements, pipeline mode.
require 'pg'
require 'timeout'

WHERE = "SELECT current_setting('port')::int AS port".freeze
FAILING = ['SELEC 1', 'SELECT 1/0', 'SELECT * FROM nosuch', "INSERT INTO tea VALUES (1, 'x', 1)",
           "INSERT INTO tea VALUES (1000, 'x', -1)", "SELECT 'x'::int", 'SELECT 1; SELECT 1/0'].freeze
NPGSQL_RESET = ['SET SESSION AUTHORIZATION DEFAULT', 'RESET ALL', 'CLOSE ALL', 'UNLISTEN *',
                'SELECT pg_advisory_unlock_all()', 'DISCARD SEQUENCES', 'DISCARD TEMP'].freeze

def say(*seen)
  puts ": #{seen.map { |thing| thing.is_a?(String) ? thing : thing.inspect }.join(' ').gsub("\n", ' | ')}"
end

def place(port, statement)
  puts "@ #{port} #{statement}"
end

def idiom(name)
  puts "= #{name}"
  connection = PG.connect
  connection.set_notice_processor { |message| say('notice', message) }
  yield connection
rescue StandardError => e
  puts "! #{e.class} #{e.message.gsub("\n", ' | ')} #{e.backtrace.grep(/ruby-pg.rb/).first[/\d+/]}"
ensure
  connection&.close unless connection&.finished?
  $stdout.flush
end

def locate(connection, statement)
  place(connection.exec(WHERE).getvalue(0, 0), statement)
end

def failing
  result = yield
  say('no error', result.respond_to?(:values) ? result.values : result)
rescue PG::Error => e
  field = ->(code) { e.result&.error_field(code) }
  say(e.class, field.(PG::PG_DIAG_SQLSTATE), field.(PG::PG_DIAG_MESSAGE_PRIMARY), field.(PG::PG_DIAG_MESSAGE_DETAIL),
      field.(PG::PG_DIAG_CONSTRAINT_NAME), field.(PG::PG_DIAG_STATEMENT_POSITION))
end

idiom('autocommit') do |c|
  5.times { locate(c, 'autocommit read') }
  5.times { |n| place(c.exec_params("#{WHERE}, $1::int", [n]).getvalue(0, 0), 'autocommit read') }
  5.times do |n|
    id, port = c.exec_params("INSERT INTO note (body) VALUES ($1) RETURNING id, current_setting('port')", ["note #{n}"]).values[0]
    place(port, 'write')
    say(id, c.exec_params('SELECT body FROM note WHERE id = $1', [id]).values)
  end
  say(c.exec("UPDATE note SET body = 'changed' WHERE id > 2").cmd_status, c.exec('SELECT * FROM note ORDER BY id').values)
  say(c.exec('DELETE FROM note').cmd_tuples, c.exec('SELECT count(*) FROM note').values)
end

idiom('transactions') do |c|
  c.transaction do |t|
    locate(t, 'read in a transaction')
    t.exec("INSERT INTO note (body) VALUES ('kept')")
    say(t.exec('SELECT body FROM note').values, t.transaction_status)
  end
  begin
    c.transaction do |t|
      t.exec("INSERT INTO note (body) VALUES ('gone')")
      raise KeyError, 'changed my mind'
    end
  rescue KeyError => e
    say(e.message, c.transaction_status)
  end
  say(c.exec("SELECT count(*) FROM note WHERE body IN ('kept', 'gone')").values)
end

idiom('read-only transactions') do |c|
  ['BEGIN READ ONLY', 'START TRANSACTION READ ONLY', 'BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY'].each do |text|
    c.exec(text)
    locate(c, 'read in a read-only transaction')
    place(c.exec_params("#{WHERE}, $1::int", [1]).getvalue(0, 0), 'read in a read-only transaction')
    c.exec('COMMIT')
  end
  c.exec('BEGIN READ ONLY')
  failing { c.exec("INSERT INTO note (body) VALUES ('no')") }
  c.exec('ROLLBACK')
  c.transaction do |t|
    t.exec('SET TRANSACTION READ ONLY')
    locate(t, 'read in a read-only transaction')
  end
  c.exec('SET default_transaction_read_only = on')
  locate(c, 'read in a read-only session')
end

idiom('savepoints') do |c|
  c.transaction do |t|
    t.exec("INSERT INTO note (body) VALUES ('a'); SAVEPOINT one")
    failing { t.exec('INSERT INTO note (body) VALUES (NULL)') }
    failing { t.exec('SELECT 1') }
    t.exec('ROLLBACK TO one')
    t.exec("INSERT INTO note (body) VALUES ('b')")
    t.exec('RELEASE one')
  end
  say(c.exec("SELECT body FROM note WHERE body IN ('a', 'b') ORDER BY 1").values)
end

idiom('prepared statements') do |c|
  c.prepare('where', "#{WHERE}, $1::int AS n")
  c.prepare('add', 'INSERT INTO note (body) VALUES ($1) RETURNING body')
  12.times { |n| place(c.exec_prepared('where', [n]).getvalue(0, 0), 'prepared read') }
  5.times do |n|
    c.transaction { |t| say(t.exec_prepared('add', [n]).values, t.exec_prepared('where', [n]).getvalue(0, 1)) }
    c.exec('BEGIN READ ONLY')
    place(c.exec_prepared('where', [n]).getvalue(0, 0), 'read in a read-only transaction')
    c.exec('ROLLBACK')
  end
  say(c.describe_prepared('where').fields, c.describe_prepared('add').nparams)
  failing { c.prepare('where', 'SELECT 1') }
  failing { c.exec_prepared('nosuch') }
  c.exec('DEALLOCATE "where"')
  failing { c.exec_prepared('where', [1]) }
  c.prepare('where', 'SELECT 2')
  say(c.exec_prepared('where').values)
  c.exec("PREPARE sql (int) AS SELECT name FROM tea WHERE id = $1")
  say(c.exec('EXECUTE sql (3)').values, c.exec_prepared('sql', [4]).values)
  c.exec('DEALLOCATE ALL')
  failing { c.exec_prepared('add', [1]) }
end

idiom('copy') do |c|
  c.copy_data('COPY note (body) FROM STDIN') { 20_000.times { |n| c.put_copy_data("copied #{n} \\\\ \\t\n") } }
  lines = 0
  last = nil
  c.copy_data("COPY (SELECT body FROM note WHERE body LIKE 'copied%' ORDER BY id) TO STDOUT") do
    while (row = c.get_copy_data)
      lines += 1
      last = row
    end
  end
  say(lines, last)
  failing { c.copy_data('COPY tea FROM STDIN') { c.put_copy_data("1\tx\ty\n") } }
  begin
    c.copy_data('COPY tea FROM STDIN') { raise KeyError, 'left in the middle' }
  rescue KeyError => e
    say(e.message)
  end
  say(c.exec('SELECT count(*) FROM tea').values)
end

idiom('listen') do |c|
  talker = PG.connect
  c.exec('LISTEN kettle')
  3.times { |n| talker.exec_params("SELECT pg_notify('kettle', $1)", ["boils #{n}"]) }
  3.times { c.wait_for_notify(20) { |channel, _pid, payload| say(channel, payload) } }
  c.exec("NOTIFY kettle, 'own'")
  c.wait_for_notify(20) { |channel, _pid, payload| say(channel, payload) }
  c.exec('UNLISTEN *')
  talker.close
  say(c.exec('SELECT count(*) FROM tea').values, c.notifies)
end

idiom('cancel') do |c|
  ['SELECT pg_sleep(60)', "INSERT INTO note (body) SELECT 'cancelled' FROM pg_sleep(60)"].each do |text|
    c.send_query(text)
    sleep 0.5
    say(c.cancel)
    failing { c.get_last_result }
    say(c.exec("SELECT count(*) FROM note WHERE body = 'cancelled'").values)
  end
end

idiom('types') do |c|
  [0, 1].each do |format|
    c.exec_params('SELECT * FROM specimen ORDER BY id', [], format).values.flatten(1).each { |value| say(value&.b.inspect) }
  end
  c.type_map_for_results = PG::BasicTypeMapForResults.new(c)
  c.exec('SELECT id, yes, i2, i8, f8, t, raw, d, ts, ai, at FROM specimen ORDER BY id').values.flatten(1).each { |value| say(value.inspect) }
  binary = PG::BinaryEncoder::Bytea.new
  say(c.exec_params('SELECT octet_length($1::bytea) AS n', [{ value: binary.encode("\x00\xff\\"), format: 1 }]).values)
end

idiom('cursors') do |c|
  c.transaction do |t|
    t.exec('DECLARE c CURSOR FOR SELECT n FROM generate_series(1, 1000) n')
    say(t.exec('FETCH 3 FROM c').values, t.exec('MOVE 10 IN c').cmd_status, t.exec('FETCH c').values)
  end
  c.send_query('SELECT generate_series(1, 5000)')
  c.set_single_row_mode
  rows = 0
  c.get_result.stream_each { rows += 1 }
  c.get_result
  say(rows)
end

idiom('pool return') do |c|
  c.exec("SET application_name = 'dirty'; CREATE TEMP TABLE dirt (n int); LISTEN dirt")
  c.exec('SELECT pg_advisory_lock(7)')
  say(c.exec('SHOW application_name').values)
  c.exec('DISCARD ALL')
  say(c.exec('SHOW application_name').values, c.exec("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").values)
  failing { c.exec('SELECT count(*) FROM dirt') }
  say(c.exec('SELECT * FROM pg_listening_channels()').values)
  NPGSQL_RESET.each { |text| c.exec(text) }
  c.exec(NPGSQL_RESET.join('; '))
  locate(c, 'autocommit read')
  c.exec('CREATE TEMP TABLE dirt (n int)')
  c.reset
  failing { c.exec('SELECT count(*) FROM dirt') }
end

idiom('options') do
  [{}, { application_name: 'tea shop' }, { options: '-c search_path=pg_catalog -c application_name=x' }, { client_encoding: 'LATIN1' },
   { target_session_attrs: 'read-write' }, { target_session_attrs: 'prefer-standby' }].each do |options|
    c = PG.connect(options)
    %w[application_name search_path statement_timeout client_encoding].each { |name| say(c.exec("SHOW #{name}").values) }
    say(c.parameter_status('application_name'), c.parameter_status('in_hot_standby'), c.server_version)
    c.close
  end
  [{ target_session_attrs: 'standby' }, { dbname: 'nosuch' }, { options: '-c nosuch=1' }].each do |options|
    PG.connect(options)
    say('connected', options)
  rescue PG::Error => e
    say(e.message.rpartition(':').last)
  end
end

idiom('pipelining') do |c|
  c.enter_pipeline_mode
  20.times { |n| c.send_query_params("#{WHERE}, $1::int", [n]) }
  c.pipeline_sync
  20.times do |n|
    result = c.get_result
    place(result.getvalue(0, 0), 'pipelined read')
    say(result.getvalue(0, 1) == n.to_s, c.get_result)
  end
  say(c.get_result.result_status)
  c.send_query_params("INSERT INTO note (body) VALUES ('undone')", [])
  c.send_query_params('SELECT 1/$1::int', [0])
  c.send_query_params('SELECT 3', [])
  c.pipeline_sync
  c.send_query_params("INSERT INTO note (body) VALUES ('piped') RETURNING body", [])
  c.send_flush_request
  c.pipeline_sync
  shown = []
  syncs = 0
  while syncs < 2
    result = c.get_result || next

    shown << [result.result_status, result.result_status == PG::PGRES_TUPLES_OK ? result.values : result.error_field(PG::PG_DIAG_SQLSTATE)]
    syncs += 1 if result.result_status == PG::PGRES_PIPELINE_SYNC
  end
  say(shown)
  c.exit_pipeline_mode
  say(c.exec("SELECT body FROM note WHERE body IN ('undone', 'piped')").values)
end

idiom('errors') do |c|
  FAILING.each do |text|
    failing { c.exec(text) }
    failing { c.exec_params(text, []) }
    say(c.exec('SELECT count(*) FROM tea WHERE id = 1000').values)
  end
  c.exec("DO $$ BEGIN RAISE NOTICE 'boiling'; RAISE WARNING 'boils'; END $$")
  say(c.exec('SELECT 1; SELECT 2').values, c.exec('').result_status)
end

idiom('changed tables') do |c|
  c.prepare('all', 'SELECT * FROM tea WHERE id = $1')
  ['SELECT 1', 'ALTER TABLE tea ADD COLUMN extra int', 'ALTER TABLE tea DROP COLUMN extra'].each do |text|
    c.exec(text)
    2.times do |n|
      say(c.exec_prepared('all', [n + 1]).values)
    rescue PG::FeatureNotSupported
      say(c.exec_params('SELECT * FROM tea WHERE id = $1', [n + 1]).values)
    end
  end
end
