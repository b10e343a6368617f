"""Internal stages: PUT hands out a place in a cloud's storage and keys for it, COPY reads the files from there.

The storage is somebody else's: Amazon's by moto (which checks signatures and session tokens), Microsoft's by azurite
(which checks SAS tokens), Google's by fakesnow (a presigned address of its own for each file, and a bucket behind it).
Which of them an account lies on stands in its name: `…-on-s3`, `…-on-azure`, `…-on-gcs`. A stage is sealed by the client
unless it was made with ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE'); what was sealed is opened here with the key that the PUT
handed out, so a file that was sealed wrongly, or not at all, is refused.

fakesnow's bucket keeps no metadata, gives no keys and no tokens: stages on Google that are sealed lie in a few lines
here, which check the token that each PUT hands out. Its COPY knows neither ESCAPE nor RECORD_DELIMITER nor ENCODING, so
files are read here from its bucket, as they are from all others.

`CALL STAND_IN$EXPIRED_KEYS(n)` makes the next n PUTs hand out keys that are no longer good.
"""

import base64
import contextlib
import datetime
import gzip
import hashlib
import hmac
import json
import os
import re
import secrets
import threading
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field

import fakesnow.transforms.stage as bucket
import pyarrow as pa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from .refused import Refused, missing

NAME = r"((?:\"(?:[^\"]|\"\")+\"|[\w$]+)(?:\.(?:\"(?:[^\"]|\"\")+\"|[\w$]+)){0,2})"
CREATE = re.compile(rf"^\s*CREATE\s+(?:OR\s+REPLACE\s+)?STAGE\s+(?:IF\s+NOT\s+EXISTS\s+)?{NAME}(.*)$", re.I | re.S)
DROP = re.compile(rf"^\s*DROP\s+STAGE\s+(?:IF\s+EXISTS\s+)?{NAME}\s*$", re.I)
PUT = re.compile(r"^\s*PUT\s+'(file://[^']+)'\s+'@([^']+)'\s+(.*)$", re.I | re.S)
REMOVE = re.compile(r"^\s*REMOVE\s+'@([^']+)'\s*$", re.I)
LIST = re.compile(r"^\s*LIST\s+'@([^']+)'\s*$", re.I)
COPY = re.compile(
    r"^\s*COPY INTO (\S+) \((.*?)\) FROM \(SELECT (.*) FROM '@([^']+)'\) FILE_FORMAT = \((.*)\) ON_ERROR = ABORT_STATEMENT\s*$",
    re.S,
)
FORMAT = (
    "TYPE = CSV COMPRESSION = GZIP FIELD_DELIMITER = ',' RECORD_DELIMITER = '\\n' FIELD_OPTIONALLY_ENCLOSED_BY = '\"' "
    "ESCAPE = NONE ESCAPE_UNENCLOSED_FIELD = NONE EMPTY_FIELD_AS_NULL = TRUE NULL_IF = () TRIM_SPACE = FALSE "
    "SKIP_BLANK_LINES = FALSE ENCODING = 'UTF8'"
)
PUT_OPTIONS = "AUTO_COMPRESS = FALSE SOURCE_COMPRESSION = GZIP OVERWRITE = TRUE"
EXPIRED = re.compile(r"^\s*CALL\s+STAND_IN\$EXPIRED_KEYS\(\s*(\d+)\s*\)\s*$", re.I)
CELL = re.compile(r'(?:"((?:[^"]|"")*)"|([^,\n"]*))(,|\n)')
PART = re.compile(r'"((?:[^"]|"")+)"|([\w$]+)')

BUCKET = "stages"
AZURE_ACCOUNT = "devstoreaccount1"
# The key that azurite is born with, as its documentation says.
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass
class Stage:
    sealed: bool
    folder: str = field(default_factory=lambda: secrets.token_hex(8))
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    smk: int = field(default_factory=lambda: secrets.randbelow(1 << 40))
    files: set[str] = field(default_factory=set)
    expired: int = 0


# ---- storage


class S3:
    """moto, with a role whose temporary keys are all that it takes."""

    def __init__(self, endpoint: str):
        import boto3

        def client(name: str, **keys):
            return boto3.client(name, endpoint_url=endpoint, region_name="us-west-2", **keys)

        self.endpoint = endpoint
        # moto asks for no proof of these four calls (INITIAL_NO_AUTH_ACTION_COUNT), and of every other one from then on.
        nobody = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
        trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
        iam = client("iam", **nobody)
        role = iam.create_role(RoleName="stages", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
        iam.put_role_policy(RoleName="stages", PolicyName="all", PolicyDocument=json.dumps(allow))
        client("s3", **nobody).create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        keys = client("sts", **nobody).assume_role(RoleArn=role, RoleSessionName="stages")["Credentials"]
        self.keys = (keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
        names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
        self.s3 = client("s3", **dict(zip(names, self.keys)))

    def info(self, folder: str, name: str, expired: bool) -> dict:
        key, secret, token = self.keys
        return {
            "locationType": "S3",
            "location": f"{BUCKET}/{folder}",
            "region": "us-west-2",
            "endPoint": self.endpoint.split("//")[1],
            "creds": {"AWS_KEY_ID": key, "AWS_SECRET_KEY": secret, "AWS_TOKEN": "of yesterday" if expired else token},
        }

    def get(self, path: str) -> tuple[bytes, dict]:
        found = self.s3.get_object(Bucket=BUCKET, Key=path)
        about = found["Metadata"]
        sealed = {"key": about.get("x-amz-key"), "iv": about.get("x-amz-iv"), "matdesc": about.get("x-amz-matdesc")}
        return found["Body"].read(), {**sealed, "digest": about.get("sfc-digest")}

    def remove(self, path: str) -> None:
        self.s3.delete_object(Bucket=BUCKET, Key=path)


class Azure:
    """azurite; each PUT gets a token that is good for writing only, and for an hour."""

    def __init__(self, endpoint: str):
        self.endpoint = endpoint
        self.call("PUT", "", "sr", "co", query="restype=container&")

    def sas(self, rights: str, kinds: str, hours: int = 1) -> str:
        end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=hours)
        parts = {"sp": rights, "ss": "b", "srt": kinds, "st": "", "se": end.strftime("%Y-%m-%dT%H:%M:%SZ"), "sip": "", "spr": "https,http", "sv": "2018-11-09"}
        text = "\n".join([AZURE_ACCOUNT, *parts.values(), ""])
        proof = hmac.new(base64.b64decode(AZURE_KEY), text.encode(), hashlib.sha256).digest()
        given = {name: value for name, value in parts.items() if value}
        return "?" + urllib.parse.urlencode({**given, "sig": base64.b64encode(proof).decode()})

    def call(self, method: str, path: str, rights: str, kinds: str, query: str = ""):
        rights = {"sr": "rwdlac"}.get(rights, rights)
        url = f"{self.endpoint}/{AZURE_ACCOUNT}/{BUCKET}{path}?{query}{self.sas(rights, kinds)[1:]}"
        headers = {"x-ms-version": "2018-11-09", "content-length": "0"}
        return urllib.request.urlopen(urllib.request.Request(url, method=method, headers=headers))

    def info(self, folder: str, name: str, expired: bool) -> dict:
        return {
            "locationType": "AZURE",
            "location": f"{BUCKET}/{folder}",
            "storageAccount": AZURE_ACCOUNT,
            "endPoint": self.endpoint.split("//")[1],
            "creds": {"AZURE_SAS_TOKEN": self.sas("cw", "o", -1 if expired else 1)},
        }

    def get(self, path: str) -> tuple[bytes, dict]:
        with self.call("GET", f"/{path}", "r", "o") as found:
            about = {name.lower(): value for name, value in found.headers.items()}
            data = json.loads(about.get("x-ms-meta-encryptiondata", "{}"))
            return found.read(), {**envelope(data), "matdesc": about.get("x-ms-meta-matdesc"), "digest": about.get("x-ms-meta-sfcdigest")}

    def remove(self, path: str) -> None:
        try:
            self.call("DELETE", f"/{path}", "d", "o").close()
        except urllib.error.HTTPError as error:
            if error.code != 404:  # a file whose PUT was answered, and that never came
                raise


class Fakesnows:
    """fakesnow's bucket: it hands out the addresses itself (`put_by_fakesnow` in fakesnow_account.py)."""

    def get(self, path: str) -> tuple[bytes, dict | None]:
        with open(os.path.join(bucket.LOCAL_BUCKET_PATH, path), "rb") as file:
            return file.read(), None

    def remove(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):  # a file whose PUT was answered, and that never came
            os.remove(os.path.join(bucket.LOCAL_BUCKET_PATH, path))


class Google:
    """A few lines of our own, on the account's own address."""

    def __init__(self, endpoint: str):
        self.endpoint = endpoint
        self.tokens: set[str] = set()
        self.files: dict[str, tuple[bytes, dict]] = {}

    def info(self, folder: str, name: str, expired: bool) -> dict:
        token = secrets.token_hex(8)
        if not expired:
            self.tokens.add(token)
        return {
            "locationType": "GCS",
            "location": f"gcs/{BUCKET}/{folder}",
            "endPoint": self.endpoint.split("//")[1],
            "creds": {"GCS_ACCESS_TOKEN": token},
        }

    def take(self, path: str, headers, body: bytes) -> int:
        if headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            return 401
        data = json.loads(headers.get("x-goog-meta-encryptiondata", "{}"))
        about = {**envelope(data), "matdesc": headers.get("x-goog-meta-matdesc"), "digest": headers.get("x-goog-meta-sfc-digest")}
        self.files[path.removeprefix(f"{BUCKET}/")] = (body, about)
        return 200

    def get(self, path: str) -> tuple[bytes, dict]:
        return self.files[path]

    def remove(self, path: str) -> None:
        self.files.pop(path, None)


def envelope(data: dict) -> dict:
    return {"key": data.get("WrappedContentKey", {}).get("EncryptedKey"), "iv": data.get("ContentEncryptionIV")}


storage: dict[str, object] = {}
# Made once: a second maker would find that moto asks for proof by now.
making = threading.Lock()


def at_fakesnow(account: str, stage: Stage) -> bool:
    return "-on-gcs" in account and not stage.sealed


def cloud_of(account: str, base: str, stage: Stage):
    """The storage of a stage, made when first needed."""
    name = next((name for name in ("azure", "gcs") if f"-on-{name}" in account), "s3")
    if at_fakesnow(account, stage):
        return Fakesnows()
    with making:
        if name not in storage:
            if name == "gcs":
                storage[name] = Google(base)
            else:
                kind, variable = (S3, "TIDEGATE_STORAGE_S3") if name == "s3" else (Azure, "TIDEGATE_STORAGE_AZURE")
                endpoint = os.environ.get(variable)
                if not endpoint:
                    raise Refused("000002", f"{variable} is not set: scripts/services starts the storage of stages", "0A000")
                storage[name] = kind(endpoint)
        return storage[name]


# ---- statements


def split(name: str, place: tuple) -> tuple[str, str, str]:
    parts = [found[0].replace('""', '"') or found[1].upper() for found in PART.findall(name)]
    return tuple([*place[: 3 - len(parts)], *parts])


def matters(sql: str) -> bool:
    return any(one.match(sql) for one in (CREATE, DROP, PUT, REMOVE, LIST, COPY, EXPIRED))


def of(world, place: tuple, path: str) -> tuple[Stage, str]:
    """The stage of `"DB"."S"."NAME"/folder/`, and the folder."""
    found = re.match(rf"{NAME}/?(.*)$", path, re.S)
    name = split(found[1], place)
    stage = world_stages(world).get(name)
    if stage is None:
        raise missing("Stage", ".".join(name))
    return stage, found[2]


def world_stages(world) -> dict:
    if not hasattr(world, "stages"):
        world.stages, world.expired_keys = {}, 0
    return world.stages


def told(rows: list[list], *names: str) -> dict:
    rowtype = [{"name": name, "type": "text", "nullable": True} for name in names]
    return {"queryResultFormat": "json", "rowtype": rowtype, "rowset": rows, "total": len(rows), "queryId": secrets.token_hex(16)}


def run(world, account: str, place: tuple, sql: str, base: str) -> dict:
    """Carries out a statement about stages other than COPY; the data of its answer."""
    stages = world_stages(world)
    if found := EXPIRED.match(sql):
        world.expired_keys = int(found[1])
        return told([["done"]], "status")
    if found := CREATE.match(sql):
        name = split(found[1], place)
        stage = stages.setdefault(name, Stage(sealed="SNOWFLAKE_SSE" not in found[2].upper()))
        if at_fakesnow(account, stage):
            stage.folder = "/".join(name)
        return told([["Stage area successfully created."]], "status")
    if found := DROP.match(sql):
        stages.pop(split(found[1], place), None)
        return told([["Stage successfully dropped."]], "status")
    if found := PUT.match(sql):
        return put(world, account, place, found, base)
    if found := LIST.match(sql):
        stage, folder = of(world, place, found[1])
        return told([[name] for name in sorted(stage.files) if name.startswith(folder)], "name")
    stage, folder = of(world, place, REMOVE.match(sql)[1])
    gone = [name for name in stage.files if name.startswith(folder)]
    for name in gone:
        cloud_of(account, base, stage).remove(f"{stage.folder}/{name}")
        stage.files.discard(name)
    return told([[name, "removed"] for name in gone], "name", "result")


def noted(world, place: tuple, found: re.Match) -> tuple[Stage, str, str]:
    """The stage of a PUT, the folder and the file, which is on the stage from now on."""
    stage, folder = of(world, place, found[2])
    if found[3].strip() != PUT_OPTIONS:
        raise Refused("001003", f"the stand-in knows no PUT with {found[3]}", "42000")
    name = found[1].rsplit("/", 1)[1]
    stage.files.add(f"{folder}{name}")
    return stage, folder, name


def put(world, account: str, place: tuple, found: re.Match, base: str) -> dict:
    stage, folder, name = noted(world, place, found)
    expired, world.expired_keys = world.expired_keys > 0, max(0, world.expired_keys - 1)
    info = cloud_of(account, base, stage).info(f"{stage.folder}/{folder}", name, expired)
    material = {"queryStageMasterKey": base64.b64encode(stage.key).decode(), "queryId": secrets.token_hex(8), "smkId": stage.smk}
    return {
        "command": "UPLOAD",
        "src_locations": [found[1].removeprefix("file://")],
        "stageInfo": {**info, "isClientSideEncrypted": stage.sealed},
        "encryptionMaterial": material if stage.sealed else None,
        "queryId": secrets.token_hex(16),
    }


def opened(stage: Stage, body: bytes, about: dict) -> bytes:
    """A file as it was before it was sealed; refused if that cannot be."""
    if not stage.sealed:
        return body
    if not about["key"] or json.loads(about["matdesc"])["smkId"] != str(stage.smk):
        raise Refused("000002", "a file on the stage is not sealed with the stage's key", "22000")

    def plain(cipher: Cipher, text: bytes) -> bytes:
        decryptor = cipher.decryptor()
        text = decryptor.update(text) + decryptor.finalize()
        if text[-text[-1] :] != bytes([text[-1]] * text[-1]):
            raise Refused("000002", "a file on the stage cannot be opened", "22000")
        return text[: -text[-1]]

    key = plain(Cipher(algorithms.AES(stage.key), modes.ECB()), base64.b64decode(about["key"]))
    return plain(Cipher(algorithms.AES(key), modes.CBC(base64.b64decode(about["iv"]))), body)


def cells(text: str):
    """Rows of CSV, in which a cell without quotes that holds nothing is NULL."""
    row = []
    for found in CELL.finditer(text):
        quoted, bare, end = found.groups()
        row.append(quoted.replace('""', '"') if quoted is not None else bare or None)
        if end == "\n":
            yield row
            row = []


def copy(world, account: str, place: tuple, sql: str, base: str) -> tuple[pa.Table, str, list]:
    """The rows of a COPY's files as a table of texts, the statement that brings them in, and what COPY answers."""
    found = COPY.match(sql)
    into, names, values, path, options = found.groups()
    if " ".join(options.split()) != FORMAT:
        raise Refused("001003", f"the stand-in knows no COPY with {options}", "42000")
    stage, folder = of(world, place, path)
    rows, answer = [], []
    for name in sorted(name for name in stage.files if name.startswith(folder)):
        body, about = cloud_of(account, base, stage).get(f"{stage.folder}/{name}")
        body = opened(stage, body, about)
        if about and about["digest"] != base64.b64encode(hashlib.sha256(body).digest()).decode():
            raise Refused("000002", "the digest of a file on the stage differs", "22000")
        before = len(rows)
        rows.extend(cells(gzip.decompress(body).decode()))
        count = str(len(rows) - before)
        answer.append([name, "LOADED", count, count, "1", "0"])
    width = max((len(row) for row in rows), default=0)
    columns = [pa.array([row[at] for row in rows], pa.string()) for at in range(width)]
    table = pa.table(columns, names=[f"C{at + 1}" for at in range(width)])
    values = re.sub(r"\$(\d+)", r"C\1", values)
    return table, f"INSERT INTO {into} ({names}) SELECT {values} FROM TIDEGATE_COPY", answer
