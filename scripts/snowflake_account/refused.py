"""An error in the service's codes."""


class Refused(Exception):
    def __init__(self, code: str, message: str, state: str = "42000"):
        super().__init__(message)
        self.code, self.message, self.state = code, message, state


def missing(what: str, name: str) -> Refused:
    return Refused("002003", f"SQL compilation error:\n{what} '{name}' does not exist or not authorized.", "02000")


def travelled(name: str) -> Refused:
    """Wording and code as in Snowflake's documents on querying historical data."""
    why = "The requested time is either beyond the allowed time travel period or before the object creation time."
    return Refused("000707", f"Time travel data is not available for table {name}. {why}", "02000")


def untracked(name: str) -> Refused:
    """The wording is Snowflake's; its number is documented for dynamic tables only."""
    why = "Change tracking is not enabled or has been missing for the time range requested"
    return Refused("091930", f"SQL compilation error:\n{why} on table '{name}'.", "55000")
