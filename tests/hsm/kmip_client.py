#!/usr/bin/python3
# Does things to a KMIP server by PyKMIP's client: a second opinion on ours.
"""Usage: kmip_client.py FOLDER PORT    the folder has ca.pem, client.pem, client.key and client.conf

Reads a command a line and answers each with a line:
  get ID              the key in hex
  state ID            its State
  make NAME BITS      the id of a new AES key, active
  make_cipher NAME    the same for one of 256 bits that may encrypt and decrypt as well
  register NAME HEX   the same for a key of that value
  revoke ID           as compromised
  count               how many keys there are
A command that fails ends the program."""

import pathlib
import sys
import warnings

warnings.simplefilter("ignore")

from kmip.core import enums  # noqa: E402
from kmip.pie.client import ProxyKmipClient  # noqa: E402
from kmip.pie.objects import SymmetricKey  # noqa: E402

AES = enums.CryptographicAlgorithm.AES
USAGE = enums.CryptographicUsageMask
WRAP = [USAGE.WRAP_KEY, USAGE.UNWRAP_KEY]
ALL = [*WRAP, USAGE.ENCRYPT, USAGE.DECRYPT]
COMPROMISE = enums.RevocationReasonCode.KEY_COMPROMISE


def activated(client, key_id):
    client.activate(key_id)
    return key_id


def made(client, name, bits, usage):
    return activated(client, client.create(AES, bits, name=name, cryptographic_usage_mask=usage))


def revoked(client, key_id):
    client.revoke(COMPROMISE, key_id, compromise_occurrence_date=1)
    return key_id


def new_key(value, name):
    key = bytes.fromhex(value)
    return SymmetricKey(AES, 8 * len(key), key, masks=WRAP, name=name)


DO = {
    "get": lambda client, key_id: client.get(key_id).value.hex(),
    "state": lambda client, key_id: client.get_attributes(key_id, ["State"])[1][0].attribute_value.value.name,
    "make": lambda client, name, bits: made(client, name, int(bits), WRAP),
    "make_cipher": lambda client, name: made(client, name, 256, ALL),
    "register": lambda client, name, value: activated(client, client.register(new_key(value, name))),
    "revoke": revoked,
    "count": lambda client: len(client.locate()),
}


def main(folder, port):
    folder = pathlib.Path(folder)
    with ProxyKmipClient(
        hostname="127.0.0.1",
        port=int(port),
        cert=str(folder / "client.pem"),
        key=str(folder / "client.key"),
        ca=str(folder / "ca.pem"),
        ssl_version="PROTOCOL_TLSv1_2",
        kmip_version=enums.KMIPVersion.KMIP_1_2,
        config_file=str(folder / "client.conf"),
    ) as client:
        for line in sys.stdin:
            verb, *words = line.split()
            print(DO[verb](client, *words), flush=True)


main(*sys.argv[1:])
