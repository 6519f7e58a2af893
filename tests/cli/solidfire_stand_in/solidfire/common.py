# Errors, as NetApp's SDK names them; see __init__.py.
import json


class ApiConnectionError(Exception):
    pass


class ApiServerError(Exception):
    def __init__(self, method_name, answer):
        super().__init__(f'ApiServerError(method_name="{method_name}", err_json={json.dumps(answer)})')
        self.error_name = answer["error"]["name"]
        self.error_code = answer["error"]["code"]
        self.message = answer["error"]["message"]
