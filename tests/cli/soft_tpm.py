# A software TPM 2.0 (swtpm) in a private directory, for as long as a test lasts.
import shutil
import socket
import subprocess
import time


class SoftTpm:
    """Listens on a socket in the directory; ends with the test."""

    def __init__(self, test, folder, name="tpm"):
        if not shutil.which("swtpm"):
            raise RuntimeError("swtpm is not here (tools/setup)")
        self.state = folder / name
        self.state.mkdir(mode=0o700)
        self.socket = folder / f"{name}.sock"
        control = folder / f"{name}.sock.ctrl"
        argv = ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.state}", "--flags", "not-need-init,startup-clear"]
        argv += ["--server", f"type=unixio,path={self.socket}", "--ctrl", f"type=unixio,path={control}"]
        with open(folder / f"{name}.log", "wb") as log:  # a pipe that nobody reads would stop it when it is full
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        test.addCleanup(self.stop)
        for path in (control, self.socket):
            self.wait_for(path)

    def wait_for(self, path):
        for _ in range(1000):
            try:
                with socket.socket(socket.AF_UNIX) as probe:
                    return probe.connect(str(path))
            except OSError:
                time.sleep(0.01)
        raise RuntimeError(f"swtpm does not answer on {path}")

    def stop(self):
        self.process.kill()
        self.process.wait()

    def uri(self, *words):
        return "&".join([f"tpm2:?tcti=swtpm:path={self.socket}", *words])
