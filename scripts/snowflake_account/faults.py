"""What goes wrong on demand: `CALL STAND_IN$FAULT('kind', times)`, or all the time in an account whose name holds `shaky`.

`hangs`: a read in order that ends only when it is aborted; `CALL STAND_IN$HANGING()` has a row for each that hangs,
`CALL STAND_IN$ABORTED()` one for each statement that was aborted.

Only the connections under test meet them, never the owner of a test's tables.
"""

import asyncio
import re
from collections import Counter

from starlette.responses import Response

LISTED = re.compile(r"^\s*CALL\s+STAND_IN\$(ABORTED|HANGING)\(\s*\)\s*$", re.I)
CALL = re.compile(r"^\s*CALL\s+STAND_IN\$FAULT\(\s*'(\w+)'\s*,\s*(\d+)\s*\)\s*$", re.I)

# Of a statement: its session's token has expired (390112); the gateway never passes it on; it is carried out and the
# answer is lost; or cut; the answer is put off, so that it has to be asked for; it comes late.
STATEMENT = ("expired", "gateway", "lost", "cut", "later", "slow")
# Of a part of a result: its address has expired; storage stumbles; the body is cut; it comes late.
PART = ("part_403", "part_503", "part_cut", "part_slow")
# Of a renewal: the master token has expired, too (390114), and with it the session.
RENEWAL = ("master",)
# Of a read in order, and only where asked for: it ends when it is aborted.
HANGS = ("hangs",)
# In a shaky account every so many statements and parts meet one, in turn.
STATEMENT_EVERY = 7
PART_EVERY = 3
SLOW_S = 0.7


def matters(sql: str) -> bool:
    return bool(CALL.match(sql) or LISTED.match(sql))


def run(world, sql: str) -> tuple[list[list], tuple[str, ...]]:
    if found := LISTED.match(sql):
        return [[request] for request in getattr(world, found[1].lower())], ("request",)
    kind, times = CALL.match(sql).groups()
    if kind not in STATEMENT + PART + RENEWAL + HANGS:
        raise ValueError(f"no fault {kind}")
    of(world)[kind] += int(times)
    return [["done"]], ("status",)


def of(world) -> Counter:
    if not hasattr(world, "faults"):
        world.faults, world.asked, world.shaky, world.met = Counter(), Counter(), False, Counter()
        world.aborted, world.hanging = [], {}
    return world.faults


def next_of(world, kinds: tuple[str, ...], every: int = 0) -> str | None:
    """The fault that this call meets."""
    waiting = of(world)
    for kind in kinds:
        if waiting[kind] > 0:
            waiting[kind] -= 1
            world.met[kind] += 1
            return kind
    if not world.shaky or not every:
        return None
    world.asked[kinds] += 1
    turn, rest = divmod(world.asked[kinds], every)
    if rest:
        return None
    kind = kinds[(turn - 1) % len(kinds)]
    world.met[kind] += 1
    return kind


class Cut(Response):
    """Half of a body, and then the line is closed."""

    def __init__(self, whole: bytes):
        super().__init__(status_code=200)
        self.whole = whole

    async def __call__(self, scope, receive, send) -> None:
        length = [(b"content-length", str(len(self.whole)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        await send({"type": "http.response.body", "body": self.whole[: len(self.whole) // 2], "more_body": True})


async def after(kind: str | None, answer: Response) -> Response:
    """What a fault makes of an answer."""
    match kind:
        case "lost":
            return Response(status_code=503)
        case "cut" | "part_cut":
            return Cut(answer.body)
        case "slow" | "part_slow":
            await asyncio.sleep(SLOW_S)
        case "part_403":
            return Response("<Error><Code>AccessDenied</Code></Error>", status_code=403)
        case "part_503":
            return Response(status_code=503)
    return answer
