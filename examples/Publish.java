// Publishes and reads with JDBC (Debian: libpostgresql-jdbc-java, and a JDK of 17 or later):
//   java -cp /usr/share/java/postgresql.jar Publish.java /chat

import java.net.URI;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;

class Publish {
    public static void main(String[] arguments) throws SQLException {
        var channel = arguments[0];
        try (var connection = connect(URI.create(System.getenv("DATABASE_URL")))) {
            // With your own data: the message goes out when the transaction commits, and never if it does not.
            connection.setAutoCommit(false);
            try (var statement = connection.createStatement()) {
                statement.execute("create temp table notes (body text) on commit drop");
                statement.execute("insert into notes values ('hello')");
            }
            System.out.println("published " + publish(connection, channel, """
                {"from": "java", "text": "hello"}"""));
            connection.commit();

            publish(connection, channel, "\"never seen\"");
            connection.rollback();
            connection.setAutoCommit(true);

            // For some alone. Ids are text: the cast in the statement takes numbers, too.
            System.out.println("published " + publish(connection, channel, "\"for 42\"", 42L));

            // What can be read after an id that you have seen: 0, from the beginning.
            try (var statement = connection.prepareStatement("select message_id, data from message_bus.backlog(?, ?)")) {
                statement.setString(1, channel);
                statement.setLong(2, 0);
                try (ResultSet rows = statement.executeQuery()) {
                    while (rows.next()) System.out.println(rows.getLong("message_id") + " " + rows.getString("data"));
                }
            }

            // Errors have an SQLSTATE.
            try {
                publish(connection, "/__status", "1");
            } catch (SQLException error) {
                System.out.println("refused " + error.getSQLState());
            }
        }
    }

    /** The data are JSON, from the library of your choice. Without user ids, the message is for everyone. */
    static long publish(Connection connection, String channel, String json, Long... userIds) throws SQLException {
        try (var statement = connection.prepareStatement("select message_bus.publish(?, ?::jsonb, user_ids => ?::text[])")) {
            statement.setString(1, channel);
            statement.setString(2, json);
            statement.setArray(3, userIds.length == 0 ? null : connection.createArrayOf("bigint", userIds));
            try (ResultSet rows = statement.executeQuery()) {
                rows.next();
                return rows.getLong(1);
            }
        }
    }

    /** The driver takes user and password apart from the address. */
    static Connection connect(URI url) throws SQLException {
        var login = url.getUserInfo().split(":", 2);
        var port = url.getPort() < 0 ? 5432 : url.getPort();
        return DriverManager.getConnection("jdbc:postgresql://" + url.getHost() + ":" + port + url.getPath(), login[0], login[1]);
    }
}
