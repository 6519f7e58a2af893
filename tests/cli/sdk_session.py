# A session of a client of Element with the module `solidfire`: what it saw, as one line of JSON.
"""Usage: sdk_session.py PORT    the password of "admin" and of "reader" comes on stdin"""

import json
import logging
import sys
import time

from solidfire.common import ApiConnectionError, ApiServerError
from solidfire.factory import ElementFactory


def main(port, password):
    logging.getLogger("solidfire.Element").setLevel(logging.CRITICAL)

    def connect(username="admin", secret=password):
        return ElementFactory.create("127.0.0.1", username, secret, port=port, print_ascii_art=False)

    def error_of(call):
        try:
            call()
        except ApiServerError as error:
            return [error.error_name, error.error_code]
        except ApiConnectionError as error:
            return [str(error), 0]
        return ["none", 0]

    element = connect()
    info = element.get_software_encryption_at_rest_info()
    rekey = element.rekey_software_encryption_at_rest_master_key
    handle = rekey(key_management_type="Internal").async_handle
    result = {"status": "running"}
    while result["status"] == "running":
        time.sleep(0.01)
        result = element.get_async_result(async_handle=handle, keep_result=True)
    element.get_async_result(async_handle=handle)
    errors = [
        error_of(lambda: element.get_async_result(async_handle=handle)),
        error_of(lambda: rekey(key_management_type="internal", key_provider_id=1)),
        error_of(lambda: rekey(key_management_type="external")),
        error_of(lambda: rekey(key_management_type="sideways")),
        error_of(lambda: rekey(key_management_type="external", key_provider_id=99)),
        error_of(connect("reader").rekey_software_encryption_at_rest_master_key),
        error_of(lambda: connect(secret="wrong-password")),
        error_of(lambda: connect("nobody")),
    ]
    after = element.get_software_encryption_at_rest_info().master_key_info.key_id
    before = [info.state, info.version, info.master_key_info.key_management_type]
    print(json.dumps({"before": before, "result": result, "errors": errors, "after": str(after)}))


main(int(sys.argv[1]), sys.stdin.read())
