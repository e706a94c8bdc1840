import java.io.StringReader;
import java.io.StringWriter;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;
import org.postgresql.util.PSQLException;

/** pgjdbc with its defaults: extended protocol throughout, named statements and binary values from the fifth execution on. */
class Pgjdbc {
  static final String WHERE = "SELECT current_setting('port')::int";
  static final String[] NPGSQL_RESET = {"SET SESSION AUTHORIZATION DEFAULT", "RESET ALL", "CLOSE ALL", "UNLISTEN *",
      "SELECT pg_advisory_unlock_all()", "DISCARD SEQUENCES", "DISCARD TEMP"};

  interface Show { void on(Connection connection) throws Exception; }

  interface Act { Object run() throws Exception; }

  static void say(Object... seen) {
    List<String> shown = new ArrayList<>();
    for (Object thing : seen) shown.add(String.valueOf(thing));
    System.out.println(": " + String.join(" ", shown).replace("\n", " | "));
  }

  static void place(int port, String statement) { System.out.println("@ " + port + " " + statement); }

  static Connection opened(String options) throws SQLException {
    String url = "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE");
    return DriverManager.getConnection(url + "?user=" + System.getenv("PGUSER") + options);
  }

  static void idiom(String name, Show show) {
    System.out.println("= " + name);
    try (Connection connection = opened("")) {
      show.on(connection);
    } catch (Exception error) {
      StackTraceElement at = error.getStackTrace()[0];
      for (StackTraceElement frame : error.getStackTrace()) if (frame.getClassName().startsWith("Pgjdbc")) { at = frame; break; }
      System.out.println("! line " + at.getLineNumber() + " " + String.valueOf(error).replace("\n", " | "));
    }
  }

  static List<List<Object>> rows(ResultSet found) throws SQLException {
    List<List<Object>> rows = new ArrayList<>();
    while (found.next()) {
      List<Object> row = new ArrayList<>();
      for (int n = 1; n <= found.getMetaData().getColumnCount(); n++) row.add(found.getObject(n));
      rows.add(row);
    }
    return rows;
  }

  static Object ask(Connection connection, String sql, Object... values) throws SQLException {
    try (PreparedStatement statement = connection.prepareStatement(sql)) {
      for (int n = 0; n < values.length; n++) statement.setObject(n + 1, values[n]);
      return statement.execute() ? rows(statement.getResultSet()) : (Object) statement.getUpdateCount();
    }
  }

  static void locate(Connection connection, String statement) throws SQLException {
    try (Statement asked = connection.createStatement(); ResultSet found = asked.executeQuery(WHERE)) {
      found.next();
      place(found.getInt(1), statement);
    }
  }

  static void failing(Act act) throws Exception {
    try {
      say("no error", act.run());
    } catch (PSQLException error) {
      say(error.getSQLState(), error.getMessage());
    } catch (SQLException error) {
      say(error.getSQLState(), error.getMessage(), error.getNextException());
    }
  }

  public static void main(String[] arguments) {
    idiom("autocommit", c -> {
      for (int n = 0; n < 10; n++) locate(c, "autocommit read");
      for (int n = 0; n < 8; n++) {
        try (PreparedStatement add = c.prepareStatement("INSERT INTO note (body) VALUES (?)", Statement.RETURN_GENERATED_KEYS)) {
          add.setString(1, "note " + n);
          add.executeUpdate();
          ResultSet keys = add.getGeneratedKeys();
          keys.next();
          say(keys.getInt("id"), ask(c, "SELECT body FROM note WHERE id = ?", keys.getInt("id")));
        }
      }
      ResultSet written = c.createStatement().executeQuery("INSERT INTO note (body) VALUES ('w') RETURNING current_setting('port')");
      written.next();
      place(written.getInt(1), "write");
      say(ask(c, "UPDATE note SET body = 'changed' WHERE id > 2"), ask(c, "SELECT * FROM note ORDER BY id"));
      say(ask(c, "DELETE FROM note"), ask(c, "SELECT count(*) FROM note"), c.isValid(5));
    });

    idiom("transactions", c -> {
      c.setAutoCommit(false);
      for (int n = 0; n < 3; n++) {
        locate(c, "read in a transaction");
        ask(c, "INSERT INTO note (body) VALUES (?)", "body " + n);
        say(ask(c, "SELECT body FROM note"));
        if (n == 1) c.rollback(); else c.commit();
      }
      say(ask(c, "SELECT body FROM note ORDER BY id"));
      c.commit();
      for (int level : new int[] {Connection.TRANSACTION_SERIALIZABLE, Connection.TRANSACTION_REPEATABLE_READ}) {
        c.setTransactionIsolation(level);
        say(ask(c, "SHOW transaction_isolation"), ask(c, "SELECT count(*) FROM tea"), c.getTransactionIsolation() == level);
        c.commit();
      }
    });

    idiom("read-only transactions", c -> {
      c.setReadOnly(true);
      c.setAutoCommit(false);
      for (int n = 0; n < 8; n++) {
        locate(c, "read in a read-only transaction");
        say(ask(c, "SELECT name FROM tea WHERE id = ?", n));
        c.commit();
      }
      failing(() -> ask(c, "INSERT INTO note (body) VALUES ('no')"));
      c.rollback();
      c.setAutoCommit(true);
      locate(c, "autocommit read");
      c.setReadOnly(false);
      c.setAutoCommit(false);
      locate(c, "read in a transaction");
      say(ask(c, "INSERT INTO note (body) VALUES ('yes')"));
      c.rollback();
      try (Connection always = opened("&readOnly=true&readOnlyMode=always")) {
        locate(always, "read in a read-only session");
        failing(() -> ask(always, "INSERT INTO note (body) VALUES ('no')"));
      }
    });

    idiom("savepoints", c -> {
      c.setAutoCommit(false);
      ask(c, "INSERT INTO note (body) VALUES ('a')");
      Savepoint one = c.setSavepoint("one");
      failing(() -> ask(c, "INSERT INTO note (body) VALUES (?)", new Object[] {null}));
      failing(() -> ask(c, "SELECT 1"));
      c.rollback(one);
      ask(c, "INSERT INTO note (body) VALUES ('b')");
      c.releaseSavepoint(one);
      c.rollback(c.setSavepoint());
      c.commit();
      say(ask(c, "SELECT body FROM note WHERE body IN ('a', 'b') ORDER BY 1"));
      c.commit();
      try (Connection always = opened("&autosave=always")) {
        always.setAutoCommit(false);
        ask(always, "INSERT INTO note (body) VALUES ('saved')");
        failing(() -> ask(always, "SELECT 1/0"));
        say(ask(always, "SELECT body FROM note WHERE body = 'saved'"));
        always.commit();
      }
    });

    idiom("prepared statements", c -> {
      PreparedStatement where = c.prepareStatement(WHERE + ", ?::int");
      PreparedStatement add = c.prepareStatement("INSERT INTO note (body) VALUES (?) RETURNING body");
      for (int n = 0; n < 12; n++) {
        where.setInt(1, n);
        ResultSet found = where.executeQuery();
        found.next();
        place(found.getInt(1), "prepared read");
        say(found.getInt(2));
      }
      for (int n = 0; n < 8; n++) {
        c.setAutoCommit(false);
        add.setString(1, "prepared " + n);
        say(rows(add.executeQuery()));
        where.setInt(1, n);
        ResultSet found = where.executeQuery();
        found.next();
        say(found.getInt(2));
        if (n % 2 == 0) c.commit(); else c.rollback();
        c.setAutoCommit(true);
        say(rows(add.executeQuery()));
      }
      PreparedStatement bad = c.prepareStatement("SELECT 1/?::int");
      for (int n : new int[] {1, 1, 1, 1, 1, 1, 0, 1, 0}) {
        bad.setInt(1, n);
        failing(() -> rows(bad.executeQuery()));
      }
    });

    idiom("copy", c -> {
      var copy = c.unwrap(PGConnection.class).getCopyAPI();
      StringBuilder lines = new StringBuilder();
      for (int n = 0; n < 20000; n++) lines.append("copied ").append(n).append("\n");
      say(copy.copyIn("COPY note (body) FROM STDIN", new StringReader(lines.toString())));
      StringWriter out = new StringWriter();
      say(copy.copyOut("COPY (SELECT body FROM note WHERE body LIKE 'copied%' ORDER BY id) TO STDOUT", out), out.toString().length());
      failing(() -> copy.copyIn("COPY tea FROM STDIN", new StringReader("1\tx\ty\n")));
      var in = copy.copyIn("COPY tea FROM STDIN");
      in.cancelCopy();
      say(ask(c, "SELECT count(*) FROM tea"));
    });

    idiom("listen", c -> {
      ask(c, "LISTEN kettle");
      try (Connection talker = opened("")) {
        for (int n = 0; n < 3; n++) ask(talker, "SELECT pg_notify('kettle', ?)", "boils " + n);
      }
      int heard = 0;
      while (heard < 3) {
        PGNotification[] notes = c.unwrap(PGConnection.class).getNotifications(20000);
        if (notes == null || notes.length == 0) throw new IllegalStateException("heard nothing");
        for (PGNotification note : notes) say(note.getName(), note.getParameter());
        heard += notes.length;
      }
      ask(c, "UNLISTEN *");
      say(ask(c, "SELECT count(*) FROM tea"));
    });

    idiom("cancel", c -> {
      for (String sql : new String[] {"SELECT pg_sleep(60)", "INSERT INTO note (body) SELECT 'cancelled' FROM pg_sleep(60)"}) {
        try (Statement statement = c.createStatement()) {
          Thread canceller = new Thread(() -> {
            try {
              Thread.sleep(500);
              statement.cancel();
            } catch (Exception error) {
              say(error);
            }
          });
          canceller.start();
          failing(() -> statement.execute(sql));
          canceller.join();
        }
        try (Statement statement = c.createStatement()) {
          statement.setQueryTimeout(1);
          failing(() -> statement.execute(sql));
        }
        say(ask(c, "SELECT count(*) FROM note WHERE body = 'cancelled'"));
      }
    });

    idiom("types", c -> {
      PreparedStatement all = c.prepareStatement("SELECT * FROM specimen ORDER BY id");
      for (int n = 0; n < 7; n++) {
        List<List<Object>> found = rows(all.executeQuery());
        if (n != 0 && n != 6) continue;
        for (List<Object> row : found) for (Object value : row) {
          boolean bytes = value instanceof byte[];
          say(value == null ? null : value.getClass().getSimpleName(), bytes ? java.util.Arrays.toString((byte[]) value) : value);
        }
      }
      String columns = "id, yes, i2, i4, i8, dec, f4, f8, t, raw, d, ti, ts, tz, u";
      PreparedStatement add = c.prepareStatement("INSERT INTO returned (" + columns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
      ResultSet source = c.createStatement().executeQuery("SELECT " + columns + " FROM specimen WHERE id <> 2 ORDER BY id");
      while (source.next()) {
        for (int n = 1; n <= 15; n++) add.setObject(n, source.getObject(n));
        add.executeUpdate();
      }
      say(ask(c, "SELECT id, i8, dec, t, ts, u FROM returned ORDER BY id"));
      say(ask(c, "SELECT ?::int[]", c.createArrayOf("int4", new Integer[] {1, null, 3})));
      List<String> tables = new ArrayList<>();
      ResultSet found = c.getMetaData().getTables(null, "public", "%", new String[] {"TABLE"});
      while (found.next()) tables.add(found.getString("TABLE_NAME"));
      say(tables, c.getMetaData().getDatabaseProductVersion());
    });

    idiom("cursors", c -> {
      c.setAutoCommit(false);
      for (int n = 0; n < 2; n++) {
        c.setReadOnly(n == 1);
        try (Statement statement = c.createStatement()) {
          statement.setFetchSize(100);
          ResultSet found = statement.executeQuery("SELECT n, current_setting('port')::int FROM generate_series(1, 1000) n");
          int total = 0;
          while (found.next()) {
            total += found.getInt(1);
            if (n == 1 && total % 250 == 0) place(found.getInt(2), "read in a read-only transaction");
          }
          say(total);
        }
        c.commit();
      }
    });

    idiom("pool return", c -> {
      for (String sql : new String[] {"SET application_name = 'dirty'", "CREATE TEMP TABLE dirt (n int)", "SELECT pg_advisory_lock(7)", "LISTEN dirt"}) ask(c, sql);
      say(ask(c, "SHOW application_name"));
      ask(c, "DISCARD ALL");
      say(ask(c, "SHOW application_name"), ask(c, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"));
      failing(() -> ask(c, "SELECT count(*) FROM dirt"));
      for (String sql : NPGSQL_RESET) ask(c, sql);
      c.createStatement().execute(String.join("; ", NPGSQL_RESET));
      locate(c, "autocommit read");
      c.setSchema("pg_catalog");
      say(c.getSchema(), ask(c, "SHOW search_path"));
    });

    idiom("options", c -> {
      for (String options : new String[] {"", "&ApplicationName=tea%20shop", "&options=-c%20work_mem=3MB", "&currentSchema=pg_catalog",
          "&targetServerType=primary", "&targetServerType=preferSecondary", "&preferQueryMode=simple", "&preferQueryMode=extendedForPrepared",
          "&prepareThreshold=1", "&prepareThreshold=0", "&assumeMinServerVersion=18", "&sslmode=prefer", "&gssEncMode=disable"}) {
        try (Connection other = opened(options)) {
          for (String name : new String[] {"application_name", "search_path", "work_mem", "TimeZone", "extra_float_digits"}) say(ask(other, "SHOW " + name));
          say(ask(other, "SELECT ?::int + 1", 41));
          other.setClientInfo("ApplicationName", "renamed");
          say(ask(other, "SHOW application_name"));
        }
      }
      failing(() -> opened("&targetServerType=secondary"));
      failing(() -> opened("&options=-c%20nosuch=1"));
    });

    idiom("pipelining", c -> {
      PreparedStatement add = c.prepareStatement("INSERT INTO note (body) VALUES (?)");
      for (int n = 0; n < 1000; n++) {
        add.setString(1, "batch " + n);
        add.addBatch();
      }
      say(add.executeBatch().length, ask(c, "SELECT count(*) FROM note WHERE body LIKE 'batch%'"));
      Statement mixed = c.createStatement();
      for (String sql : new String[] {"INSERT INTO note (body) VALUES ('in a batch')", "SELECT 1/0", "INSERT INTO note (body) VALUES ('behind')"}) mixed.addBatch(sql);
      failing(() -> mixed.executeBatch());
      say(ask(c, "SELECT body FROM note WHERE body IN ('in a batch', 'behind')"));
      try (Connection rewriting = opened("&reWriteBatchedInserts=true")) {
        PreparedStatement many = rewriting.prepareStatement("INSERT INTO note (body) VALUES (?)");
        for (int n = 0; n < 500; n++) {
          many.setString(1, "rewritten " + n);
          many.addBatch();
        }
        many.executeBatch();
        say(ask(rewriting, "SELECT count(*) FROM note WHERE body LIKE 'rewritten%'"));
      }
      try (Statement several = c.createStatement()) {
        for (int n = 0; n < 8; n++) {
          several.execute(WHERE + "; " + WHERE);
          do {
            ResultSet found = several.getResultSet();
            found.next();
            place(found.getInt(1), "pipelined read");
          } while (several.getMoreResults());
        }
      }
    });

    idiom("errors", c -> {
      for (String sql : new String[] {"SELEC 1", "SELECT 1/0", "SELECT * FROM nosuch", "INSERT INTO tea VALUES (1, 'x', 1)",
          "INSERT INTO tea VALUES (1000, 'x', -1)", "SELECT 'x'::int", "SELECT 1; SELECT 1/0"}) {
        failing(() -> ask(c, sql));
        failing(() -> c.createStatement().execute(sql));
        say(ask(c, "SELECT count(*) FROM tea WHERE id = 1000"));
      }
      try (Statement statement = c.createStatement()) {
        statement.execute("DO $$ BEGIN RAISE NOTICE 'boiling'; RAISE WARNING 'boils'; END $$");
        say(statement.getWarnings(), statement.getWarnings().getNextWarning());
      }
    });

    idiom("changed tables", c -> {
      for (String sql : new String[] {"SELECT 1", "ALTER TABLE tea ADD COLUMN extra int", "ALTER TABLE tea DROP COLUMN extra"}) {
        ask(c, sql);
        for (int n = 0; n < 8; n++) say(ask(c, "SELECT * FROM tea WHERE id = ?", n));
      }
    });
  }
}
