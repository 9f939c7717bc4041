<?php
// Publishes and reads with PDO (Debian: php-cli, php-pgsql):  php publish.php /chat
declare(strict_types=1);

$channel = $argv[1];
$url = parse_url(getenv('DATABASE_URL'));
$connection = new PDO(
    sprintf('pgsql:host=%s;port=%d;dbname=%s', $url['host'], $url['port'] ?? 5432, ltrim($url['path'], '/')),
    urldecode($url['user'] ?? ''),
    urldecode($url['pass'] ?? ''),
);

/** @param list<int|string>|null $userIds numbers, or of characters that need no quotes in a list of Postgres */
function publish(PDO $connection, string $channel, mixed $data, ?array $userIds = null): int
{
    $statement = $connection->prepare('select message_bus.publish(?, ?, user_ids => ?)');
    $statement->execute([
        $channel,
        json_encode($data, JSON_THROW_ON_ERROR),
        $userIds === null ? null : '{' . implode(',', $userIds) . '}',
    ]);
    return (int) $statement->fetchColumn();
}

// With your own data: the message goes out when the transaction commits, and never if it does not.
$connection->beginTransaction();
$connection->exec('create temp table notes (body text) on commit drop');
$connection->exec("insert into notes values ('hello')");
echo 'published ', publish($connection, $channel, ['from' => 'php', 'text' => 'hello']), "\n";
$connection->commit();

$connection->beginTransaction();
publish($connection, $channel, 'never seen');
$connection->rollBack();

// For some alone. Ids are text, and numbers become that here.
echo 'published ', publish($connection, $channel, 'for 42', [42]), "\n";

// What can be read after an id that you have seen: 0, from the beginning.
$statement = $connection->prepare('select message_id, data from message_bus.backlog(?, ?)');
$statement->execute([$channel, 0]);
foreach ($statement as ['message_id' => $id, 'data' => $data]) {
    echo "$id $data\n";
}

// Errors have an SQLSTATE.
try {
    publish($connection, '/__status', 1);
} catch (PDOException $error) {
    echo 'refused ', $error->getCode(), "\n";
}
