"""Every Cypher text of the Neo4j adapter. `$space` parts the deployments that share one server."""

CONSTRAINT = """
CREATE CONSTRAINT stadion_person IF NOT EXISTS FOR (p:Person) REQUIRE (p.space, p.id) IS UNIQUE
"""

# Writes its node first, in the order of ids: that takes its lock, so that two writers of one pair wait for
# each other and no friendship slips past a block.
LOCK = """
UNWIND $ids AS id
MERGE (p:Person {space: $space, id: id})
SET p.locked = NOT coalesce(p.locked, false)
"""

BLOCKED_PAIRS = """
UNWIND $pairs AS pair
MATCH (a:Person {space: $space, id: pair[0]})-[:BLOCKS]-(b:Person {space: $space, id: pair[1]})
RETURN count(*) AS count
"""

BEFRIEND = """
UNWIND $pairs AS pair
MATCH (a:Person {space: $space, id: pair[0]}), (b:Person {space: $space, id: pair[1]})
MERGE (a)-[:FRIEND]-(b)
"""

UNFRIEND = """
UNWIND $pairs AS pair
MATCH (:Person {space: $space, id: pair[0]})-[f:FRIEND]-(:Person {space: $space, id: pair[1]})
DELETE f
"""

BLOCK = """
UNWIND $pairs AS pair
MATCH (a:Person {space: $space, id: pair[0]}), (b:Person {space: $space, id: pair[1]})
MERGE (a)-[:BLOCKS]->(b)
"""

UNBLOCK = """
UNWIND $pairs AS pair
MATCH (:Person {space: $space, id: pair[0]})-[b:BLOCKS]->(:Person {space: $space, id: pair[1]})
DELETE b
"""

FORGET = """
UNWIND $ids AS id
MATCH (p:Person {space: $space, id: id})
DETACH DELETE p
"""

FRIENDS = """
UNWIND $ids AS id
MATCH (:Person {space: $space, id: id})-[:FRIEND]-(f:Person)
RETURN id, collect(DISTINCT f.id) AS found
"""

BLOCKED_BY = """
UNWIND $ids AS id
MATCH (:Person {space: $space, id: id})-[:BLOCKS]->(b:Person)
RETURN id, collect(DISTINCT b.id) AS found
"""

MUTUALS = """
UNWIND $ids AS id
MATCH (:Person {space: $space, id: $person})-[:FRIEND]-(f:Person)
MATCH (f)-[:FRIEND]-(:Person {space: $space, id: id})
RETURN id, collect(DISTINCT f.id) AS found
"""

# A pattern takes no parameter as its length: the adapter puts in a number that it has checked.
SHORTEST_PATH = """
MATCH (a:Person {space: $space, id: $start}), (b:Person {space: $space, id: $end})
MATCH way = shortestPath((a)-[:FRIEND*1..%d]-(b))
WHERE all(p IN nodes(way) WHERE NOT (p)-[:BLOCKS]-(a))
RETURN [p IN nodes(way) | p.id] AS ids
"""

SUGGESTIONS = """
MATCH (me:Person {space: $space, id: $person})-[:FRIEND]-(f:Person)
WITH me, f, COUNT { (f)-[:FRIEND]-() } AS degree
MATCH (f)-[:FRIEND]-(other:Person)
WHERE other <> me AND NOT (other)-[:FRIEND]-(me) AND NOT (other)-[:BLOCKS]-(me)
WITH other.id AS id, sum(1.0 / log(degree)) AS score, count(f) AS mutual_count
RETURN id, score, mutual_count
ORDER BY round(score, 9) DESC, id
LIMIT $limit
"""

# In pages by both ids. No id is empty, so that a first page has every pair behind it.
ALL_FRIENDS = """
MATCH (a:Person {space: $space}) WHERE a.id >= $first
MATCH (a)-[:FRIEND]-(b:Person)
WHERE a.id < b.id AND (a.id > $first OR b.id > $second)
RETURN DISTINCT a.id AS first, b.id AS second
ORDER BY first, second LIMIT $limit
"""

ALL_BLOCKS = """
MATCH (a:Person {space: $space}) WHERE a.id >= $first
MATCH (a)-[:BLOCKS]->(b:Person)
WHERE a.id > $first OR b.id > $second
RETURN DISTINCT a.id AS first, b.id AS second
ORDER BY first, second LIMIT $limit
"""
