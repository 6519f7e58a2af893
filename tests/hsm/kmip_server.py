#!/usr/bin/python3
# Runs Debian's PyKMIP server for a test, on a free loopback port that it prints.
"""Usage: kmip_server.py FOLDER    the folder has ca.pem, server.pem, server.key and policy/

It is the package's own server, engine and database, less the two helper processes that watch a directory of policies:
they would outlive a test that is killed."""

import ctypes
import logging
import pathlib
import signal
import sys
import types
import warnings

warnings.simplefilter("ignore")

from kmip.services.server import server as pykmip  # noqa: E402

PR_SET_PDEATHSIG = 1


class NoMonitor:
    """In place of the process that reads policies anew when they change."""

    def __init__(self, *_):
        pass

    def start(self):
        pass

    stop = join = start


def main(folder):
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    folder = pathlib.Path(folder)
    pykmip.multiprocessing = types.SimpleNamespace(Manager=lambda: types.SimpleNamespace(dict=dict))
    pykmip.monitor = types.SimpleNamespace(PolicyDirectoryMonitor=NoMonitor)
    server = pykmip.KmipServer(
        hostname="127.0.0.1",
        port=5696,
        certificate_path=str(folder / "server.pem"),
        key_path=str(folder / "server.key"),
        ca_path=str(folder / "ca.pem"),
        auth_suite="TLS1.2",
        config_path=None,
        log_path=str(folder / "server.log"),
        policy_path=str(folder / "policy"),
        enable_tls_client_auth=True,
        tls_cipher_suites="",
        logging_level="INFO",  # with DEBUG the log would hold keys
        database_path=str(folder / "kmip.db"),
    )
    logging.getLogger("kmip").propagate = False
    server.config.settings["port"] = 0
    server.start()
    server._socket.listen(16)  # whoever reads the port may connect at once
    print(server._socket.getsockname()[1], flush=True)
    server.serve()


main(sys.argv[1])
