"""Users of an account and what they log in with, verified as the service does it.

An account in which no user was made and no token given out lets everybody in; with the first of either, only those that
prove themselves. The owner of a test's tables, who logs in as `owner`, always gets in: somebody has to make the users.
"""

import base64
import hashlib
import re

import jwt
from cryptography.hazmat.primitives.serialization import load_der_public_key

from .refused import Refused
from .roles import bare

NAME = r"(\"(?:[^\"]|\"\")+\"|[\w$]+)"
USER = re.compile(rf"^\s*(CREATE|ALTER)\s+USER\s+{NAME}\s+(?:SET\s+)?(.*)$", re.I | re.S)
# Tokens come from elsewhere (an identity provider, a page of the account), so the tests give them.
TOKEN = re.compile(r"^\s*CALL\s+STAND_IN\$(TOKEN|REVOKE)\(\s*'(pat|oauth)'\s*,\s*'([^']*)'\s*\)\s*$", re.I)
OPTION = re.compile(r"(\w+)\s*=\s*('[^']*'|\w+)")
OPTIONS = ("TYPE", "PASSWORD", "RSA_PUBLIC_KEY", "RSA_PUBLIC_KEY_2", "DEFAULT_ROLE", "DEFAULT_WAREHOUSE", "EMAIL", "LOGIN_NAME")


def matters(sql: str) -> bool:
    return bool(USER.match(sql) or TOKEN.match(sql))


def of(world) -> dict:
    if not hasattr(world, "users"):
        world.users = {}
        world.tokens = set()
    return world.users


def run(world, sql: str) -> tuple[list[list], tuple[str, ...]]:
    """Rows and their columns."""
    users = of(world)
    if found := TOKEN.match(sql):
        (world.tokens.add if found[1].upper() == "TOKEN" else world.tokens.discard)((found[2].lower(), found[3]))
        world.closed = True
        return [["done"]], ("status",)
    made, name, rest = USER.match(sql).groups()
    name, given = bare(name), {option.upper(): value.strip("'") for option, value in OPTION.findall(rest)}
    if unknown := set(given) - set(OPTIONS):
        raise Refused("001008", f"SQL compilation error: invalid property '{min(unknown)}' for 'USER'", "22023")
    if made.upper() == "ALTER" and name not in users:
        raise Refused("002003", f"SQL compilation error: User '{name}' does not exist or not authorized.", "02000")
    users.setdefault(name, {}).update(given)
    world.closed = True
    return [[f"User {name} successfully created."]], ("status",)


def refusal(world, account: str, data: dict) -> tuple[str, str] | None:
    """Why a login is not let in."""
    users = of(world)
    if data.get("LOGIN_NAME") == "owner" or not getattr(world, "closed", False):
        return None
    token, user = data.get("TOKEN") or "", users.get((data.get("LOGIN_NAME") or "").upper(), {})
    match data.get("AUTHENTICATOR") or "":
        case "SNOWFLAKE_JWT":
            good = signed(token, account, data.get("LOGIN_NAME") or "", user)
            return None if good else ("390144", "JWT token is invalid.")
        case "PROGRAMMATIC_ACCESS_TOKEN":
            good = ("pat", token) in world.tokens
            return None if good else ("394400", "Programmatic access token is invalid.")
        case "OAUTH":
            good = ("oauth", token) in world.tokens
            return None if good else ("390318", "OAuth access token expired.")
        case "" | "SNOWFLAKE":
            good = user.get("PASSWORD") and user["PASSWORD"] == data.get("PASSWORD")
            return None if good else ("390100", "Incorrect username or password was specified.")
    return "390100", "Incorrect username or password was specified."


def signed(token: str, account: str, name: str, user: dict) -> bool:
    """Signature, names, fingerprint and time of a token, by either key of the user."""
    whole = f"{account.upper()}.{name.upper()}"
    for option in ("RSA_PUBLIC_KEY", "RSA_PUBLIC_KEY_2"):
        if option not in user:
            continue
        der = base64.b64decode("".join(user[option].split()))
        print_of = "SHA256:" + base64.b64encode(hashlib.sha256(der).digest()).decode()
        try:
            need = {"require": ["exp", "iat", "iss", "sub"]}
            claims = jwt.decode(token, load_der_public_key(der), algorithms=["RS256"], options=need, leeway=5)
        except jwt.InvalidTokenError:
            continue
        # No longer than an hour, whatever the token says of itself.
        if claims["sub"] == whole and claims["iss"] == f"{whole}.{print_of}" and claims["exp"] - claims["iat"] <= 3600:
            return True
    return False
