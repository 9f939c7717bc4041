// Follows all channels, as docs/protocol-sql.md says, with JDBC (Debian: libpostgresql-jdbc-java, and a JDK of 17 or later):
//   java -cp /usr/share/java/postgresql.jar Follow.java [global id]
//
// Prints each message once, in the order of global ids: those after the id given, or those from now on. Whatever interrupts
// it, a restart with the last id printed goes on where it was.

import java.net.URI;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.util.Properties;
import org.postgresql.PGConnection;

class Follow {
    static Long last;

    public static void main(String[] arguments) throws SQLException, InterruptedException {
        if (arguments.length > 0) last = Long.valueOf(arguments[0]);
        while (true) {
            try {
                follow(URI.create(System.getenv("DATABASE_URL")));
            } catch (SQLException error) {
                // The connection was lost, or the server stops or starts. What else goes wrong does not pass.
                if (!String.valueOf(error.getSQLState()).matches("08...|57P..")) throw error;
                System.err.println("again in a second: " + error.getMessage());
            }
            Thread.sleep(1_000);
        }
    }

    static void follow(URI url) throws SQLException {
        // One connection to listen with, which is never inside a transaction, and one to read with.
        try (var listener = connect(url); var reader = connect(url)) {
            var notifications = listener.unwrap(PGConnection.class);
            try (var listening = listener.createStatement()) {
                var name = readOne(reader, "select message_bus.notify_channel()", String.class);
                listening.execute("listen " + notifications.escapeIdentifier(name));
                if (last == null)
                    last = readOne(reader, "select coalesce(max(global_id), 0) from message_bus.global_backlog()", Long.class);
                System.out.println("following " + last);
                while (true) {
                    // After LISTEN: what was published before it brings no notification.
                    catchUp(reader);
                    // Something new, or a minute without: then this asks all the same.
                    notifications.getNotifications(60_000);
                    // Notices where the connection is dead.
                    listening.execute("select 1");
                }
            }
        }
    }

    /** What is new, until nothing is. */
    static void catchUp(Connection reader) throws SQLException {
        try (var statement = reader.prepareStatement("select global_id, channel, data from message_bus.global_backlog(?)")) {
            statement.setLong(1, last);
            try (var rows = statement.executeQuery()) {
                while (rows.next()) {
                    last = rows.getLong("global_id");
                    System.out.println(last + " " + rows.getString("channel") + " " + rows.getString("data"));
                }
            }
        }
    }

    static <T> T readOne(Connection reader, String query, Class<T> type) throws SQLException {
        try (var statement = reader.createStatement(); var rows = statement.executeQuery(query)) {
            rows.next();
            return rows.getObject(1, type);
        }
    }

    /** The driver takes user and password apart from the address. */
    static Connection connect(URI url) throws SQLException {
        var login = url.getUserInfo().split(":", 2);
        var port = url.getPort() < 0 ? 5432 : url.getPort();
        var settings = new Properties();
        settings.setProperty("user", login[0]);
        settings.setProperty("password", login[1]);
        settings.setProperty("tcpKeepAlive", "true");
        // Seconds for each answer; waiting for notifications has its own time.
        settings.setProperty("socketTimeout", "10");
        return DriverManager.getConnection("jdbc:postgresql://" + url.getHost() + ":" + port + url.getPath(), settings);
    }
}
