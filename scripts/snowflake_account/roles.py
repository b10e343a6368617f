"""Roles and what was granted to them, as SHOW GRANTS lists it.

Only roles that a test makes with CREATE ROLE are known; what they may do is listed and not enforced: fakesnow lets every
session do everything.
"""

import re

from .refused import Refused

NAME = r"((?:\"(?:[^\"]|\"\")+\"|[\w$]+)(?:\.(?:\"(?:[^\"]|\"\")+\"|[\w$]+)){0,2})"
CREATE = re.compile(rf"^\s*CREATE\s+ROLE\s+{NAME}\s*$", re.I)
GRANT = re.compile(rf"^\s*(GRANT|REVOKE)\s+([\w, ]+?)\s+ON\s+(\w+)\s+{NAME}\s+(?:TO|FROM)\s+ROLE\s+{NAME}\s*$", re.I)
GRANT_ROLE = re.compile(rf"^\s*GRANT\s+ROLE\s+{NAME}\s+TO\s+ROLE\s+{NAME}\s*$", re.I)
SHOW = re.compile(rf"^\s*SHOW\s+GRANTS\s+TO\s+ROLE\s+{NAME}\s*$", re.I)


def matters(sql: str) -> bool:
    return any(one.match(sql) for one in (CREATE, GRANT_ROLE, GRANT, SHOW))


def bare(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.upper()


def dotted(name: str) -> str:
    """As the service writes a name: in quotes only where it needs them."""
    parts = [bare(part) for part in re.findall(r'"(?:[^"]|"")+"|[\w$]+', name)]
    return ".".join(part if re.fullmatch(r"[A-Z_][A-Z0-9_$]*", part) else '"' + part.replace('"', '""') + '"' for part in parts)


def run(world, sql: str) -> tuple[list[list], tuple[str, ...]]:
    """Rows and their columns."""
    if not hasattr(world, "roles"):
        world.roles = {}
    roles = world.roles
    if found := CREATE.match(sql):
        roles.setdefault(bare(found[1]), set())
        return [["Role successfully created."]], ("status",)
    if found := GRANT_ROLE.match(sql):
        known(roles, found[2]).add(("USAGE", "ROLE", dotted(found[1])))
        return [["Statement executed successfully."]], ("status",)
    if found := GRANT.match(sql):
        held = known(roles, found[5])
        for right in found[2].upper().split(","):
            one = (" ".join(right.split()), found[3].upper(), dotted(found[4]))
            held.add(one) if found[1].upper() == "GRANT" else held.discard(one)
        return [["Statement executed successfully."]], ("status",)
    found = SHOW.match(sql)
    rows = [["2026-11-28", *one, "ROLE", bare(found[1]), "false", "SECURITYADMIN"] for one in sorted(known(roles, found[1]))]
    return rows, ("created_on", "privilege", "granted_on", "name", "granted_to", "grantee_name", "grant_option", "granted_by")


def known(roles: dict, name: str) -> set:
    if bare(name) not in roles:
        raise Refused("002003", f"SQL compilation error: Role '{bare(name)}' does not exist or not authorized.", "02000")
    return roles[bare(name)]
