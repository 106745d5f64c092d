"""Refusals of the vault, in the words and the form of the service."""


class VaultError(Exception):
    """An answer other than 200: HTTP status, error code, message, code of the inner error."""

    def __init__(self, status, code, message, inner=None):
        super().__init__(message)
        self.status, self.code, self.message, self.inner = status, code, message, inner

    def body(self):
        return error_body(self.code, self.message, self.inner)


def error_body(code, message, inner=None):
    error = {"code": code, "message": message}
    if inner:
        error["innererror"] = {"code": inner}
    return {"error": error}


def bad_parameter(message):
    return VaultError(400, "BadParameter", message)


def forbidden(message, inner):
    return VaultError(403, "Forbidden", message, inner)


def conflict(message, inner):
    return VaultError(409, "Conflict", message, inner)


def key_not_found(name):
    return VaultError(
        404, "KeyNotFound",
        f"A key with (name/id) {name} was not found in this key vault. If you recently deleted "
        "this key you may be able to recover it using the correct recovery command. For help "
        "resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182")


def deleted_key_not_found(name):
    return VaultError(404, "KeyNotFound", f"Deleted Key not found: {name}")


def key_is_disabled(operation):
    return forbidden(f"Operation {operation} is not allowed on a disabled key.", "KeyDisabled")


def operation_not_permitted(operation):
    return forbidden(f"Operation {operation} is not permitted on this key.",
                     "KeyOperationForbidden")


def outside_window(operation, state, inner):
    return forbidden(f"Operation {operation} is not allowed on {state} key.", inner)
