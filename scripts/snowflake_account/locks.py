"""Whoever changes rows of a table makes the others who do so wait until the transaction ends; so does who reads a stream.

A client that was killed leaves its transaction open. Snowflake rolls back one that holds others up when it has been idle
for five minutes; here it is two seconds. What its session does after that is refused, until it rolls back itself.
"""

import asyncio
import time

import sqlglot
from sqlglot import exp
from starlette.concurrency import run_in_threadpool

from .refused import Refused
from .rewrite import target_of
from .states import name_of, parse
from .world import World, key

IDLE_S = 2.0
WAIT_S_MAX = 30.0


def wanted(world: World, place: tuple[str, str], tree: exp.Expression) -> set:
    """What a statement locks."""
    changes = isinstance(tree, (exp.Update, exp.Delete, exp.Merge, exp.TruncateTable))
    found = set()
    target = target_of(tree)
    if isinstance(target, exp.Table) and (changes or (isinstance(tree, exp.Insert) and tree.args.get("overwrite"))):
        found.add(key(name_of(target, place)))
    if isinstance(tree, (exp.Insert, exp.Update, exp.Delete, exp.Merge)):
        streams = [world.stream(name_of(one, place)) for one in tree.find_all(exp.Table) if one is not target]
        found |= {("stream", *key(stream.name)) for stream in streams if stream is not None}
    return found


async def turn(world: World, connection, place: tuple, sql: str) -> None:
    """Waits until nobody else holds what the statement locks, and takes it if a transaction is open."""
    session = connection.session[1]
    session.used = time.monotonic()
    if session.aborted:
        if sql.strip().upper().startswith(("ROLLBACK", "BEGIN")):
            session.aborted = False
            return
        raise Refused("000625", "The transaction was rolled back: it was idle and held others up.", "57014")
    try:
        tree = parse(sql)
    except sqlglot.errors.SqlglotError:
        return
    locks = wanted(world, (place[0] or "", place[1] or ""), tree)
    begun = time.monotonic()
    while locks and (holders := [one for one in world.connections if one is not connection and one.session[1].locked & locks]):
        for holder in holders:
            if time.monotonic() - holder.session[1].used > IDLE_S:
                await run_in_threadpool(holder.cursor().execute, "ROLLBACK")
                holder.session[1].end()
                holder.session[1].aborted = True
        if time.monotonic() - begun > WAIT_S_MAX:
            raise Refused("000625", "Statement has locked the table in another transaction", "57014")
        await asyncio.sleep(0.05)
    if session.began is not None:
        session.locked |= locks
